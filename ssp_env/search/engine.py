"""What every search engine offers, and what engines that hold their corpus have in common."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np

from ssp_env.game.passage import Passage as Passage
from ssp_env.objects import check_least


@runtime_checkable
class SearchEngine(Protocol):
    """Ranked retrieval over a fixed corpus, batched first."""

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return at most `top_k` passages per query, best first, ties broken by passage id.

        Args:
            queries: Texts to search for; any string. Blank ones find nothing.
            top_k: Most passages to return per query, at least 1.

        Raises:
            TypeError: If `queries` is a single string or holds something that is not one.
            ValueError: If `top_k` is below 1.
        """

    def fingerprint(self) -> str:
        """Return a hash of corpus and index settings; equal fingerprints rank equally."""


@runtime_checkable
class PassageSampler(Protocol):
    """A corpus that can hand out random passages, used as noise in the RAG check."""

    def sample(self, rng: np.random.Generator, count: int, exclude: Collection[str]) -> list[Passage]:
        """Draw distinct passages uniformly.

        Args:
            rng: Source of randomness; the only one.
            count: Passages to draw, 0 or more.
            exclude: Ids that must not be drawn; ids outside the corpus are ignored.

        Returns:
            `count` passages in random order, or all that are left if there are fewer.

        Raises:
            ValueError: If `count` is negative.
        """


@runtime_checkable
class PassageStore(Protocol):
    """A corpus that gives passages out by their ids, so that players can open the parts of a page."""

    def get_passages(self, ids: Sequence[str]) -> list[Passage | None]:
        """Return the passage of each id, None where there is none."""


class PassagesByNumber(Protocol):
    """Passages by number, from a list or from a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Passage: ...


def check_search(queries: Sequence[str], top_k: int) -> None:
    """Raise what `SearchEngine.search` promises for queries that are no strings, and for `top_k` below 1."""
    if isinstance(queries, str):
        raise TypeError("search expects a sequence of strings, got a single string: pass [query]")
    if not all(isinstance(query, str) for query in queries):
        kinds = sorted({type(query).__name__ for query in queries})
        raise TypeError(f"search expects a sequence of strings, got {', '.join(kinds)}")
    check_least(1, top_k=top_k)


def check_corpus(passages: Sequence[Passage]) -> None:
    """Raise ValueError if there is no passage, or two of the passages, sorted by id, share an id."""
    if not passages:
        raise ValueError("a search engine needs at least one passage, got an empty corpus")
    for first, second in pairwise(passages):
        if first.id == second.id:
            raise ValueError(
                f"passage ids must be unique, got {first.id!r} twice: {first.title!r} and {second.title!r}"
            )


def hashed_bytes(passage: Passage) -> bytes:
    """Return what hashes of a corpus are made of: id, title and text, each after its length in bytes."""
    parts = [part.encode("utf-8", "surrogatepass") for part in (passage.id, passage.title, passage.text)]
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)


def passages_by_id(passages: PassagesByNumber, ids: Sequence[str]) -> list[Passage | None]:
    """Return the passage of each id from passages sorted by id, as `PassageStore.get_passages` says."""
    return [_passage_of(passages, identifier) for identifier in ids]


def _passage_of(passages: PassagesByNumber, identifier: str) -> Passage | None:
    row = bisect_left(range(len(passages)), identifier, key=lambda row: passages[row].id)
    found = passages[row] if row < len(passages) else None
    return found if found is not None and found.id == identifier else None


def sample_passages(
    passages: PassagesByNumber, rng: np.random.Generator, count: int, exclude: Collection[str]
) -> list[Passage]:
    """Draw distinct passages uniformly, as `PassageSampler.sample` says."""
    if count < 0:
        raise ValueError(f"count must be 0 or more, got {count}")
    excluded = frozenset(exclude)
    # As many spares as could be excluded: dropping those leaves a uniform draw of the others.
    size = min(len(passages), count + len(excluded))
    drawn = rng.choice(len(passages), size=size, replace=False)
    kept = (passages[row] for row in drawn.tolist())
    return [passage for passage in kept if passage.id not in excluded][:count]
