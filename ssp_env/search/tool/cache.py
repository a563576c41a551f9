"""A bounded cache of search results, least recently used out first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock

from ssp_env.passage import Passage


class ResultCache:
    """Results by fingerprint of the engine, query and `top_k`; may be shared by tools and threads.

    Only results are kept, no failures. What comes out is a new list, so that nobody changes the cache. A copy
    that was pickled is empty.

    Args:
        size: Most results to keep, 0 or more; with 0 nothing is kept.

    Attributes:
        hits: Queries answered from the cache so far.
        misses: Queries that were not in it.

    Raises:
        ValueError: If `size` is negative.
    """

    def __init__(self, size: int = 1024) -> None:
        if size < 0:
            raise ValueError(f"size must be 0 or more, got {size}")
        self.size = size
        self.hits = self.misses = 0
        self._kept: OrderedDict[tuple[str, str, int], tuple[Passage, ...]] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[ResultCache], tuple[int]]:
        return type(self), (self.size,)

    def __len__(self) -> int:
        """Return the number of results kept."""
        return len(self._kept)

    def known(self, fingerprint: str, queries: Iterable[str], top_k: int) -> dict[str, list[Passage]]:
        """Return the results at hand, by query."""
        known = {}
        with self._lock:
            for query in queries:
                key = (fingerprint, query, top_k)
                if key in self._kept:
                    self._kept.move_to_end(key)
                    known[query] = list(self._kept[key])
                    self.hits += 1
                else:
                    self.misses += 1
        return known

    def keep(self, fingerprint: str, results: Mapping[str, Iterable[Passage]], top_k: int) -> None:
        """Store results by query."""
        with self._lock:
            for query, found in results.items():
                key = (fingerprint, query, top_k)
                self._kept[key] = tuple(found)
                self._kept.move_to_end(key)
            while len(self._kept) > self.size:
                self._kept.popitem(last=False)
