"""Aggregates over runs and tasks, and their bootstrap intervals, as rliable defines them.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice". Scores are
(runs, tasks), or (runs,) for one task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Scores = NDArray[np.float64]
REPETITIONS = 10_000
_AT_ONCE = 1_000


def interquartile_mean(scores: Scores) -> float:
    """Return the mean of what is left without the lowest and the highest quarter, `scipy.stats.trim_mean`.

    Of n scores, of all runs and tasks together, n // 4 are left out at each end.

    >>> interquartile_mean(np.array([0.0, 4.0, 5.0, 6.0, 100.0]))
    5.0
    """
    return _single(_interquartile_means, scores)


def mean(scores: Scores) -> float:
    """Return the mean over runs and tasks."""
    return _single(_means, scores)


def median(scores: Scores) -> float:
    """Return the median over tasks of the mean over runs.

    >>> median(np.array([[0.0, 3.0, 5.0], [2.0, 3.0, 7.0]]))
    3.0
    """
    return _single(_medians, scores)


def optimality_gap(scores: Scores) -> float:
    """Return by how much scores fall short of 1 on average; what is above counts as 1.

    >>> optimality_gap(np.array([0.5, 2.0]))
    0.25
    """
    return _single(_optimality_gaps, scores)


def performance_profile(scores: Scores, thresholds: Scores) -> Scores:
    """Return the share of runs, over all tasks, whose score is above each threshold.

    >>> performance_profile(np.array([[0.1, 0.9], [0.5, 0.7]]), np.array([0.0, 0.5, 0.9])).tolist()
    [1.0, 0.5, 0.0]
    """
    return np.array([float((scores > threshold).mean()) for threshold in thresholds])


def probability_of_improvement(scores: Scores, others: Scores) -> float:
    """Return how likely a run of the first algorithm is better than one of the second; a tie counts half.

    It is Mann and Whitney's U divided by the number of pairs, averaged over tasks.

    >>> probability_of_improvement(np.array([1.0, 3.0]), np.array([2.0, 3.0]))
    0.375
    """
    return _single(_probabilities, scores, others)


def mean_difference(scores: Scores, others: Scores) -> tuple[float, tuple[float, float]]:
    """Return the mean of paired differences and its 95 % t interval: runs of one seed share their warm start.

    Args:
        scores: Scores by run, (runs,) with at least two runs.
        others: Those of the runs that they are paired with, (runs,).

    >>> value, (low, high) = mean_difference(np.array([0.5, 0.7]), np.array([0.4, 0.5]))
    >>> round(value, 3), round(low, 3), round(high, 3)
    (0.15, -0.485, 0.785)
    """
    difference = scores - others
    middle = float(difference.mean())
    half = float(stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference))
    return middle, (middle - half, middle + half)


# -- many draws at once: (draws, runs, tasks) ------------------------------------------------------------

Batched = Callable[..., Scores]


def _single(batched: Batched, *scores: Scores) -> float:
    return float(batched(*(_by_task(one)[None] for one in scores))[0])


def _by_task(scores: Scores) -> Scores:
    return scores[:, None] if scores.ndim == 1 else scores


def _interquartile_means(scores: Scores) -> Scores:
    ordered = np.sort(scores.reshape(len(scores), -1), axis=1)
    cut = ordered.shape[1] // 4
    return _floats(ordered[:, cut : ordered.shape[1] - cut].mean(axis=1))


def _means(scores: Scores) -> Scores:
    return _floats(scores.mean(axis=(1, 2)))


def _medians(scores: Scores) -> Scores:
    return _floats(np.median(scores.mean(axis=1), axis=1))


def _optimality_gaps(scores: Scores) -> Scores:
    return _floats(1.0 - np.minimum(scores, 1.0).mean(axis=(1, 2)))


def _probabilities(scores: Scores, others: Scores) -> Scores:
    difference = scores[:, :, None] - others[:, None, :]
    return _floats(((difference > 0) + 0.5 * (difference == 0)).mean(axis=(1, 2, 3)))


def _floats(values: Any) -> Scores:
    return np.asarray(values, dtype=np.float64)


_BATCHED: Mapping[Callable[..., float], Batched] = {
    interquartile_mean: _interquartile_means,
    mean: _means,
    median: _medians,
    optimality_gap: _optimality_gaps,
    probability_of_improvement: _probabilities,
}

# -- intervals -------------------------------------------------------------------------------------------


def stratified_interval(
    statistic: Callable[..., float],
    *strata: Scores,
    repetitions: int = REPETITIONS,
    seed: int = 0,
    whole_runs: bool = False,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic, by a stratified bootstrap over runs.

    Args:
        statistic: Function of the scores of the algorithms; those of this module are computed for many draws
            at once, others draw by draw.
        strata: Scores of the runs of each algorithm, (runs,) or (runs, tasks). Runs are drawn with
            replacement within each algorithm, and within each task apart from the others, as rliable does.
        repetitions: Number of draws.
        seed: Seed of the draws.
        whole_runs: Draw runs with all their tasks, as it is right where one training gave the scores of all.
    """
    rng = np.random.default_rng(seed)
    found: list[Scores] = []
    for start in range(0, repetitions, _AT_ONCE):
        size = min(_AT_ONCE, repetitions - start)
        drawn = [_drawn(_by_task(scores), rng, size, whole_runs) for scores in strata]
        if statistic in _BATCHED:
            found.append(_BATCHED[statistic](*drawn))
        else:
            shaped = [many if s.ndim > 1 else many[:, :, 0] for many, s in zip(drawn, strata, strict=True)]
            found.append(np.array([statistic(*one) for one in zip(*shaped, strict=True)]))
    low, high = np.percentile(np.concatenate(found), [2.5, 97.5])
    return float(low), float(high)


def interquartile_band(
    values: Scores, *, repetitions: int = 2_000, seed: int = 0
) -> tuple[Scores, Scores, Scores]:
    """Return the interquartile mean over runs at each point of a curve, and both ends of its 95 % interval.

    Args:
        values: What the runs had, (points, runs). Whole runs are drawn with replacement.
        repetitions: Number of draws.
        seed: Seed of the draws.

    Returns:
        Mean, lower and upper end, each (points,).
    """
    rows = np.random.default_rng(seed).integers(values.shape[1], size=(repetitions, values.shape[1]))
    drawn = [_interquartile_means(point[rows][:, :, None]) for point in values]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=1)
    return _interquartile_means(values[:, :, None]), low, high


def profile_band(
    scores: Scores, thresholds: Scores, *, repetitions: int = 2_000, seed: int = 0
) -> tuple[Scores, Scores]:
    """Return both ends of the 95 % interval of the performance profile at each threshold.

    Args:
        scores: Scores of the runs, (runs,) or (runs, tasks), drawn as `stratified_interval` does.
        thresholds: Thresholds of the profile, (thresholds,).
        repetitions: Number of draws.
        seed: Seed of the draws.
    """
    drawn = _drawn(_by_task(scores), np.random.default_rng(seed), repetitions, whole_runs=False)
    shares = [(drawn > threshold).mean(axis=(1, 2)) for threshold in thresholds]
    low, high = np.percentile(shares, [2.5, 97.5], axis=1)
    return low, high


def _drawn(scores: Scores, rng: np.random.Generator, draws: int, whole_runs: bool) -> Scores:
    """Return (draws, runs, tasks) of (runs, tasks)."""
    runs, tasks = scores.shape
    if whole_runs:
        return scores[rng.integers(runs, size=(draws, runs))]
    rows = rng.integers(runs, size=(draws, runs, tasks))
    return scores[rows, np.arange(tasks)]
