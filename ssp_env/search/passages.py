"""What engines that hold their corpus have in common: what a corpus is, and drawing from it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from ssp_env.passage import Passage


class Pages(Protocol):
    """Passages by number, from a list or from a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Passage: ...


def check_corpus(passages: Sequence[Passage]) -> None:
    """Raise ValueError unless the passages, sorted by id, are a corpus."""
    if not passages:
        raise ValueError("a search engine needs at least one passage, got an empty corpus")
    for first, second in pairwise(passages):
        if first.id == second.id:
            raise ValueError(
                f"passage ids must be unique, got {first.id!r} twice: {first.title!r} and {second.title!r}"
            )


def sample_passages(
    passages: Pages, rng: np.random.Generator, count: int, exclude: Collection[str]
) -> list[Passage]:
    """Draw distinct passages uniformly, as `PassageSampler.sample` promises.

    Raises:
        ValueError: If `count` is negative.
    """
    if count < 0:
        raise ValueError(f"count must be 0 or more, got {count}")
    excluded = frozenset(exclude)
    # As many spares as could be excluded: dropping those leaves a uniform draw of the others.
    size = min(len(passages), count + len(excluded))
    drawn = rng.choice(len(passages), size=size, replace=False)
    kept = (passages[row] for row in drawn.tolist())
    return [passage for passage in kept if passage.id not in excluded][:count]
