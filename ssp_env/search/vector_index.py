"""Nearest neighbours of a vector by inner product: exhaustive, or with faiss's approximate indexes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssp_env.objects import missing_extra

Vectors = NDArray[np.float32]

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
