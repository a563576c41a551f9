"""Terse worlds in numbers, for reinforcement learning that knows no text.

`SearchSelfPlay/NumericSolver-v1` and `NumericProposer-v1`, and the same with `Heldout`, are `Solver-v1` and
`Proposer-v1` with `Discrete` actions and a `Box` of zeros and ones: the same games under the same rules, seen
through a table of the entities that have appeared so far. Entity 0 is the one that the question or the task
names; the others are numbered in the order in which passages name them, so that what is learnt holds in every
world. With n entities in the table the actions are:

| Action      | Solver                        | Proposer                                            |
|-------------|-------------------------------|-----------------------------------------------------|
| 0 to n - 1  | search for entity i           | search for entity i                                 |
| n to 2n - 1 | answer with entity i - n      | go back one hop, to entity i - n                    |
| 2n          |                               | ask for the answer, from the entity gone back to    |

A proposer's question grows backwards from its answer: each hop goes to an entity that a passage says leads to
where the question begins so far. Going back is no turn of the game. If a proposer can neither search, go back
nor ask, action 2n is an empty turn: there is always an action.

An action that is not there now is an empty turn, which the rules forgive or do not. `action_masks()`, where
sb3-contrib looks for it, and `info["action_mask"]` say which actions there are.

`ssp_env.numeric_search_self_play_v0` is the PettingZoo form, in which both sides learn.

>>> import gymnasium, ssp_env
>>> env = gymnasium.make("SearchSelfPlay/NumericSolver-v1", hops=(1,))
>>> observation, info = env.reset(seed=0)
>>> observation.shape, env.action_space
((361,), Discrete(48))
>>> info["action_mask"].nonzero()[0]  # search for entity 0, or answer with it
array([ 0, 24])
"""

from __future__ import annotations

from math import nan
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from ssp_env.envs.infos import as_numbers
from ssp_env.envs.new_worlds import NewWorldsEnv
from ssp_env.envs.numeric_seats import check_action, check_terse, seat_of
from ssp_env.worlds.config import Split


class _NumericEnv(gymnasium.Env[NDArray[np.float32], int]):
    """A seat of `NewWorldsEnv` in numbers."""

    metadata: ClassVar[dict[str, Any]] = NewWorldsEnv.metadata  # type: ignore[misc]
    _last: tuple[dict[str, Any], dict[str, Any]]
    _over = True

    def __init__(
        self,
        role: Literal["solver", "proposer"],
        split: Split,
        entities: int,
        numeric_infos: bool,
        fill_value: float,
        **arguments: Any,
    ) -> None:
        self._env = NewWorldsEnv(role, split=split, **arguments)
        self.render_mode, self.rules = self._env.render_mode, self._env.rules
        check_terse(self.rules, arguments.get("world", "tiny"))
        self._seat = seat_of(role, entities, self.rules)
        self.entities, self._numeric_infos, self._fill_value = entities, numeric_infos, fill_value
        self.action_space = Discrete(self._seat.actions)  # type: ignore[assignment]
        self.observation_space = Box(0.0, 1.0, (self._seat.size,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode, as `NewWorldsEnv.reset` does."""
        super().reset(seed=seed)
        self._last = self._env.reset(seed=seed, options=options)
        self._over = False
        self._seat.begin(self._last[1]["messages"][0]["content"])
        return self._look()

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Act.

        Raises:
            ValueError: If there is no action of this number.
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        if self._over:
            raise ResetNeeded("no game is going on: call reset() before step()")
        check_action(action, self.action_space)
        reward, terminated, truncated = 0.0, False, False
        text = self._seat.text(int(action))
        if text is not None:
            observation, reward, terminated, truncated, info = self._env.step(text)
            self._last = (observation, info)
            self._over = terminated or truncated
        numbers, info = self._look()
        return numbers, reward, terminated, truncated, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions there are now, as sb3-contrib's `MaskablePPO` asks for it."""
        return self._seat.mask.astype(bool)

    def render(self) -> str | None:
        """Describe the game so far, as `NewWorldsEnv.render` does."""
        return self._env.render()

    def _look(self) -> tuple[NDArray[np.float32], dict[str, Any]]:
        observation, info = self._last
        numbers = self._seat.look(observation, info["messages"])
        told = as_numbers(info, self.rules, self._fill_value) if self._numeric_infos else info
        return numbers, {**told, "action_mask": self._seat.mask}


class NumericSolverEnv(_NumericEnv):
    """The solver of a new terse world for each episode, with actions and observations in numbers.

    An observation has, one after the other: which relations the question has, in the order in which they are
    to be followed (4 x 11); how many searches were made; and for each entity whether it has appeared, whether
    it was searched for, and by which relations the entity that was searched for last leads to it.

    Args:
        split: `train`, or `heldout` for worlds that nothing trains on.
        entities: Most entities that are numbered; later ones cannot be named.
        numeric_infos: Whether infos hold numbers alone, under the same keys from `reset` on, for libraries
            that keep them in arrays.
        fill_value: What such infos hold for what is not known, or not yet; some libraries refuse NaN.
        arguments: Those of `NewWorldsEnv`; the worlds must be terse.

    Raises:
        ValueError: If an argument is out of range, or the worlds are not terse.
    """

    def __init__(
        self,
        split: Split = "train",
        *,
        entities: int = 24,
        numeric_infos: bool = False,
        fill_value: float = nan,
        **arguments: Any,
    ) -> None:
        super().__init__("solver", split, entities, numeric_infos, fill_value, **arguments)


class NumericProposerEnv(_NumericEnv):
    """The proposer of a new terse world for each episode, with actions and observations in numbers.

    An observation has, one after the other: how many hops are asked for (4); which relations the question
    has so far, from the answer backwards (4 x 11); how many searches were made; and for each entity whether
    it has appeared, whether it was searched for, and by which relations it leads to where the question
    begins so far.

    Args:
        split: `train`, or `heldout` for worlds that nothing trains on.
        entities: Most entities that are numbered; later ones cannot be named.
        numeric_infos: Whether infos hold numbers alone, under the same keys from `reset` on, for libraries
            that keep them in arrays.
        fill_value: What such infos hold for what is not known, or not yet; some libraries refuse NaN.
        arguments: Those of `NewWorldsEnv`; the worlds must be terse.

    Raises:
        ValueError: If an argument is out of range, or the worlds are not terse.
    """

    def __init__(
        self,
        split: Split = "train",
        *,
        entities: int = 24,
        numeric_infos: bool = False,
        fill_value: float = nan,
        **arguments: Any,
    ) -> None:
        super().__init__("proposer", split, entities, numeric_infos, fill_value, **arguments)
