"""Policies in numbers as a player of terse games of text: beside scripted players, checkpoints and models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, SupportsInt, TypeAlias

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from ssp_env.envs.lookup_solver import LookupSolver
from ssp_env.envs.numeric_seats import NumericSeat, seat_of
from ssp_env.game import GameConfig, View
from ssp_env.game.config import TERSE_RULES

_KEPT_CONVERSATIONS = 4096

Choose: TypeAlias = Callable[[NDArray[np.float32], NDArray[np.int8]], SupportsInt]


class NumericPlayer:
    """Plays by policies that learnt in `NumericSolver-v1`, `NumericProposer-v1` or their PettingZoo form.

    A `LookupSolver` reads, and answers questions that are not in the grammar of terse worlds. So a policy
    takes part wherever players do: in `ssp_env.play`, in `ssp eval`, in the league and in SSP-Bench.

    Args:
        solver: The solver's policy, from an observation and its mask to the number of an action.
        proposer: The proposer's policy; games in which this player proposes need it.
        entities: Most entities that are numbered, as in training.
        rules: Rules of the games, for the number of searches.

    >>> from ssp_env.game import Message
    >>> view = View("game", "solver_0", "solve", (Message("user", "solve mayor of corun ?"),), 6, 4)
    >>> NumericPlayer(lambda observation, mask: mask.argmax()).act(view)
    '<search> corun </search>'
    """

    prompts = "terse"

    def __init__(
        self,
        solver: Choose | None = None,
        proposer: Choose | None = None,
        *,
        entities: int = 24,
        rules: GameConfig = TERSE_RULES,
    ) -> None:
        self._policies = {"solver": solver, "proposer": proposer}
        self._entities, self._rules = entities, rules
        self._lookup = LookupSolver()
        # What a proposer went back to is in no message.
        self._seats: LRUCache[tuple[str, str, str], NumericSeat] = LRUCache(_KEPT_CONVERSATIONS)

    def act(self, view: View) -> str:
        """Take a turn.

        Raises:
            ValueError: If the view is that of a role without a policy, or of a task that is none of a terse
                world.
        """
        seat = None if view.role == "reader" else self._seat(view)
        if seat is None:
            return self._lookup.act(view)
        policy = self._policies[view.role]
        if policy is None:
            raise ValueError(f"this player has no policy for the {view.role}: give {view.role}=")
        left = {"searches_left": view.searches_left, "turns_left": view.turns_left}
        text = None
        while text is None:
            numbers = seat.look(left, view.to_openai())
            text = seat.text(int(policy(numbers, seat.mask)))
        return text

    def _seat(self, view: View) -> NumericSeat | None:
        """Return the seat of a conversation; None if its question is not in the grammar."""
        key = view.conversation_id
        if key not in self._seats:
            role: Literal["proposer", "solver"] = "proposer" if view.role == "proposer" else "solver"
            seat = seat_of(role, self._entities, self._rules)
            try:
                seat.begin(view.messages[0].content)
            except ValueError:
                if role == "proposer":
                    raise
                return None
            self._seats[key] = seat
        return self._seats[key]
