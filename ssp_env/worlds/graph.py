"""The facts of a world as numbers: the links between entities, and the year and the amount of each entity."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ssp_env.worlds.config import WorldConfig
from ssp_env.worlds.hashing import below, draw, text_key
from ssp_env.worlds.schema import SCHEMAS, EntityType, Layout, Quantity, Relation

WORLD_VERSION = 1
"""Increased whenever the same configuration would give a different world."""

COMING_OF_AGE = 22
_UNDATED = 1860
_CACHED_LINKS = 4096

_FIELDS = {word: text_key("field", word) for kind in SCHEMAS["full"] for word in kind.words}
_ORDER = text_key("order")


class Link(NamedTuple):
    """A fact about another entity: the relation word and the number of the target entity."""

    relation: str
    target: int


class Amount(NamedTuple):
    """A fact with a number as its value: the quantity word and the value."""

    quantity: str
    value: int


class FactGraph:
    """Random access to the facts of any entity; memory does not grow with the world."""

    def __init__(self, config: WorldConfig) -> None:
        """Prepare the graph of `config`, which does not depend on its rendering."""
        self.layout = Layout(config.schema, config.entities)
        self._entities = config.entities
        self._links = config.links
        self._key = text_key(
            "graph", WORLD_VERSION, config.split, config.index, config.schema, config.entities, config.links
        )
        # The year of an entity depends on the years of its targets, so the same links are used repeatedly.
        self.links = lru_cache(maxsize=_CACHED_LINKS)(self._find_links)

    def kind(self, index: int) -> EntityType:
        """Return the type of an entity."""
        return self.layout.locate(index)[0]

    def _find_links(self, index: int) -> tuple[Link, ...]:
        """Return the links of an entity, in the order of its passage; all targets are different."""
        kind = self.kind(index)
        key = draw(self._key, index)
        order = sorted(kind.relations, key=lambda relation: draw(key, _FIELDS[relation.word] ^ _ORDER))
        taken = {index}
        links = []
        for relation in order[: self._links]:
            target = self._target(key, relation, taken)
            taken.add(target)
            links.append(Link(relation.word, target))
        return tuple(links)

    def _target(self, key: int, relation: Relation, taken: set[int]) -> int:
        """Draw a target, more often one of low rank (a famous entity); targets already taken are skipped."""
        count = self.layout.count(relation.range)
        uniform = draw(key, _FIELDS[relation.word])
        # Half of the links are uniform; the density of the others falls with the square root of the rank.
        rank = below(uniform if uniform & 1 else below(uniform, uniform), count)
        target = self.layout.index(relation.range, rank)
        while target in taken:
            rank = (rank + 1) % count
            target = self.layout.index(relation.range, rank)
        return target

    def year(self, index: int) -> Amount:
        """Return the year of an entity, consistent with the years of the entities that its passage names."""
        quantity = self.kind(index).year
        year = self._literal(index, quantity)
        if quantity.after:
            targets = [link.target for link in self.links(index) if link.relation in quantity.after]
            year += max(map(self._date, targets), default=_UNDATED)
        return Amount(quantity.word, year)

    def amount(self, index: int) -> Amount:
        """Return the amount of an entity."""
        quantity = self.kind(index).amount
        return Amount(quantity.word, self._literal(index, quantity))

    def _literal(self, index: int, quantity: Quantity) -> int:
        bits = draw(self._key, index, _FIELDS[quantity.word])
        return quantity.low + below(bits, quantity.high - quantity.low + 1)

    def _date(self, index: int) -> int:
        """Return the year in which a person comes of age, or the year of an entity of another type."""
        grown = COMING_OF_AGE if self.kind(index).name == "person" else 0
        return self.year(index).value + grown
