"""Intervals of means of scores that come in clusters: attempts at a question, questions of a world."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from statistics import NormalDist

from ssp_env.scoring import wilson_interval

Trial = tuple[float, tuple[Hashable, ...]]
"""What a trial scored, from 0 to 1, and its clusters, one per level: a question, then a world."""


def effective_trials(trials: Sequence[Trial]) -> float:
    """Return how many independent trials tell as much about the proportion as these.

    Trials of one cluster are alike, so that they tell less than as many of different clusters: the variance
    of their mean is the binomial one times the design effect (Kish 1965), which is estimated from the
    clusters' sums and taken to be 1 if the estimate is lower. The level of clusters that leaves least counts,
    but for further levels of a single cluster, such as one world, which tell nothing about the others. Where
    all trials end alike there is nothing to estimate from, and each cluster of the first level counts once.

    >>> effective_trials([(True, ("a",)), (True, ("a",)), (False, ("b",)), (False, ("b",))])
    2.0
    >>> effective_trials([(True, ("a",)), (False, ("a",)), (True, ("b",)), (False, ("b",))])
    4.0
    """
    if not trials:
        return 0.0
    levels = [[clusters[level] for _, clusters in trials] for level in range(len(trials[0][1]))]
    used = [keys for level, keys in enumerate(levels) if level == 0 or len(set(keys)) > 1]
    results = [success for success, _ in trials]
    if len(set(results)) == 1:
        return float(len(set(levels[0])))
    return min(_effective(results, keys) for keys in used)


def clustered_interval(successes: float, trials: int, effective: float) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a proportion that is as certain as `effective` independent trials.

    For scores between 0 and 1, whose sum is `successes`, it is too wide rather than too narrow: they vary
    less than trials that succeed or fail.

    >>> clustered_interval(8, 10, 10.0) == wilson_interval(8, 10)
    True
    """
    if effective >= trials and successes == int(successes):
        return wilson_interval(int(successes), trials)
    # The score interval is a function of the share and the number of trials, which may be a fraction.
    return _wilson(successes / trials, effective)


def _wilson(share: float, trials: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf(0.975)
    shrink = 1 + z * z / trials
    center = (share + z * z / (2 * trials)) / shrink
    half_width = z / shrink * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    return (0.0 if share == 0 else center - half_width), (1.0 if share == 1 else center + half_width)


def _effective(results: Sequence[float], keys: Sequence[Hashable]) -> float:
    clusters: dict[Hashable, list[float]] = defaultdict(list)
    for key, success in zip(keys, results, strict=True):
        clusters[key].append(success)
    total, share = len(results), sum(results) / len(results)
    spread = sum((sum(cluster) - share * len(cluster)) ** 2 for cluster in clusters.values())
    design_effect = spread / (total * share * (1 - share))
    return min(float(total), max(float(len(clusters)), total / max(design_effect, 1.0)))
