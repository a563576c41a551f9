"""The terse rendering: facts and questions as single lower-case words, for word-level tiny models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ssp_env.worlds.config import NAME_POOL, WorldConfig
from ssp_env.worlds.graph import WORLD_VERSION, Amount, FactGraph
from ssp_env.worlds.hashing import shuffled, text_key
from ssp_env.worlds.schema import SCHEMAS

TERSE_RELATIONS: tuple[str, ...] = tuple(sorted({r.word for t in SCHEMAS["core"] for r in t.relations}))
"""The relation words of terse worlds, sorted."""

_MARKS = (";", "?", "of")
_NOT_NAMES = frozenset((*TERSE_RELATIONS, *_MARKS))


class TerseQuestion(NamedTuple):
    """A parsed question: its relation words in reading order, and the entity from which they are followed."""

    relations: tuple[str, ...]
    entity: str


class TerseFact(NamedTuple):
    """One fact of a terse passage."""

    subject: str
    relation: str
    target: str


def terse_vocabulary() -> tuple[str, ...]:
    """Return every word that terse worlds and their questions may contain, sorted."""
    return tuple(sorted((*NAME_POOL, *_NOT_NAMES)))


def render_question(relations: Sequence[str], entity: str) -> str:
    """Write a path as a terse question.

    >>> render_question(("mayor", "birthplace"), "tavom")
    'mayor of birthplace of tavom ?'
    """
    return " of ".join((*relations, entity)) + " ?"


def parse_question(question: str) -> TerseQuestion | None:
    """Parse a terse question, or return None if it is not in the grammar.

    >>> parse_question("mayor of birthplace of tavom ?")
    TerseQuestion(relations=('mayor', 'birthplace'), entity='tavom')
    >>> parse_question("mayor birthplace tavom ?") is None
    True
    """
    words = question.split()
    if len(words) < 4 or len(words) % 2 or words[-1] != "?":
        return None
    *relations, entity = words[0:-1:2]
    if entity in _NOT_NAMES or set(words[1:-1:2]) != {"of"} or not set(relations) <= set(TERSE_RELATIONS):
        return None
    return TerseQuestion(tuple(relations), entity)


def render_facts(facts: Iterable[tuple[str, str, str]]) -> str:
    """Write (subject, relation, target) triples as the text of a terse passage."""
    return " ".join(word for fact in facts for word in fact)


def parse_facts(text: str) -> list[TerseFact]:
    """Read the facts in one terse passage or in several joined by ";"; words that form no fact are skipped.

    >>> parse_facts("tavom birthplace corun tavom school sarn ; corun mayor tavom")[2]
    TerseFact(subject='corun', relation='mayor', target='tavom')
    """
    facts = []
    for passage in text.split(" ; "):
        words = passage.split()
        for place in range(0, len(words) - 2, 3):
            subject, relation, target = words[place : place + 3]
            if relation in TERSE_RELATIONS and not {subject, target} & _NOT_NAMES:
                facts.append(TerseFact(subject, relation, target))
    return facts


class TerseRendering:
    """Names, passages and questions of one terse world."""

    def __init__(self, config: WorldConfig, graph: FactGraph) -> None:
        """Assign the names of the pool to the entities, in an order that depends on the world."""
        self._graph = graph
        self._names = shuffled(text_key("names", WORLD_VERSION, config.split, config.index), NAME_POOL)

    def name(self, index: int) -> str:
        """Return the name of an entity."""
        return self._names[index]

    def aliases(self, index: int) -> tuple[str, ...]:
        """Return no aliases: a terse name is one word."""
        return ()

    def amounts(self, index: int) -> tuple[Amount, ...]:
        """Return no amounts: a terse passage states links only."""
        return ()

    def text(self, index: int) -> str:
        """Return the text of an entity's passage: one fact per link, each with its subject."""
        return render_facts(
            (self._names[index], link.relation, self._names[link.target]) for link in self._graph.links(index)
        )

    def question(self, relations: Sequence[str], entities: Sequence[int]) -> str:
        """Write a question about a path, whose relations are in reading order."""
        return render_question(relations, self._names[entities[0]])

    def parse(self, question: str) -> TerseQuestion | None:
        """Parse a question, or return None if it is not in the grammar."""
        return parse_question(question)
