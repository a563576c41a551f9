"""The types of entities in a world with their relations, and which entity numbers belong to which type."""

# ruff: noqa: E501  (a table, one type a line)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

from ssp_env.worlds.hashing import below, draw, text_key

SchemaName = Literal["core", "full"]

# One in this many pairs of adjacent relations is held out for the evaluation of new compositions.
_HELDOUT_PAIR_PERIOD = 5


@dataclass(frozen=True, slots=True)
class Relation:
    """An attribute whose value is an entity; an entity has at most one value of it.

    Attributes:
        word: Name of the relation, a single lower-case word; several types may have a relation of this name.
        range: Name of the type of its values.
    """

    word: str
    range: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """An attribute whose value is a number.

    Attributes:
        word: Name of the attribute, a single lower-case word.
        low: Smallest value; with `after`, smallest delay in years.
        high: Largest value or delay, inclusive.
        after: Relation words; the value is a year, `low` to `high` years after the latest date among the
            targets of these relations, so that no chronology contradicts itself. The date of a person is the
            year in which the person comes of age, at 22.
    """

    word: str
    low: int
    high: int
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EntityType:
    """A type of entity: its relations, its year and its amount."""

    name: str
    relations: tuple[Relation, ...]
    year: Quantity
    amount: Quantity

    @property
    def words(self) -> tuple[str, ...]:
        """The words of all its attributes."""
        return (*(relation.word for relation in self.relations), self.year.word, self.amount.word)


# One type a line: its relations with the types of their values, those of the full schema alone behind them, its
# year and its amount with the least and the greatest value, and for a year the relations that it follows.
_TABLE = """
person | birthplace:city school:university employer:company biographer:person | archive:museum award:award | born 1826 1845 | letters 120 2400
city | mayor:person architect:person employer:company | country:country river:river | recorded 900 1500 | population 9000 640000
company | director:person seat:city supplier:company | product:mineral | established 1700 1815 | workers 90 9000
university | rector:person seat:city sponsor:company | | chartered 1410 1780 | students 400 18000
country | | president:person river:river export:mineral | proclaimed 8 25 president | area 11000 900000
river | | explorer:person mouth:city source:country | surveyed 2 20 explorer | length 60 2900
museum | | architect:person seat:city exhibit:opera | opened 4 25 architect | objects 2000 250000
novel | | author:person setting:city subject:battle award:award | published 2 10 author subject award | chapters 12 88
opera | | composer:person setting:city source:novel | premiered 2 10 composer source | performances 20 900
bridge | | architect:person river:river seat:city | completed 3 12 architect | span 35 1200
battle | | victor:person site:bridge country:country | fought 1 6 victor site | losses 300 19000
award | | founder:person seat:city sponsor:company | instituted 3 15 founder | prize 500 60000
mineral | | explorer:person source:country namesake:person | described 2 24 explorer | deposits 3 240
"""


def _quantity(cell: str) -> Quantity:
    word, low, high, *after = cell.split()
    return Quantity(word, int(low), int(high), tuple(after))


def _types(schema: SchemaName) -> tuple[EntityType, ...]:
    """Read the table; the core schema has the types with relations of their own in it."""
    types = []
    for line in _TABLE.strip().splitlines():
        name, core, wider, year, amount = line.split("|")
        if words := (core if schema == "core" else core + wider).split():
            relations = tuple(Relation(*word.split(":")) for word in words)
            types.append(EntityType(name.strip(), relations, _quantity(year), _quantity(amount)))
    return tuple(types)


SCHEMAS = MappingProxyType({"core": _types("core"), "full": _types("full")})
"""Schema name -> its types, each with at least three relations."""

# Types repeat along the entity numbers in these patterns, so that every range of numbers has several types.
_PATTERNS = {
    "core": "person city company person university city person company person city person university",
    "full": (
        "person city novel company person river person bridge city person university museum "
        "person company city person opera mineral person novel city person country battle "
        "person city river person company person museum university city person award person "
        "bridge city person opera company person novel mineral person city river person"
    ),
}


class Layout:
    """Which entity numbers belong to which type, in a world of a given size."""

    def __init__(self, schema: SchemaName, entities: int) -> None:
        """Lay out `entities` entities of the named schema; no data is stored per entity."""
        types = {entity_type.name: entity_type for entity_type in SCHEMAS[schema]}
        pattern = _PATTERNS[schema].split()
        self._period = len(pattern)
        self._places: dict[str, list[int]] = {name: [] for name in types}
        self._slots: list[tuple[EntityType, int, int]] = []
        for place, name in enumerate(pattern):
            self._slots.append((types[name], len(self._places[name]), pattern.count(name)))
            self._places[name].append(place)
        whole, rest = divmod(entities, self._period)
        self._counts = {
            name: whole * len(places) + sum(place < rest for place in places)
            for name, places in self._places.items()
        }

    def count(self, type_name: str) -> int:
        """Return how many entities of a type there are."""
        return self._counts[type_name]

    def locate(self, index: int) -> tuple[EntityType, int]:
        """Return the type of entity `index` and its rank among the entities of that type."""
        block, place = divmod(index, self._period)
        entity_type, rank, per_block = self._slots[place]
        return entity_type, block * per_block + rank

    def index(self, type_name: str, rank: int) -> int:
        """Return the entity number of the `rank`-th entity of a type; the inverse of `locate`."""
        places = self._places[type_name]
        block, position = divmod(rank, len(places))
        return block * self._period + places[position]


def is_heldout_composition(relations: Sequence[str]) -> bool:
    """Tell whether a path is held out for the evaluation of new compositions of relations.

    One in five pairs of adjacent relations is held out, the same pairs in every world; a path is held out if it
    contains such a pair (after CLUTRR, which holds out compositions and not only instances). A path of one hop
    is never held out.

    Args:
        relations: Relation words in reading order (outermost first).
    """
    return any(pair in _heldout_pairs() for pair in pairwise(relations))


@cache
def _heldout_pairs() -> frozenset[tuple[str, str]]:
    words = sorted({r.word for t in SCHEMAS["full"] for r in t.relations})
    key = text_key("held-out compositions")
    pairs = [(first, second) for first in words for second in words]
    return frozenset(p for p in pairs if below(draw(key, text_key(*p)), _HELDOUT_PAIR_PERIOD) == 0)
