"""What kinds of things a world holds and which facts connect them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

from ssp_env.worlds.hashing import below, draw, text_key

SchemaName = Literal["core", "full"]

# One adjacent pair of relations in this many is kept for the compositional held-out split.
_HELDOUT_PAIR_PERIOD = 5


@dataclass(frozen=True, slots=True)
class Relation:
    """An entity-valued attribute: each subject of the domain has at most one value.

    Attributes:
        word: The relation's name, a single lower-case word; domains may share it.
        range: Name of the type its values have.
    """

    word: str
    range: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """A literal attribute.

    Attributes:
        word: The attribute's name, a single lower-case word.
        low: Smallest value; with `after`, smallest delay in years.
        high: Largest value or delay, inclusive.
        after: Relation words; the value comes `low..high` years after the latest date among the page's
            targets under these relations (a person's date is coming of age, 22), so that no chronology
            contradicts itself.
    """

    word: str
    low: int
    high: int
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EntityType:
    """A kind of entity: its entity-valued attributes, its year and one amount."""

    name: str
    relations: tuple[Relation, ...]
    year: Quantity
    amount: Quantity

    @property
    def words(self) -> tuple[str, ...]:
        """The words of all its attributes."""
        return (*(relation.word for relation in self.relations), self.year.word, self.amount.word)


def _relations(**ranges: str) -> tuple[Relation, ...]:
    return tuple(Relation(word, target) for word, target in ranges.items())


_CORE = (
    EntityType(
        "person",
        _relations(birthplace="city", school="university", employer="company", biographer="person"),
        Quantity("born", 1826, 1845),
        Quantity("letters", 120, 2400),
    ),
    EntityType(
        "city",
        _relations(mayor="person", architect="person", employer="company"),
        Quantity("recorded", 900, 1500),
        Quantity("population", 9_000, 640_000),
    ),
    EntityType(
        "company",
        _relations(director="person", seat="city", supplier="company"),
        Quantity("established", 1700, 1815),
        Quantity("workers", 90, 9_000),
    ),
    EntityType(
        "university",
        _relations(rector="person", seat="city", sponsor="company"),
        Quantity("chartered", 1410, 1780),
        Quantity("students", 400, 18_000),
    ),
)

# What the full schema adds to a core type.
_WIDER = {
    "person": _relations(archive="museum", award="award"),
    "city": _relations(country="country", river="river"),
    "company": _relations(product="mineral"),
    "university": (),
}

_FULL = (
    *(EntityType(t.name, t.relations + _WIDER[t.name], t.year, t.amount) for t in _CORE),
    EntityType(
        "country",
        _relations(president="person", river="river", export="mineral"),
        Quantity("proclaimed", 8, 25, ("president",)),
        Quantity("area", 11_000, 900_000),
    ),
    EntityType(
        "river",
        _relations(explorer="person", mouth="city", source="country"),
        Quantity("surveyed", 2, 20, ("explorer",)),
        Quantity("length", 60, 2_900),
    ),
    EntityType(
        "museum",
        _relations(architect="person", seat="city", exhibit="opera"),
        Quantity("opened", 4, 25, ("architect",)),
        Quantity("objects", 2_000, 250_000),
    ),
    EntityType(
        "novel",
        _relations(author="person", setting="city", subject="battle", award="award"),
        Quantity("published", 2, 10, ("author", "subject", "award")),
        Quantity("chapters", 12, 88),
    ),
    EntityType(
        "opera",
        _relations(composer="person", setting="city", source="novel"),
        Quantity("premiered", 2, 10, ("composer", "source")),
        Quantity("performances", 20, 900),
    ),
    EntityType(
        "bridge",
        _relations(architect="person", river="river", seat="city"),
        Quantity("completed", 3, 12, ("architect",)),
        Quantity("span", 35, 1_200),
    ),
    EntityType(
        "battle",
        _relations(victor="person", site="bridge", country="country"),
        Quantity("fought", 1, 6, ("victor", "site")),
        Quantity("losses", 300, 19_000),
    ),
    EntityType(
        "award",
        _relations(founder="person", seat="city", sponsor="company"),
        Quantity("instituted", 3, 15, ("founder",)),
        Quantity("prize", 500, 60_000),
    ),
    EntityType(
        "mineral",
        _relations(explorer="person", source="country", namesake="person"),
        Quantity("described", 2, 24, ("explorer",)),
        Quantity("deposits", 3, 240),
    ),
)

SCHEMAS = MappingProxyType({"core": _CORE, "full": _FULL})
"""Schema name -> its types, each with at least three relations."""

# Types repeat along the entity numbers in these patterns, so every slice of a world is mixed.
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
        """Lay out `entities` entities of the named schema; nothing is stored per entity."""
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
    """Tell whether a path is kept for the compositional held-out split.

    One adjacent pair of relations in five is held out, in every world alike; a path is held out if any
    of its pairs is (after CLUTRR: hold out compositions, not only instances). One hop never is.

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
