"""The solver of terse worlds in numbers, for reinforcement learning that knows no text.

`SearchSelfPlay/NumericSolver-v1` and `NumericSolverHeldout-v1` are `Solver-v1` and `SolverHeldout-v1` with
`Discrete` actions and a `Box` of zeros and ones: the same games under the same rules, seen through a table of
the entities that have appeared so far. Entity 0 is the one that the question names; the others are numbered
in the order in which passages name them, so that what is learnt holds in every world.

| Action      | Means                                 |
|-------------|---------------------------------------|
| 0 to n - 1  | search for the entity of this number  |
| n to 2n - 1 | answer with the entity of this number |

An entity that has not appeared is no action: its turn is empty, which the rules forgive or do not.
`action_masks()`, where sb3-contrib looks for it, and `info["action_mask"]` say which actions there are.

>>> import gymnasium, ssp_env
>>> env = gymnasium.make("SearchSelfPlay/NumericSolver-v1", hops=(1,))
>>> observation, info = env.reset(seed=0)
>>> observation.shape, env.action_space
((361,), Discrete(48))
>>> info["action_mask"].nonzero()[0]  # search for entity 0, or answer with it
array([ 0, 24])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from ssp_env.envs.new_worlds import NewWorldsEnv
from ssp_env.game import PROTOCOLS
from ssp_env.worlds import TERSE_RELATIONS, TerseFact, TerseQuestion, parse_facts, parse_question
from ssp_env.worlds.config import Split
from ssp_env.worlds.world import MAX_HOPS

_TERSE = PROTOCOLS["terse"]
_RELATION = {relation: number for number, relation in enumerate(TERSE_RELATIONS)}


@dataclass(frozen=True)
class _Seen:
    """What a solver has seen of a game: the question, its searches, and entities and facts in their order."""

    question: TerseQuestion
    searched: list[str]
    facts: list[TerseFact]
    entities: list[str]

    @classmethod
    def in_messages(cls, messages: Sequence[Mapping[str, Any]]) -> _Seen:
        question = parse_question(messages[0]["content"].removeprefix("solve ").strip())
        assert question is not None
        searched: list[str] = []
        facts: list[TerseFact] = []
        for message in messages[1:]:
            if message["role"] != "assistant":
                shown = message["content"].partition(f"<{_TERSE.observation}>")[2]
                facts += parse_facts(shown.rpartition(f"</{_TERSE.observation}>")[0])
            elif (action := _TERSE.parse(message["content"], "answer")).kind == "search":
                searched.append(action.content)
        named = [question.entity, *(name for fact in facts for name in (fact.subject, fact.target))]
        return cls(question, searched, facts, list(dict.fromkeys(named)))


class NumericSolverEnv(gymnasium.Env[NDArray[np.float32], int]):
    """The solver of a new terse world for each episode, with actions and observations in numbers.

    An observation has, one after the other: which relations the question has, in the order in which they are
    to be followed (4 x 11); how many searches were made; and for each entity whether it has appeared, whether
    it was searched for, and by which relations the entity that was searched for last leads to it.

    Args:
        split: `train`, or `heldout` for worlds that nothing trains on.
        entities: Most entities that are numbered; later ones cannot be named.
        arguments: Those of `NewWorldsEnv`; the worlds must be terse.

    Raises:
        ValueError: If an argument is out of range, or the worlds are not terse.
    """

    metadata: ClassVar[dict[str, Any]] = NewWorldsEnv.metadata  # type: ignore[misc]

    def __init__(self, split: Split = "train", *, entities: int = 24, **arguments: Any) -> None:
        if entities < 1:
            raise ValueError(f"entities must be at least 1, got {entities}")
        world = arguments.get("world", "tiny")
        self._env = NewWorldsEnv("solver", split=split, **arguments)
        if self._env.rules.prompts != "terse":
            raise ValueError(f"numbers stand for the words of terse worlds and prompts, got world={world!r}")
        self.render_mode, self.rules = self._env.render_mode, self._env.rules
        self.entities = entities
        self._most_searches = self._env.rules.solver.max_searches
        size = MAX_HOPS * len(_RELATION) + self._most_searches + 1 + entities * (2 + len(_RELATION))
        self.observation_space = Box(0.0, 1.0, (size,), np.float32)
        self.action_space = Discrete(2 * entities)  # type: ignore[assignment]
        self._mask: NDArray[np.int8] = np.zeros(2 * entities, np.int8)
        self._seen: _Seen | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode, as `NewWorldsEnv.reset` does."""
        super().reset(seed=seed)
        observation, info = self._env.reset(seed=seed, options=options)
        return self._look(observation, info)

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Search or answer.

        Raises:
            ValueError: If there is no action of this number.
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        if not self.action_space.contains(action):
            raise ValueError(f"an action must be from 0 to {self.action_space.n - 1}, got {action!r}")  # type: ignore[attr-defined]
        observation, reward, terminated, truncated, info = self._env.step(self._text(int(action)))
        numbers, info = self._look(observation, info)
        return numbers, reward, terminated, truncated, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions there are now, as sb3-contrib's `MaskablePPO` asks for it."""
        return self._mask.astype(bool)

    def render(self) -> str | None:
        """Describe the game so far, as `NewWorldsEnv.render` does."""
        return self._env.render()

    def _text(self, action: int) -> str:
        tag = _TERSE.search if action < self.entities else _TERSE.answer
        number = action % self.entities
        appeared = [] if self._seen is None else self._seen.entities
        return _TERSE.wrap(tag, appeared[number]) if number < len(appeared) else ""

    def _look(
        self, observation: Mapping[str, Any], info: dict[str, Any]
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        seen = self._seen = _Seen.in_messages(info["messages"])
        may_search = observation["searches_left"] > 0 and observation["turns_left"] > 1
        appeared = np.arange(self.entities) < len(seen.entities)
        self._mask = np.concatenate([appeared & may_search, appeared]).astype(np.int8)
        return self._encoded(seen), {**info, "action_mask": self._mask}

    def _encoded(self, seen: _Seen) -> NDArray[np.float32]:
        asked = np.zeros((MAX_HOPS, len(_RELATION)), np.float32)
        for place, relation in enumerate(reversed(seen.question.relations)):
            asked[place, _RELATION[relation]] = 1
        searches = np.zeros(self._most_searches + 1, np.float32)
        searches[min(len(seen.searched), self._most_searches)] = 1
        table = np.zeros((self.entities, 2 + len(_RELATION)), np.float32)
        number_of = {name: number for number, name in enumerate(seen.entities[: self.entities])}
        for name, number in number_of.items():
            table[number, :2] = 1, name in seen.searched
        last = seen.searched[-1] if seen.searched else None
        for fact in seen.facts:
            if fact.subject == last and fact.target in number_of:
                table[number_of[fact.target], 2 + _RELATION[fact.relation]] = 1
        return np.concatenate([asked.ravel(), searches, table.ravel()])
