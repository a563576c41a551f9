"""Several engines as one, by reciprocal rank fusion of their rankings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import fsum, isfinite

from ssp_env.game.passage import Passage
from ssp_env.objects import check_least
from ssp_env.search.engine import PassageSampler, PassageStore, SearchEngine, check_search


class HybridEngine:
    """Reciprocal rank fusion (Cormack, Clarke & Buettcher 2009, SIGIR).

    A passage scores the sum of `weight / (k + rank)` over the engines that found it; equal scores are
    ordered by passage id. Passages with the same id are one passage, with the text of the first engine that
    found it. `sample` and `get_passages` are those of the first engine that has the method, and missing if
    none has.

    Args:
        engines: At least one engine; engines over the same corpus, as a rule.
        weights: One positive weight per engine; all 1 when None.
        k: Dampens the lead of first ranks; 60 in the paper.
        depth: Passages requested from each engine for a query, whatever `top_k` is, so that the results of a
            small `top_k` are the first ones of a larger one. At most `depth` times the number of engines are
            returned.

    Raises:
        ValueError: If there is no engine, weights do not fit the engines, or a number is out of range.

    >>> from ssp_env.search.bm25 import BM25Engine
    >>> passages = [Passage("a", "Rhine", "A river."), Passage("b", "Alps", "Mountains and a river.")]
    >>> hybrid = HybridEngine([BM25Engine(passages), BM25Engine(passages, stem=False)])
    >>> [(found.id, round(found.score, 4)) for found in hybrid.search(["rivers of the Alps"], top_k=2)[0]]
    [('b', 0.0328), ('a', 0.0161)]
    """

    def __init__(
        self,
        engines: Sequence[SearchEngine],
        *,
        weights: Sequence[float] | None = None,
        k: float = 60,
        depth: int = 100,
    ) -> None:
        if not engines:
            raise ValueError("a hybrid engine needs at least one engine, got none")
        weights = [1.0] * len(engines) if weights is None else [float(weight) for weight in weights]
        if len(weights) != len(engines):
            raise ValueError(f"expected one weight per engine, got {len(weights)} for {len(engines)}")
        if not all(isfinite(weight) and weight > 0 for weight in weights):
            raise ValueError(f"weights must be positive numbers, got {weights}")
        if not (isfinite(k) and k >= 0):
            raise ValueError(f"k must be 0 or more, got {k}")
        check_least(1, depth=depth)
        self._engines = list(engines)
        self._weights = weights
        self._k = k
        self._depth = depth
        for engine in reversed(engines):
            if isinstance(engine, PassageSampler):
                self.sample: Callable[..., list[Passage]] = engine.sample
            if isinstance(engine, PassageStore):
                self.get_passages: Callable[..., list[Passage | None]] = engine.get_passages

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the passages of the joined ranking for each query, as `SearchEngine.search` says.

        Raises:
            ValueError: Also if an engine returns another number of results than queries.
            SearchError: Any that an engine raises.
        """
        check_search(queries, top_k)
        rankings = [engine.search(queries, self._depth) for engine in self._engines]
        return [self._fuse(found)[:top_k] for found in zip(*rankings, strict=True)]

    def fingerprint(self) -> str:
        """Return the sha256 of the settings and of the engines' fingerprints, in order."""
        parts = [f"rrf k={self._k} depth={self._depth} weights={self._weights}"]
        parts += [engine.fingerprint() for engine in self._engines]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _fuse(self, rankings: Sequence[Sequence[Passage]]) -> list[Passage]:
        shares: dict[str, list[float]] = {}
        passages: dict[str, Passage] = {}
        for weight, ranking in zip(self._weights, rankings, strict=True):
            distinct = dict.fromkeys(passage.id for passage in ranking)
            for rank, identifier in enumerate(distinct, start=1):
                shares.setdefault(identifier, []).append(weight / (self._k + rank))
            for passage in ranking:
                passages.setdefault(passage.id, passage)
        # fsum: the same ranks from other engines must be a tie, whatever the order of the sum.
        fused = [replace(passages[identifier], score=fsum(parts)) for identifier, parts in shares.items()]
        return sorted(fused, key=lambda passage: (-passage.score, passage.id))
