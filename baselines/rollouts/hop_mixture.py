"""How often a step asks for each number of hops: most often where the solver is right half of the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssp_env.game import Game

FLOOR = 0.1
"""Weight that no number of hops falls below, so that none is forgotten; the greatest weight is 1.1."""
DECAY = 0.9


class HopMixture:
    """Shares of the numbers of hops, each by the moving average p of the solver's success: 4p(1-p) + 0.1.

    A group of attempts teaches most where p is near one half. A number of hops without a valid question so
    far has p = 0.5.

    Args:
        hops: The numbers of hops there are.

    >>> mixture = HopMixture([1, 2])
    >>> mixture.success[1] = 1.0
    >>> {hops: round(share, 2) for hops, share in mixture.shares().items()}
    {1: 0.08, 2: 0.92}
    """

    def __init__(self, hops: Sequence[int]) -> None:
        self.success: dict[int, float] = dict.fromkeys(hops, 0.5)

    def shares(self) -> dict[int, float]:
        """Return the probability with which a task asks for each number of hops."""
        weights = {hops: FLOOR + 4 * p * (1 - p) for hops, p in self.success.items()}
        total = sum(weights.values())
        return {hops: weight / total for hops, weight in weights.items()}

    def record(self, games: Sequence[Game]) -> None:
        """Take the success at valid questions of a step into the averages."""
        for hops, average in self.success.items():
            rates = [
                game.outcome.success_rate
                for game in games
                if game.task.hops == hops and game.outcome and game.outcome.success_rate is not None
            ]
            if rates:
                self.success[hops] = DECAY * average + (1 - DECAY) * sum(rates) / len(rates)

    def plain_state(self) -> dict[str, Any]:
        """Return the averages as plain data for JSON."""
        return {str(hops): p for hops, p in self.success.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Invert `plain_state`."""
        self.success = {int(hops): float(p) for hops, p in state.items()}
