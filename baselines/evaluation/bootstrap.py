"""Percentile bootstrap of means over clusters, and of differences between paired means."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

REPETITIONS = 4_000
_CELLS = 4_000_000

Numbers = NDArray[np.float64]


def cluster_sums(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[Numbers, Numbers]:
    """Return the sum and the number of the values of each cluster, in order of first appearance."""
    places: dict[Hashable, int] = {}
    of = np.array([places.setdefault(cluster, len(places)) for cluster in clusters], dtype=np.intp)
    weights = np.asarray(values, dtype=float)
    sums: Numbers = np.bincount(of, weights=weights, minlength=len(places)).astype(np.float64)
    counts: Numbers = np.bincount(of, minlength=len(places)).astype(np.float64)
    return sums, counts


def resampled_means(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> Numbers:
    """Return the mean of the values in each of many draws of as many clusters, with replacement.

    Args:
        values: The values, at least one.
        clusters: The cluster of each value; values of one cluster are drawn together.
        repetitions: Number of draws.
        seed: Seed of the draws.
    """
    sums, counts = cluster_sums(values, clusters)
    rng = np.random.default_rng(seed)
    means: list[Numbers] = []
    rows = max(1, _CELLS // len(sums))
    for start in range(0, repetitions, rows):
        size = min(rows, repetitions - start)
        drawn = rng.integers(len(sums), size=(size, len(sums)))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)


def bootstrap_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a mean of values that come in clusters.

    >>> bootstrap_interval([2.0, 2.0], ["a", "b"])
    (2.0, 2.0)
    """
    means = resampled_means(values, clusters, repetitions=repetitions, seed=seed)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
