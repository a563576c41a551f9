"""An engine that loses some of what another one finds: how much does a player depend on good retrieval?"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import numpy as np

from ssp_env.game.passage import Passage
from ssp_env.search.engine import PassageSampler, SearchEngine


class DegradedEngine:
    """Drops each passage of a result with a fixed probability, always the same ones for the same query.

    Args:
        engine: What searches.
        drop: Probability that a passage is lost, from 0 to below 1.
        seed: Chooses which.

    Raises:
        ValueError: If the probability is out of its range.

    >>> from ssp_env.search import BM25Engine
    >>> engine = DegradedEngine(BM25Engine([Passage("1", "Corun", "A town.")]), drop=0.0)
    >>> [passage.title for passage in engine.search(["town"], top_k=1)[0]]
    ['Corun']
    """

    def __init__(self, engine: SearchEngine, drop: float, seed: int = 0) -> None:
        if not 0 <= drop < 1:
            raise ValueError(f"drop must be from 0 to below 1, got {drop}")
        self.engine = engine
        self.drop = drop
        self.seed = seed

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Search, and lose some of the results; what is lost is not replaced."""
        found = self.engine.search(queries, top_k)
        return [
            [passage for passage in passages if not self._is_lost(query, passage.id)]
            for query, passages in zip(queries, found, strict=True)
        ]

    def fingerprint(self) -> str:
        """Return the fingerprint of the engine, changed by what is lost."""
        text = f"degraded {self.drop!r} {self.seed} {self.engine.fingerprint()}"
        return hashlib.sha256(text.encode()).hexdigest()

    def sample(self, rng: np.random.Generator, count: int, exclude: Collection[str]) -> list[Passage]:
        """Draw noise passages from the engine, of which none is lost.

        Raises:
            TypeError: If the engine has no passages to draw.
        """
        if not isinstance(self.engine, PassageSampler):
            raise TypeError(f"{type(self.engine).__name__} has no passages to draw noise from")
        return self.engine.sample(rng, count, exclude)

    def _is_lost(self, query: str, passage_id: str) -> bool:
        key = "\x1f".join((str(self.seed), query, passage_id)).encode()
        draw = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
        return draw < self.drop * 2**64
