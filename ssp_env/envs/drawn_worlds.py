"""The generated worlds of which every episode draws one, each opened once and kept for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from cachetools import LRUCache

from ssp_env.scenario import Rules, Scenario, open_scenario
from ssp_env.worlds.config import Split, WorldConfig
from ssp_env.worlds.world import MAX_HOPS

_KEPT_WORLDS = 64

Made = TypeVar("Made")


class DrawnWorlds(Generic[Made]):
    """Worlds of one kind, and what is made of each.

    Args:
        make: What to make of the scenario of a world.
        split: `train` or `heldout` worlds.
        world: What the worlds are like, as for `NewWorldsEnv`; so are the further arguments.
        worlds: How many there are to draw from.
        hops: Numbers of hops to draw from.
        prompts: Style of prompts.
        rules: Rules that differ from the usual ones.

    Raises:
        ValueError: If an argument is out of range; the message says what was expected.
    """

    def __init__(
        self,
        make: Callable[[Scenario], Made],
        *,
        split: Split,
        world: str,
        worlds: int,
        hops: Sequence[int],
        prompts: str | None,
        rules: Rules | None,
    ) -> None:
        if worlds < 1:
            raise ValueError(f"worlds must be at least 1, got {worlds}")
        if not hops or any(type(number) is not int or not 1 <= number <= MAX_HOPS for number in hops):
            raise ValueError(f"hops must be whole numbers from 1 to {MAX_HOPS}, got {list(hops)}")
        self._make, self._family, self._split, self._worlds = make, world, split, worlds
        self._hops, self._prompts, self._rules = tuple(hops), prompts, rules
        self._opened: LRUCache[int, tuple[Scenario, Made]] = LRUCache(_KEPT_WORLDS)

    def draw(self, rng: np.random.Generator, options: Mapping[str, Any] | None) -> tuple[Scenario, Made]:
        """Draw a world.

        Args:
            rng: What it is drawn with.
            options: Those of `reset`; `world` is the number of a world in place of the one drawn.

        Raises:
            ValueError: If there is no world of that number.
        """
        drawn = int(rng.integers(self._worlds))
        index = (options or {}).get("world", drawn)
        if type(index) is not int or not 0 <= index < self._worlds:
            raise ValueError(f"options['world'] must be from 0 to {self._worlds - 1}, got {index!r}")
        return self.open(index)

    def open(self, index: int) -> tuple[Scenario, Made]:
        """Return the scenario of a world, and what was made of it.

        Raises:
            ValueError: If there are no such worlds.
        """
        if index not in self._opened:
            world = WorldConfig.from_id(f"{self._family}-{self._split}-{index}").id
            scenario = open_scenario(world, hops=self._hops, prompts=self._prompts, rules=self._rules)
            self._opened[index] = scenario, self._make(scenario)
        return self._opened[index]
