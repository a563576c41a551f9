"""Interquartile means, bootstrap intervals and probabilities of improvement, as rliable defines them.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
REPETITIONS = 10_000


def interquartile_mean(scores: Scores) -> float:
    """Return the mean of what is left without the lowest and the highest quarter, `scipy.stats.trim_mean`.

    Of n scores, n // 4 are left out at each end.

    >>> interquartile_mean(np.array([0.0, 4.0, 5.0, 6.0, 100.0]))
    5.0
    """
    ordered = np.sort(scores, axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def probability_of_improvement(scores: Scores, others: Scores) -> float:
    """Return how likely a run of the first algorithm is better than one of the second; a tie counts half.

    >>> probability_of_improvement(np.array([1.0, 3.0]), np.array([2.0, 3.0]))
    0.375
    """
    difference = scores[:, None] - others[None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def stratified_interval(
    statistic: Callable[..., float],
    *strata: Scores,
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic, by a bootstrap over runs.

    Args:
        statistic: Function of the strata.
        strata: Scores of the runs of each algorithm, (runs,). Runs are drawn with replacement within each.
        repetitions: Number of draws.
        seed: Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    drawn = [
        statistic(*(scores[rng.integers(len(scores), size=len(scores))] for scores in strata))
        for _ in range(repetitions)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
