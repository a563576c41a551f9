"""The best players of the environments in numbers, which follow a rule and know nothing but the numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssp_env.game import GameConfig
from ssp_env.worlds import TERSE_RELATIONS
from ssp_env.worlds.world import MAX_HOPS

Numbers = NDArray[np.float32]
Mask = NDArray[np.int8]
_ASKED = MAX_HOPS * len(TERSE_RELATIONS)


def parts(observation: Numbers, most_searches: int) -> tuple[Numbers, int, Numbers]:
    """Take a solver's observation, or a proposer's behind the hops that it is asked for, apart.

    Returns:
        The relations of the question, of shape (4, 11); the number of searches made; and the table of
        entities, of shape (entities, 13).
    """
    rest = observation[_ASKED:]
    made, table = rest[: most_searches + 1], rest[most_searches + 1 :]
    asked = observation[:_ASKED].reshape(MAX_HOPS, -1)
    return asked, int(made.argmax()), table.reshape(-1, 2 + len(TERSE_RELATIONS))


class SolverByTheNumbers:
    """Follows the relations of the question: it searches for what it has reached, then answers with it."""

    def __init__(self, rules: GameConfig) -> None:
        self._most_searches = rules.solver.max_searches

    def __call__(self, observation: Numbers, mask: Mask) -> int:
        """Choose an action."""
        asked, made, table = parts(observation, self._most_searches)
        reached = int((table[:, 2:] @ asked[made - 1]).argmax()) if made else 0
        return reached if asked[made].any() else len(table) + reached


class ProposerByTheNumbers:
    """Goes back as often as there are hops, by searches where no way is known; asks after two searches."""

    def __init__(self, rules: GameConfig) -> None:
        self._most_searches = rules.proposer.max_searches
        self._begins = 0

    def __call__(self, observation: Numbers, mask: Mask) -> int:
        """Choose an action."""
        hops = int(observation[:MAX_HOPS].argmax()) + 1
        relations, made, table = parts(observation[MAX_HOPS:], self._most_searches)
        built, entities = int(relations.any(axis=1).sum()), len(table)
        if not built:
            self._begins = 0
        back = np.flatnonzero(mask[entities : 2 * entities])
        fresh = [int(entity) for entity in np.flatnonzero(mask[:entities]) if not table[entity, 1]]
        if built < hops and len(back):
            self._begins = int(back[-1])
            return entities + self._begins
        if built < hops and self._begins in fresh:
            return self._begins
        return fresh[0] if made < 2 and fresh else 2 * entities
