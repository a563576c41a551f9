"""Dense retrieval: passages and queries as vectors, ranked by inner product, in memory or in a directory."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from ssp_env.game.passage import Passage
from ssp_env.search.encoders import Encoder
from ssp_env.search.engine import check_corpus, check_search, hashed_bytes, sample_passages
from ssp_env.search.vector_index import (
    Flat,
    IndexKind,
    Vectors,
    build_index,
    candidates,
    load_faiss,
    open_index,
    save_index,
)

_FORMAT = 1
_MANIFEST, _VECTORS, _INDEX = "manifest.json", "vectors.npy", "index.faiss"

# Approximate indexes are asked for at least this many, and for some times as many as are wanted: the exact
# scores of all of them decide, so a small `top_k` is a cut of a larger one.
_MIN_CANDIDATES = 100
_REFINE_FACTOR = 4

# Scores are cosines or of that size, and float32 sums of another order differ by less than this.
_SCORE_NOISE = 1e-5
_SCORE_DIGITS = 6
_TIE_MARGIN = 8


class DenseEngine:
    """Ranking of a fixed corpus by the inner product of vectors, batched and deterministic.

    The candidates of the index are scored again with their whole vectors; passages whose scores are equal to
    six digits are ordered by id. A blank query finds nothing.

    Args:
        passages: The corpus; ids must be unique. Held in memory, so that passages come back whole.
        encoder: Makes the vectors. Not called for passages when a directory is reopened.
        index: `Flat()` compares every vector, `HNSW()` and `IVFPQ()` are approximate and faster.
        path: Directory for vectors and index, which are then memory-mapped; they are held in memory if None.
            A directory of the same corpus, encoder and settings is opened; any other content is refused.

    Raises:
        ModuleNotFoundError: If faiss is missing; the message names the extra.
        ValueError: If the corpus is empty, two passages share an id, the encoder returns anything but
            finite float32 vectors, or `path` holds something else.
    """

    def __init__(
        self,
        passages: Iterable[Passage],
        encoder: Encoder,
        *,
        index: IndexKind = Flat(),  # noqa: B008 - frozen
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        self._faiss_version: str = load_faiss().__version__
        self._passages = sorted(passages, key=attrgetter("id"))
        check_corpus(self._passages)
        self._encoder = encoder
        self._kind = index
        self._fingerprint: str | None = None
        if path is None:
            vectors = encoder.passages(self._passages)
            self._vectors, self._index = vectors, build_index(vectors, index)
        else:
            self._vectors, self._index = self._open(Path(path))

    def __len__(self) -> int:
        """Return the number of passages."""
        return len(self._passages)

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the nearest passages for each query, with their scores, as `SearchEngine.search` says."""
        check_search(queries, top_k)
        asked = list(dict.fromkeys(query for query in queries if query.strip()))
        if not asked:
            return [[] for _ in queries]
        vectors = self._encoder.queries(asked)
        if vectors.shape[1] != self._vectors.shape[1]:
            raise ValueError(
                f"expected query vectors of dimension {self._vectors.shape[1]}, got {vectors.shape[1]}"
            )
        found = dict(zip(asked, self._nearest(vectors, min(top_k, len(self))), strict=True))
        return [list(found.get(query, ())) for query in queries]

    def fingerprint(self) -> str:
        """Return the sha256 of corpus, encoder, index settings and the version of faiss."""
        if self._fingerprint is None:
            settings = f"dense {_FORMAT} faiss={self._faiss_version} {self._kind} {self._encoder.settings()}"
            digest = hashlib.sha256(f"{settings}\n".encode())
            for passage in self._passages:
                digest.update(hashed_bytes(passage))
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def sample(self, rng: np.random.Generator, count: int, exclude: Collection[str] = ()) -> list[Passage]:
        """Draw up to `count` distinct passages uniformly, as `PassageSampler.sample` says."""
        return sample_passages(self._passages, rng, count, exclude)

    def _nearest(self, queries: Vectors, top_k: int) -> list[list[Passage]]:
        if isinstance(self._kind, Flat):
            limit = min(top_k + _TIE_MARGIN, len(self))
        else:
            limit = min(max(_MIN_CANDIDATES, _REFINE_FACTOR * top_k), len(self))
        scores, rows = candidates(self._vectors, self._index, self._kind, queries, limit)
        nearest = []
        for query, query_scores, query_rows in zip(queries, scores, rows, strict=True):
            wider = limit
            # A tie across the cut is seen whole, or the order of ids could not decide it.
            while isinstance(self._kind, Flat) and wider < len(self):
                if query_scores[-1] < query_scores[top_k - 1] - _SCORE_NOISE:
                    break
                wider = min(4 * wider, len(self))
                found = candidates(self._vectors, self._index, self._kind, query[None], wider)
                query_scores, query_rows = found[0][0], found[1][0]
            nearest.append(self._ranked(query, query_rows[query_rows >= 0], top_k))
        return nearest

    def _ranked(self, query: Vectors, rows: np.ndarray[Any, np.dtype[np.int64]], top_k: int) -> list[Passage]:
        # Row by row in float64: the score of a passage must not depend on what it is compared with.
        exact = (self._vectors[rows].astype(np.float64) * query.astype(np.float64)).sum(axis=1)
        exact = exact.round(_SCORE_DIGITS)
        # Passages are numbered in the order of their ids.
        order = np.lexsort((rows, -exact))[:top_k]
        return [replace(self._passages[rows[place]], score=float(exact[place])) for place in order]

    def _open(self, path: Path) -> tuple[Vectors, Any]:
        if path.exists() and not path.is_dir():
            raise ValueError(f"the index needs a directory, got the file {path}")
        if not path.exists() or not any(path.iterdir()):
            self._build_directory(path)
        if _manifest(path) != self._expected_manifest():
            raise ValueError(
                f"{path} holds something other than the index of this corpus with this encoder and these "
                "settings; choose another directory or delete it"
            )
        vectors = np.load(path / _VECTORS, mmap_mode="r", allow_pickle=False)
        if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(self):
            raise ValueError(f"{path / _VECTORS} is damaged: {vectors.dtype} of shape {vectors.shape}")
        return vectors, None if isinstance(self._kind, Flat) else open_index(path / _INDEX)

    def _build_directory(self, path: Path) -> None:
        """Build aside and rename, so that an interrupted build leaves nothing at `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as workshop:
            building = Path(workshop, "index")
            building.mkdir()
            vectors = self._encoder.passages(self._passages)
            np.save(building / _VECTORS, vectors, allow_pickle=False)
            index = build_index(vectors, self._kind)
            if index is not None:
                save_index(index, building / _INDEX)
            (building / _MANIFEST).write_text(json.dumps(self._expected_manifest(), indent=2) + "\n")
            os.replace(building, path)

    def _expected_manifest(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "fingerprint": self.fingerprint(),
            "passages": len(self),
            "index": str(self._kind),
            "encoder": self._encoder.settings(),
        }


def _manifest(path: Path) -> object:
    try:
        return json.loads((path / _MANIFEST).read_text())
    except (OSError, ValueError):
        return None
