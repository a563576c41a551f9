"""Dense retrieval: vectors ranked by inner product, exhaustively or with faiss's approximate indexes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isqrt
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssp_env.game.passage import Passage
from ssp_env.objects import missing_extra
from ssp_env.search.dense_vectors import Progress, Vectors, clear, encode, resumed, workshop
from ssp_env.search.encoders import Encoder
from ssp_env.search.engine import check_corpus, check_search, hashed_bytes, passages_by_id, sample_passages

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


# faiss wants about this many training vectors per cluster.
_POINTS_PER_CENTROID = 39


@dataclass(frozen=True)
class Flat:
    """Compares every vector: exact, in time that grows with the corpus."""


@dataclass(frozen=True)
class HNSW:
    """A graph of neighbours (Malkov & Yashunin 2018, arXiv 1603.09320): fast, keeps whole vectors.

    Attributes:
        neighbours: Edges per vector (M).
        ef_construction: Candidates looked at while an edge is chosen.
        ef_search: Candidates looked at per query, at least.
    """

    neighbours: int = 32
    ef_construction: int = 200
    ef_search: int = 128


@dataclass(frozen=True)
class IVFPQ:
    """Product-quantised vectors in inverted lists (Jegou et al. 2011): a small index, less exact.

    Attributes:
        lists: Clusters of the coarse quantiser; four times the root of the corpus size when None.
        code_bytes: Sub-vectors of a code, one byte each; must divide the dimension. When None, the largest
            divisor up to 48.
        probes: Lists looked at per query.
    """

    lists: int | None = None
    code_bytes: int | None = None
    probes: int = 16


IndexKind = Flat | HNSW | IVFPQ


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
            Vectors are saved as they come, in `.NAME.building` beside it: after a kill the same call goes
            on.
        progress: Told how many texts are encoded.

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
        index: IndexKind = Flat(),
        path: str | os.PathLike[str] | None = None,
        progress: Progress = lambda stage, done, total: None,
    ) -> None:
        self._faiss_version: str = load_faiss().__version__
        self._passages = sorted(passages, key=attrgetter("id"))
        check_corpus(self._passages)
        self._encoder = encoder
        self._kind = index
        self._fingerprint: str | None = None
        if path is None:
            vectors = encode(self._passages, encoder, progress)
            self._vectors, self._index = vectors, build_index(vectors, index)
        else:
            self._vectors, self._index = self._open(Path(path), progress)

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

    def get_passages(self, ids: Sequence[str]) -> list[Passage | None]:
        """Return the passage of each id, as `PassageStore.get_passages` says."""
        return passages_by_id(self._passages, ids)

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

    def _open(self, path: Path, progress: Progress) -> tuple[Vectors, Any]:
        if path.exists() and not path.is_dir():
            raise ValueError(f"the index needs a directory, got the file {path}")
        if not path.exists() or not any(path.iterdir()):
            self._build_directory(path, progress)
        if _manifest(path) != self._expected_manifest():
            raise ValueError(
                f"{path} holds something other than the index of this corpus with this encoder and these "
                "settings; choose another directory or delete it"
            )
        vectors = np.load(path / _VECTORS, mmap_mode="r", allow_pickle=False)
        if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(self):
            raise ValueError(f"{path / _VECTORS} is damaged: {vectors.dtype} of shape {vectors.shape}")
        return vectors, None if isinstance(self._kind, Flat) else open_index(path / _INDEX)

    def _build_directory(self, path: Path, progress: Progress) -> None:
        """Build aside and rename, so that an interrupted build leaves nothing at `path`."""
        manifest = self._expected_manifest()
        with workshop(path) as folder:
            pieces = resumed(self._passages, self._encoder, folder, manifest, progress)
            vectors: Any = None
            done = 0
            for piece in pieces:
                if vectors is None:
                    shape = (len(self), piece.shape[1])
                    vectors = np.lib.format.open_memmap(folder / _VECTORS, "w+", np.float32, shape)
                vectors[done : done + len(piece)] = piece
                done += len(piece)
            vectors.flush()
            index = build_index(vectors, self._kind)
            if index is not None:
                save_index(index, folder / _INDEX)
            (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
            clear(folder)
            os.replace(folder, path)

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


# -- nearest neighbours by faiss -----------------------------------------------------------------------------


def build_index(vectors: Vectors, kind: IndexKind) -> Any:
    """Build faiss's index of `vectors`, shape (n, d), or None for `Flat`, which needs none.

    One thread builds, so that the same vectors always give the same index.

    Raises:
        ValueError: If the settings do not fit the vectors.
    """
    if isinstance(kind, Flat):
        return None
    faiss = load_faiss()
    index = (
        _empty_hnsw(faiss, vectors, kind) if isinstance(kind, HNSW) else _empty_ivfpq(faiss, vectors, kind)
    )
    with _one_thread(faiss):
        if not index.is_trained:
            index.train(np.ascontiguousarray(vectors))
        index.add(np.ascontiguousarray(vectors))
    return index


def save_index(index: Any, path: Path) -> None:
    """Write an index to a file."""
    load_faiss().write_index(index, str(path))


def open_index(path: Path) -> Any:
    """Open an index, memory-mapped."""
    faiss = load_faiss()
    # IO_FLAG_MMAP maps inverted lists only and reads a graph whole.
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def candidates(
    vectors: Vectors, index: Any, kind: IndexKind, queries: Vectors, count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the best `count` rows of `vectors` for each query, exactly or approximately.

    Returns:
        Scores and rows, each of shape (number of queries, count), best first. Rows are -1 where an
        approximate index found fewer.
    """
    faiss = load_faiss()
    if isinstance(kind, Flat):
        scores, rows = faiss.knn(queries, vectors, count, metric=faiss.METRIC_INNER_PRODUCT)
    elif isinstance(kind, HNSW):
        parameters = faiss.SearchParametersHNSW(efSearch=max(kind.ef_search, count))
        scores, rows = index.search(queries, count, params=parameters)
    else:
        parameters = faiss.SearchParametersIVF(nprobe=min(kind.probes, index.nlist))
        scores, rows = index.search(queries, count, params=parameters)
    return scores, rows


def load_faiss() -> Any:
    """Import faiss.

    Raises:
        ModuleNotFoundError: If it is missing; the message names the extra.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise missing_extra("faiss", "dense") from error
    return faiss


def _empty_hnsw(faiss: Any, vectors: Vectors, kind: HNSW) -> Any:
    index = faiss.IndexHNSWFlat(vectors.shape[1], kind.neighbours, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = kind.ef_construction
    return index


def _empty_ivfpq(faiss: Any, vectors: Vectors, kind: IVFPQ) -> Any:
    count, dimension = vectors.shape
    lists = kind.lists or max(1, min(4 * isqrt(count), count // _POINTS_PER_CENTROID))
    code_bytes = kind.code_bytes or max(size for size in range(1, 49) if dimension % size == 0)
    if dimension % code_bytes:
        raise ValueError(f"code_bytes must divide the dimension {dimension}, got {code_bytes}")
    if lists > count:
        raise ValueError(f"lists must not exceed the number of passages {count}, got {lists}")
    # A code book needs as many vectors as it has entries; small corpora get smaller ones.
    bits = min(8, max(1, count.bit_length() - 1))
    quantizer = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFPQ(quantizer, dimension, lists, code_bytes, bits, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1
    return index


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
