"""How a seat of a terse game looks in numbers, and what its numbers say: one table for every environment.

`ssp_env.envs.numeric` describes the numbers of entities, the actions and the observations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium.spaces import Space
from numpy.typing import NDArray

from ssp_env.game import PROTOCOLS, GameConfig
from ssp_env.worlds import TERSE_RELATIONS, TerseFact, parse_facts, parse_question
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


class NumericSeat(ABC):
    """One seat of a terse game in numbers; its kinds say what an action does and what else is observed.

    Args:
        entities: Most entities that are numbered; later ones cannot be named.
        most_searches: How many searches the rules allow the seat.

    Raises:
        ValueError: If there is no entity.
    """

    _first: str

    def __init__(self, entities: int, most_searches: int) -> None:
        if entities < 1:
            raise ValueError(f"entities must be at least 1, got {entities}")
        self.entities = entities
        self._most_searches = most_searches
        self._seen = _Seen([], [], [])
        self.mask: NDArray[np.int8] = np.zeros(self.actions, np.int8)

    @property
    @abstractmethod
    def actions(self) -> int:
        """How many actions there are."""

    @property
    def size(self) -> int:
        """How many numbers are observed."""
        return self._own_size() + self._most_searches + 1 + self.entities * (2 + len(_RELATION))

    def look(
        self, observation: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]
    ) -> NDArray[np.float32]:
        """Describe a conversation, and note in `mask` which actions there are now.

        Args:
            observation: That of the text environment, for the turns and searches that are left.
            messages: The conversation from its opening on.

        Returns:
            Zeros and ones, of shape (size,).
        """
        self._seen = _Seen.of(self._first, messages[1:])
        may_search = observation["searches_left"] > 0 and observation["turns_left"] > 1
        appeared = np.arange(self.entities) < len(self._seen.entities)
        self.mask = np.concatenate([appeared & may_search, self._other_actions(appeared)]).astype(np.int8)
        if not self.mask.any():
            # A proposer without searches and a way back; libraries want an action at every turn.
            self.mask[-1] = 1
        searches = np.zeros(self._most_searches + 1, np.float32)
        searches[min(len(self._seen.searched), self._most_searches)] = 1
        return np.concatenate([self._own_numbers(), searches, self._table().ravel()])

    def text(self, action: int) -> str | None:
        """Write an action: an empty turn if it is not there now, None if it is no turn of the game."""
        return self._write(action) if action < len(self.mask) and self.mask[action] else ""

    @abstractmethod
    def begin(self, opening: str) -> None:
        """Start a game: read the opening of a conversation, which names entity 0.

        Raises:
            ValueError: If it is no opening of a terse game.
        """

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
    def _write(self, action: int) -> str | None:
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


class SolverSeat(NumericSeat):
    """A solver: it searches for an entity, or answers with one."""

    @property
    def actions(self) -> int:
        """Two for each entity."""
        return 2 * self.entities

    def begin(self, opening: str) -> None:
        """Read the question.

        Raises:
            ValueError: If it is not in the grammar of terse worlds, or has too many hops.
        """
        question = parse_question(opening.removeprefix("solve ").strip())
        if question is None or len(question.relations) > MAX_HOPS:
            raise ValueError(
                f"a question must be one of 1 to {MAX_HOPS} hops in a terse world, got {opening!r}"
            )
        self._relations, self._first = question

    def _write(self, action: int) -> str:
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


class ProposerSeat(NumericSeat):
    """A proposer: it searches for an entity, goes back one hop to one, or asks."""

    @property
    def actions(self) -> int:
        """Two for each entity, and one that asks."""
        return 2 * self.entities + 1

    def begin(self, opening: str) -> None:
        """Read the task.

        Raises:
            ValueError: If it is none of a terse world, or has too many hops.
        """
        hops, _, self._first = opening.removeprefix("propose ").partition(" : ")
        if hops not in map(str, range(1, MAX_HOPS + 1)):
            raise ValueError(f"a task must be one of 1 to {MAX_HOPS} hops in a terse world, got {opening!r}")
        self._hops, self._relations, self._path = int(hops), list[str](), [self._first]

    def _write(self, action: int) -> str | None:
        if action == 2 * self.entities and not self._relations:
            return ""
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


def seat_of(role: Literal["solver", "proposer"], entities: int, rules: GameConfig) -> NumericSeat:
    """Make the seat of a role under the rules."""
    if role == "solver":
        return SolverSeat(entities, rules.solver.max_searches)
    return ProposerSeat(entities, rules.proposer.max_searches)


def check_terse(rules: GameConfig, world: str) -> None:
    """Refuse worlds of other words.

    Raises:
        ValueError: If prompts are not terse.
    """
    if rules.prompts != "terse":
        raise ValueError(f"numbers stand for the words of terse worlds and prompts, got world={world!r}")


def check_action(action: object, space: Space[Any]) -> None:
    """Refuse what is no action.

    Raises:
        ValueError: If the space, which is `Discrete`, does not have it.
    """
    if not space.contains(action):
        raise ValueError(f"an action must be from 0 to {space.n - 1}, got {action!r}")  # type: ignore[attr-defined]


def _one_hot(relations: Sequence[str]) -> NDArray[np.float32]:
    numbers = np.zeros((MAX_HOPS, len(_RELATION)), np.float32)
    for place, relation in enumerate(relations):
        numbers[place, _RELATION[relation]] = 1
    return numbers.ravel()
