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
where the question begins so far. Going back is no turn of the game.

An action that is not there now is an empty turn, which the rules forgive or do not. `action_masks()`, where
sb3-contrib looks for it, and `info["action_mask"]` say which actions there are.

>>> import gymnasium, ssp_env
>>> env = gymnasium.make("SearchSelfPlay/NumericSolver-v1", hops=(1,))
>>> observation, info = env.reset(seed=0)
>>> observation.shape, env.action_space
((361,), Discrete(48))
>>> info["action_mask"].nonzero()[0]  # search for entity 0, or answer with it
array([ 0, 24])
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from ssp_env.envs.new_worlds import NewWorldsEnv
from ssp_env.game import PROTOCOLS
from ssp_env.worlds import TERSE_RELATIONS, TerseFact, parse_facts, parse_question
from ssp_env.worlds.config import Split
from ssp_env.worlds.terse import render_question
from ssp_env.worlds.world import MAX_HOPS

_TERSE = PROTOCOLS["terse"]
_RELATION = {relation: number for number, relation in enumerate(TERSE_RELATIONS)}


@dataclass(frozen=True)
class _Seen:
    """What an agent has seen of a game: its searches, and facts and entities in the order of the passages."""

    searched: list[str]
    facts: list[TerseFact]
    entities: list[str]

    @classmethod
    def of(cls, first: str, messages: Sequence[Mapping[str, Any]]) -> _Seen:
        """Read a conversation behind its opening, which names the entity `first`."""
        searched: list[str] = []
        facts: list[TerseFact] = []
        for message in messages:
            if message["role"] != "assistant":
                shown = message["content"].partition(f"<{_TERSE.observation}>")[2]
                facts += parse_facts(shown.rpartition(f"</{_TERSE.observation}>")[0])
            elif (action := _TERSE.parse(message["content"], "answer")).kind == "search":
                searched.append(action.content)
        named = [first, *(name for fact in facts for name in (fact.subject, fact.target))]
        return cls(searched, facts, list(dict.fromkeys(named)))


class _NumericEnv(gymnasium.Env[NDArray[np.float32], int]):
    """A seat of `NewWorldsEnv` in numbers; its kinds say what an action does and what else is observed."""

    metadata: ClassVar[dict[str, Any]] = NewWorldsEnv.metadata  # type: ignore[misc]
    _first: str
    _last: tuple[dict[str, Any], dict[str, Any]]

    def __init__(
        self, role: Literal["solver", "proposer"], split: Split, entities: int, actions: int, **arguments: Any
    ) -> None:
        if entities < 1:
            raise ValueError(f"entities must be at least 1, got {entities}")
        self._env = NewWorldsEnv(role, split=split, **arguments)
        self.render_mode, self.rules = self._env.render_mode, self._env.rules
        if self.rules.prompts != "terse":
            world = arguments.get("world", "tiny")
            raise ValueError(f"numbers stand for the words of terse worlds and prompts, got world={world!r}")
        self.entities = entities
        self._most_searches = (self.rules.solver if role == "solver" else self.rules.proposer).max_searches
        self.action_space = Discrete(actions)  # type: ignore[assignment]
        self._mask: NDArray[np.int8] = np.zeros(actions, np.int8)
        self._seen = _Seen([], [], [])
        size = self._own_size() + self._most_searches + 1 + entities * (2 + len(_RELATION))
        self.observation_space = Box(0.0, 1.0, (size,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode, as `NewWorldsEnv.reset` does."""
        super().reset(seed=seed)
        self._last = self._env.reset(seed=seed, options=options)
        self._begin(self._last[1]["messages"][0]["content"])
        return self._look()

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Act.

        Raises:
            ValueError: If there is no action of this number.
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        if not self.action_space.contains(action):
            raise ValueError(f"an action must be from 0 to {len(self._mask) - 1}, got {action!r}")
        reward, terminated, truncated = 0.0, False, False
        text = self._text(int(action)) if self._mask[int(action)] else ""
        if text is not None:
            observation, reward, terminated, truncated, info = self._env.step(text)
            self._last = (observation, info)
        numbers, info = self._look()
        return numbers, reward, terminated, truncated, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions there are now, as sb3-contrib's `MaskablePPO` asks for it."""
        return self._mask.astype(bool)

    def render(self) -> str | None:
        """Describe the game so far, as `NewWorldsEnv.render` does."""
        return self._env.render()

    def _look(self) -> tuple[NDArray[np.float32], dict[str, Any]]:
        observation, info = self._last
        self._seen = _Seen.of(self._first, info["messages"][1:])
        may_search = observation["searches_left"] > 0 and observation["turns_left"] > 1
        appeared = np.arange(self.entities) < len(self._seen.entities)
        self._mask = np.concatenate([appeared & may_search, self._other_actions(appeared)]).astype(np.int8)
        searches = np.zeros(self._most_searches + 1, np.float32)
        searches[min(len(self._seen.searched), self._most_searches)] = 1
        numbers = np.concatenate([self._own_numbers(), searches, self._table().ravel()])
        return numbers, {**info, "action_mask": self._mask}

    def _table(self) -> NDArray[np.float32]:
        """Return a row for each entity: whether it has appeared and was searched for, and its relations."""
        table = np.zeros((self.entities, 2 + len(_RELATION)), np.float32)
        numbers = self._numbers()
        for name, number in numbers.items():
            table[number, :2] = 1, name in self._seen.searched
        for name, relation in self._shown_relations():
            if name in numbers:
                table[numbers[name], 2 + _RELATION[relation]] = 1
        return table

    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self._seen.entities[: self.entities])}

    @abstractmethod
    def _begin(self, opening: str) -> None:
        """Read the opening of a conversation; set the entity it names."""

    @abstractmethod
    def _text(self, action: int) -> str | None:
        """Write an action that there is now; None if it is no turn of the game."""

    @abstractmethod
    def _other_actions(self, appeared: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which actions there are besides searches."""

    @abstractmethod
    def _own_size(self) -> int:
        """Return how many numbers are observed besides searches and the table."""

    @abstractmethod
    def _own_numbers(self) -> NDArray[np.float32]:
        """Return these numbers."""

    @abstractmethod
    def _shown_relations(self) -> list[tuple[str, str]]:
        """Return pairs of an entity and a relation, for the table."""


class NumericSolverEnv(_NumericEnv):
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

    def __init__(self, split: Split = "train", *, entities: int = 24, **arguments: Any) -> None:
        super().__init__("solver", split, entities, 2 * entities, **arguments)

    def _begin(self, opening: str) -> None:
        question = parse_question(opening.removeprefix("solve ").strip())
        assert question is not None
        self._relations, self._first = question

    def _text(self, action: int) -> str:
        tag = _TERSE.search if action < self.entities else _TERSE.answer
        return _TERSE.wrap(tag, self._seen.entities[action % self.entities])

    def _other_actions(self, appeared: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return appeared

    def _own_size(self) -> int:
        return MAX_HOPS * len(_RELATION)

    def _own_numbers(self) -> NDArray[np.float32]:
        return _one_hot([*reversed(self._relations)])

    def _shown_relations(self) -> list[tuple[str, str]]:
        last = self._seen.searched[-1] if self._seen.searched else None
        return [(fact.target, fact.relation) for fact in self._seen.facts if fact.subject == last]


class NumericProposerEnv(_NumericEnv):
    """The proposer of a new terse world for each episode, with actions and observations in numbers.

    An observation has, one after the other: how many hops are asked for (4); which relations the question
    has so far, from the answer backwards (4 x 11); how many searches were made; and for each entity whether
    it has appeared, whether it was searched for, and by which relations it leads to where the question
    begins so far.

    Args:
        split: `train`, or `heldout` for worlds that nothing trains on.
        entities: Most entities that are numbered; later ones cannot be named.
        arguments: Those of `NewWorldsEnv`; the worlds must be terse.

    Raises:
        ValueError: If an argument is out of range, or the worlds are not terse.
    """

    def __init__(self, split: Split = "train", *, entities: int = 24, **arguments: Any) -> None:
        super().__init__("proposer", split, entities, 2 * entities + 1, **arguments)

    def _begin(self, opening: str) -> None:
        hops, self._first = opening.removeprefix("propose ").split(" : ")
        self._hops, self._relations, self._path = int(hops), list[str](), [self._first]

    def _text(self, action: int) -> str | None:
        if action == 2 * self.entities:
            return _TERSE.wrap(_TERSE.question, render_question(self._relations, self._path[-1]))
        name = self._seen.entities[action % self.entities]
        if action < self.entities:
            return _TERSE.wrap(_TERSE.search, name)
        self._relations.append(next(relation for found, relation in self._shown_relations() if found == name))
        self._path.append(name)
        return None

    def _other_actions(self, appeared: NDArray[np.bool_]) -> NDArray[np.bool_]:
        numbers, back = self._numbers(), np.zeros(self.entities, bool)
        if len(self._relations) < MAX_HOPS:
            back[[numbers[name] for name, _ in self._shown_relations() if name in numbers]] = True
        return np.append(back & appeared, bool(self._relations))

    def _own_size(self) -> int:
        return MAX_HOPS + MAX_HOPS * len(_RELATION)

    def _own_numbers(self) -> NDArray[np.float32]:
        hops = np.zeros(MAX_HOPS, np.float32)
        hops[self._hops - 1] = 1
        return np.concatenate([hops, _one_hot(self._relations)])

    def _shown_relations(self) -> list[tuple[str, str]]:
        begins = self._path[-1]
        return [
            (fact.subject, fact.relation)
            for fact in self._seen.facts
            if fact.target == begins and fact.subject not in self._path
        ]


def _one_hot(relations: Sequence[str]) -> NDArray[np.float32]:
    numbers = np.zeros((MAX_HOPS, len(_RELATION)), np.float32)
    for place, relation in enumerate(relations):
        numbers[place, _RELATION[relation]] = 1
    return numbers.ravel()
