"""How uncertain a measured proportion is."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion.

    It stays within [0, 1] and keeps near its nominal coverage for few trials and for proportions near
    0 and 1, where the normal approximation fails (Wilson 1927; Brown, Cai & DasGupta 2001,
    "Interval Estimation for a Binomial Proportion", equation 4).

    Args:
        successes: Number of successes, from 0 to `trials`.
        trials: Number of independent trials; without any the interval is [0, 1].
        confidence: Nominal coverage, strictly between 0 and 1.

    Raises:
        ValueError: If the counts or the confidence are out of range.

    >>> [round(bound, 4) for bound in wilson_interval(8, 10)]
    [0.4902, 0.9433]
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must be from 0 to trials, got {successes} of {trials}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be strictly between 0 and 1, got {confidence}")
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    proportion = successes / trials
    shrink = 1 + z * z / trials
    center = (proportion + z * z / (2 * trials)) / shrink
    half_width = z / shrink * math.sqrt(proportion * (1 - proportion) / trials + z * z / (4 * trials**2))
    # Rounding must not push the bounds of 0 of n and n of n off 0 and 1.
    low = 0.0 if successes == 0 else center - half_width
    high = 1.0 if successes == trials else center + half_width
    return low, high
