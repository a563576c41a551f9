"""The facts of a world as numbers: who is linked to whom, and every year and amount."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ssp_env.worlds.config import WorldConfig
from ssp_env.worlds.hashing import below, draw, text_key
from ssp_env.worlds.schema import SCHEMAS, EntityType, Layout, Quantity, Relation

WORLD_VERSION = 1
"""Raised whenever the same configuration would give other bytes."""

COMING_OF_AGE = 22
_UNDATED = 1860
_CACHED_PAGES = 4096

_FIELDS = {word: text_key("field", word) for kind in SCHEMAS["full"] for word in kind.words}
_ORDER = text_key("order")


class Link(NamedTuple):
    """One entity-valued fact: a relation word and the number of the target entity."""

    relation: str
    target: int


class Amount(NamedTuple):
    """One literal fact: a quantity word and its value."""

    quantity: str
    value: int


class FactGraph:
    """Random access to the facts of any entity; memory does not grow with the world."""

    def __init__(self, config: WorldConfig) -> None:
        """Prepare the graph of `config`; its rendering plays no part."""
        self.layout = Layout(config.schema, config.entities)
        self._entities = config.entities
        self._links = config.links
        self._key = text_key(
            "graph", WORLD_VERSION, config.split, config.index, config.schema, config.entities, config.links
        )
        # Dates look up the pages they follow, so recent pages are worth keeping.
        self.links = lru_cache(maxsize=_CACHED_PAGES)(self._find_links)

    def kind(self, index: int) -> EntityType:
        """Return the type of an entity."""
        return self.layout.locate(index)[0]

    def _find_links(self, index: int) -> tuple[Link, ...]:
        """Return the entity-valued facts on an entity's page, in page order, targets all different."""
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
        """Draw a target of low rank more often (fame), then step past those already on the page."""
        count = self.layout.count(relation.range)
        uniform = draw(key, _FIELDS[relation.word])
        # Half of the links fall evenly; for the rest density falls with the root of the rank.
        rank = below(uniform if uniform & 1 else below(uniform, uniform), count)
        target = self.layout.index(relation.range, rank)
        while target in taken:
            rank = (rank + 1) % count
            target = self.layout.index(relation.range, rank)
        return target

    def year(self, index: int) -> Amount:
        """Return the year that holds of an entity, consistent with the years of what its page names."""
        quantity = self.kind(index).year
        year = self._literal(index, quantity)
        if quantity.after:
            targets = [link.target for link in self.links(index) if link.relation in quantity.after]
            year += max(map(self._date, targets), default=_UNDATED)
        return Amount(quantity.word, year)

    def amount(self, index: int) -> Amount:
        """Return the amount that holds of an entity."""
        quantity = self.kind(index).amount
        return Amount(quantity.word, self._literal(index, quantity))

    def _literal(self, index: int, quantity: Quantity) -> int:
        bits = draw(self._key, index, _FIELDS[quantity.word])
        return quantity.low + below(bits, quantity.high - quantity.low + 1)

    def _date(self, index: int) -> int:
        """Return the year a person comes of age, or the year known of anything else."""
        grown = COMING_OF_AGE if self.kind(index).name == "person" else 0
        return self.year(index).value + grown
