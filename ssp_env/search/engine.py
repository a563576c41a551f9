"""What every search engine offers: batched ranked retrieval and a fingerprint of what it searched."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from ssp_env.passage import Passage


@runtime_checkable
class SearchEngine(Protocol):
    """Ranked retrieval over a fixed corpus, batched first."""

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return at most `top_k` passages per query, best first, ties broken by passage id."""
        ...

    def fingerprint(self) -> str:
        """Return a hash of corpus and index settings; equal fingerprints rank equally."""
        ...


@runtime_checkable
class PassageSampler(Protocol):
    """A corpus that can hand out random passages, used as noise in the RAG check."""

    def sample(self, rng: np.random.Generator, count: int, exclude: Collection[str]) -> list[Passage]:
        """Return up to `count` distinct passages whose ids are not in `exclude`."""
        ...
