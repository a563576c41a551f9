"""A fictional world: seeded facts, their passages, and questions whose answers are known."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from ssp_env.game.passage import Passage
from ssp_env.game.task import Task
from ssp_env.worlds.config import WorldConfig
from ssp_env.worlds.graph import WORLD_VERSION, FactGraph
from ssp_env.worlds.prose import ProseRendering
from ssp_env.worlds.schema import is_heldout_composition
from ssp_env.worlds.terse import TerseRendering

_FINGERPRINT_PASSAGES = 4096
_TRIES_PER_QUESTION = 200

MAX_HOPS = 4
"""The largest number of facts on the path of a question."""
Compositions = Literal["all", "train", "heldout"]


@dataclass(frozen=True, slots=True)
class KnownQuestion:
    """A question whose only answer, path and supporting passages are known.

    Attributes:
        question: The question in the world's rendering.
        answer: Name of the answer.
        aliases: Other accepted names of the answer.
        hops: Number of facts on the path, 1 to `MAX_HOPS`.
        entities: Names along the path, from the entity the question names to the answer.
        relations: Relation words in reading order: the first is applied last.
        passage_ids: Ids of the passages that state the facts of the path, in its order.
    """

    question: str
    answer: str
    aliases: tuple[str, ...]
    hops: int
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    passage_ids: tuple[str, ...]

    @property
    def task(self) -> Task:
        """The question, its answer and its hops as the task of a game, without an id."""
        return Task(self.answer, self.aliases, self.hops, self.question)


@dataclass(frozen=True, slots=True)
class Path:
    """A walk in the fact graph that visits no entity twice.

    Attributes:
        entities: Entity numbers, from start to end.
        relations: Relation words in reading order: the first is applied last.
    """

    entities: tuple[int, ...]
    relations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of a world; passage number `index` is about entity number `index`."""

    index: int
    type: str
    name: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact that a passage states.

    Attributes:
        subject: Name of the entity that the passage is about.
        relation: Relation or quantity word.
        value: Name of the target entity, or the year or amount in digits.
        target: Number of the target entity; None for a year or amount.
    """

    subject: str
    relation: str
    value: str
    target: int | None


class World:
    """A fictional world, every part of which is computed on demand from the configuration alone.

    The memory for streaming passages, facts and questions does not grow with the world. Only methods that
    follow links backwards (`answers`, `backward_paths`) or look up names (`find`, `resolve`) build a table of
    all entities, once.

    >>> world = World(WorldConfig(index=17))
    >>> world.id, len(world), world.passage(3).id
    ('tiny-train-17', 24, 'tiny-train-17/03')
    """

    def __init__(self, config: WorldConfig) -> None:
        """Set up the world that `config` describes."""
        self.config = config
        self.id = config.id
        self.version = WORLD_VERSION
        self.graph = FactGraph(config)
        rendering = TerseRendering if config.rendering == "terse" else ProseRendering
        self._rendering: TerseRendering | ProseRendering = rendering(config, self.graph)
        self._digits = len(str(config.entities - 1))

    def __len__(self) -> int:
        return self.config.entities

    def __repr__(self) -> str:
        return f"World({self.config!r})"

    def __reduce__(self) -> tuple[type[World], tuple[WorldConfig]]:
        return World, (self.config,)

    def _check_index(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.id} has entities 0 to {len(self) - 1}, not {index}")

    def name(self, index: int) -> str:
        """Return the name of entity `index`; names are unique within a world.

        Raises:
            IndexError: If there is no such entity.
        """
        self._check_index(index)
        return self._rendering.name(index)

    def names(self) -> Iterator[str]:
        """Yield every entity's name, in entity order."""
        return map(self._rendering.name, range(len(self)))

    def entity(self, index: int) -> Entity:
        """Return entity `index`: its type, name and aliases.

        Raises:
            IndexError: If there is no such entity.
        """
        name = self.name(index)
        return Entity(index, self.graph.kind(index).name, name, self._rendering.aliases(index))

    def entities(self) -> Iterator[Entity]:
        """Yield every entity, in order."""
        return map(self.entity, range(len(self)))

    def find(self, name: str) -> int | None:
        """Return the number of the entity called `name` (aliases do not count), or None."""
        return self._numbers.get(name)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names())}

    def facts(self, index: int | None = None) -> Iterator[Fact]:
        """Yield the facts that passage `index` states, or those of all passages.

        Raises:
            IndexError: If there is no such entity.
        """
        if index is None:
            for number in range(len(self)):
                yield from self.facts(number)
            return
        subject = self.name(index)
        for relation, target in self.graph.links(index):
            yield Fact(subject, relation, self._rendering.name(target), target)
        for quantity, value in self._rendering.amounts(index):
            yield Fact(subject, quantity, str(value), None)

    def passage(self, index: int) -> Passage:
        """Return the passage about entity `index`.

        Raises:
            IndexError: If there is no such entity.
        """
        return Passage(self._passage_id(index), self.name(index), self._rendering.text(index))

    def _passage_id(self, index: int) -> str:
        return f"{self.id}/{index:0{self._digits}d}"

    def passages(self) -> Iterator[Passage]:
        """Yield every passage, in the order of the entities."""
        return map(self.passage, range(len(self)))

    def fingerprint(self) -> str:
        """Return a SHA-256 over version, configuration and passages (hexadecimal).

        Worlds of up to 4,096 passages are hashed whole; larger ones by 4,096 passages spread evenly.
        """
        digest = hashlib.sha256(repr((self.version, sorted(asdict(self.config).items()))).encode())
        sample = min(len(self), _FINGERPRINT_PASSAGES)
        for number in range(sample):
            passage = self.passage(number * len(self) // sample)
            digest.update(f"{passage.id}\0{passage.title}\0{passage.text}\0".encode())
        return digest.hexdigest()

    def questions(
        self, hops: int, count: int, rng: np.random.Generator, compositions: Compositions = "all"
    ) -> list[KnownQuestion]:
        """Draw different known questions.

        A question's path visits no entity twice, and the question names only the entity it starts from.

        Args:
            hops: Facts per path, 1 to `MAX_HOPS`.
            count: Number of questions.
            rng: Source of the choice; the world itself does not depend on it.
            compositions: "train" or "heldout" keeps paths without or with a held-out pair of relations
                (see `is_heldout_composition`).

        Raises:
            ValueError: If an argument is out of range, or the world has too few such questions.
        """
        _check_hops(hops)
        if compositions not in get_args(Compositions):
            raise ValueError(f"compositions must be 'all', 'train' or 'heldout', not {compositions!r}")
        found: dict[str, KnownQuestion] = {}
        for _ in range(_TRIES_PER_QUESTION * (count + 10)):
            if len(found) >= count:
                return list(found.values())
            path = self._random_path(hops, rng)
            if path is not None and _in_compositions(path, compositions):
                known = self.question(path)
                if not self._gives_away(known.question, path):
                    found.setdefault(known.question, known)
        raise ValueError(
            f"{self.id} has too few {hops}-hop questions (compositions={compositions!r}): "
            f"{count} wanted, {len(found)} found"
        )

    def _random_path(self, hops: int, rng: np.random.Generator) -> Path | None:
        """Follow `hops` links from a random entity; return None if the path visits an entity twice."""
        entities = [int(rng.integers(len(self)))]
        relations: list[str] = []
        for _ in range(hops):
            links = self.graph.links(entities[-1])
            link = links[int(rng.integers(len(links)))]
            entities.append(link.target)
            relations.insert(0, link.relation)
        return Path(tuple(entities), tuple(relations)) if len(set(entities)) == hops + 1 else None

    def _gives_away(self, question: str, path: Path) -> bool:
        """Tell whether the question names the answer or an entity between its start and the answer."""
        hidden = (self.entity(index) for index in path.entities[1:])
        return any(_names_any(question, (entity.name, *entity.aliases)) for entity in hidden)

    def question(self, path: Path) -> KnownQuestion:
        """Return the question that asks for the entity at the end of a path.

        Raises:
            ValueError: If the world does not state the facts of the path.
        """
        for start, end, relation in zip(path.entities, path.entities[1:], reversed(path.relations)):
            if self._follow(start, relation) != end:
                raise ValueError(f"{self.id} does not say that {end} is the {relation} of {start}")
        return KnownQuestion(
            question=self._rendering.question(path.relations, path.entities),
            answer=self.name(path.entities[-1]),
            aliases=self._rendering.aliases(path.entities[-1]),
            hops=len(path.relations),
            entities=tuple(map(self.name, path.entities)),
            relations=path.relations,
            passage_ids=tuple(map(self._passage_id, path.entities[:-1])),
        )

    def _follow(self, index: int, relation: str) -> int | None:
        """Return the only target that a passage states for a relation; None if it states none or several."""
        targets = [link.target for link in self.graph.links(index) if link.relation == relation]
        return targets[0] if len(targets) == 1 else None

    def resolve(self, question: str) -> str | None:
        """Return the true answer of a question.

        A terse world understands every question of its grammar, a prose world only the wording of its own
        questions.

        Returns:
            The name of the answer; None if the question is not understood, names an unknown entity or asks
            for a fact the world does not state.
        """
        parsed = self._rendering.parse(question)
        place = None if parsed is None else self.find(parsed.entity)
        if parsed is None or place is None:
            return None
        for relation in reversed(parsed.relations):
            place = self._follow(place, relation)
            if place is None:
                return None
        return self.name(place)

    def answers_to(self, question: str) -> frozenset[str] | None:
        """Return the answer the world states for a question, as an oracle for `ssp_env.game.audit`.

        Returns:
            The one answer, or nothing if the world states none. None if the question is not understood: a
            prose world knows the wording of its own questions only, a terse one every question there is.
        """
        answer = self.resolve(question)
        if answer is None and self.config.rendering == "prose" and self.hops_of(question) is None:
            return None
        return frozenset(() if answer is None else (answer,))

    def hops_of(self, question: str) -> int | None:
        """Return the number of facts on the path of a question, or None if the question is not understood."""
        parsed = self._rendering.parse(question)
        return None if parsed is None else len(parsed.relations)

    @cached_property
    def _sources(self) -> dict[int, list[tuple[int, str]]]:
        """The links by target: the number of an entity -> the pairs (source, relation) that lead to it."""
        sources: dict[int, list[tuple[int, str]]] = {}
        for index in range(len(self)):
            for relation, target in self.graph.links(index):
                sources.setdefault(target, []).append((index, relation))
        return sources

    def backward_paths(self, answer: str, hops: int) -> Iterator[Path]:
        """Yield every path of `hops` links that ends in `answer` and visits no entity twice.

        Raises:
            ValueError: If `answer` names no entity, or `hops` is not 1 to `MAX_HOPS`.
        """
        _check_hops(hops)
        end = self.find(answer)
        if end is None:
            raise ValueError(f"{self.id} has no entity called {answer!r}")
        return self._paths_into(Path((end,), ()), hops)

    def _paths_into(self, path: Path, hops: int) -> Iterator[Path]:
        if hops == 0:
            yield path
            return
        for source, relation in self._sources.get(path.entities[0], ()):
            if source not in path.entities:
                longer = Path((source, *path.entities), (*path.relations, relation))
                yield from self._paths_into(longer, hops - 1)

    def answers(self, hops: int) -> list[str]:
        """Return the names of the entities in which some path of `hops` links ends, in entity order.

        Raises:
            ValueError: If `hops` is not 1 to `MAX_HOPS`.
        """
        _check_hops(hops)
        ends = range(len(self))
        return [self.name(end) for end in ends if any(self._paths_into(Path((end,), ()), hops))]

    def tasks(self, hops: Sequence[int]) -> tuple[Task, ...]:
        """Return a task for every entity and each of these numbers of hops for which a path ends in it.

        Raises:
            ValueError: If a number is not 1 to `MAX_HOPS`.
        """
        ends = {number: frozenset(self.answers(number)) for number in hops}
        return tuple(
            Task(entity.name, entity.aliases, number, id=f"{self.id}/{entity.name}/{number}")
            for entity in self.entities()
            for number in hops
            if entity.name in ends[number]
        )


def _check_hops(hops: int) -> None:
    """Raise ValueError unless `hops` is 1 to `MAX_HOPS`."""
    if hops not in range(1, MAX_HOPS + 1):
        raise ValueError(f"hops must be 1 to {MAX_HOPS}, not {hops!r}")


def _in_compositions(path: Path, wanted: Compositions) -> bool:
    return wanted == "all" or is_heldout_composition(path.relations) == (wanted == "heldout")


def _names_any(text: str, names: tuple[str, ...]) -> bool:
    """Tell whether any of `names` occurs in `text` as whole words, ignoring case.

    >>> _names_any("Who built the Tavom Bridge?", ("tavom",)), _names_any("Who is Tavomir?", ("tavom",))
    (True, False)
    """
    words = f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "
    return any(f" {' '.join(re.findall(r'[a-z0-9]+', name.lower()))} " in words for name in names)
