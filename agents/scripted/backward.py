"""Chains of facts that end in a given answer, found from the answer backwards."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeAlias

from agents.scripted.notes import Notes
from ssp_env.worlds import TerseFact
from ssp_env.worlds.schema import SCHEMAS

Chain: TypeAlias = tuple[TerseFact, ...]
"""Facts from the answer backwards: each has the subject of the one before it as its target."""


class BackwardSearch:
    """What the passages shown so far allow a proposer to ask, and what it should search for next.

    Args:
        answer: Where every chain ends.
        hops: Length of the longest chain wanted, at least 1.
        notes: Passages and searches of the conversation.
    """

    def __init__(self, answer: str, hops: int, notes: Notes) -> None:
        self._answer = answer
        self._hops = hops
        self._searches = notes.searches
        self._about: dict[str, set[str]] = defaultdict(set)
        self._pointing_to: dict[str, list[TerseFact]] = defaultdict(list)
        for fact in notes.facts:
            self._about[fact.subject].add(fact.relation)
            self._pointing_to[fact.target].append(fact)
        self._chains = self._extensions(())

    def _extensions(self, chain: Chain) -> list[Chain]:
        """Return the chain and every longer one; none passes an entity twice."""
        if len(chain) == self._hops:
            return [chain]
        passed = {self._answer, *(fact.subject for fact in chain)}
        found = [chain]
        for fact in self._pointing_to[self._end(chain)]:
            if fact.subject not in passed:
                found += self._extensions((*chain, fact))
        return found

    def _end(self, chain: Chain) -> str:
        return chain[-1].subject if chain else self._answer

    def longest(self) -> list[Chain]:
        """Return the longest chains known; none if no fact points to the answer."""
        length = max(map(len, self._chains))
        return [chain for chain in self._chains if len(chain) == length] if length else []

    def reason_for(self, query: str) -> Chain:
        """Return the fact through which a chain reached the searched entity; none for other queries."""
        return next((chain[-1:] for chain in self._chains if chain and chain[-1].subject == query), ())

    def next_queries(self) -> list[str]:
        """Return new queries, equally good, for chains as long as possible; none if all are made.

        An entity's name alone brings its own passage and the first passages that mention it. With a relation
        that can point to it, a passage that has both words comes up instead.
        """
        for length in range(max(map(len, self._chains)), -1, -1):
            ends = sorted({self._end(chain) for chain in self._chains if len(chain) == length})
            # An entity that its own search showed no mention of has none.
            mentioned = [end for end in ends if self._pointing_to[end]]
            retries = [f"{end} {relation}" for end in mentioned for relation in self._untried_relations(end)]
            for queries in (ends, retries):
                if fresh := [query for query in queries if query not in self._searches]:
                    return fresh
        return []

    def _untried_relations(self, entity: str) -> list[str]:
        """Return relations whose targets are of the entity's kind, without those seen pointing to it."""
        relations_of = {kind.name: kind.relations for kind in SCHEMAS["core"]}
        own = self._about[entity]
        kinds = {name for name, relations in relations_of.items() if own <= {r.word for r in relations}}
        fitting = {r.word for relations in relations_of.values() for r in relations if r.range in kinds}
        return sorted(fitting - {fact.relation for fact in self._pointing_to[entity]})
