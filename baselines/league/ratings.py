"""Ratings of proposers and solvers on one scale, by the Bradley-Terry model, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import choix
import numpy as np
from scipy.stats import spearmanr

from baselines.league.cross_play import CrossPlay, Numbers, mean

ELO = 400 / math.log(10)
"""Points of Elo's scale to a unit of log-odds: 400 points are odds of 10 to 1."""
ALPHA = 0.01
"""Regularisation, so that who has always won has a rating too."""


@dataclass(frozen=True)
class Rating:
    """A side's strength in Elo points; the mean of all sides is 0.

    Attributes:
        name: The player.
        role: `proposer` or `solver`.
        elo: The rating: against a proposer of rating p a solver of rating s has 1 / (1 + 10^((p - s) / 400))
            of the points.
        low: Lower end of the 95 % interval.
        high: Upper end.
        worst: The least share of points against anybody in the pool.
    """

    name: str
    role: str
    elo: float
    low: float
    high: float
    worst: float


def rate(games: CrossPlay, *, repetitions: int = 200, seed: int = 0) -> list[Rating]:
    """Rate every side, the strongest first.

    Args:
        games: The round robin.
        repetitions: Draws of the bootstrap, which draws tasks: all games of a task stay together.
        seed: Seed of the draws.

    Raises:
        ValueError: If no game of a side ended.
    """
    sides = [*((name, "proposer") for name in games.proposers), *((name, "solver") for name in games.solvers)]
    known = ~np.isnan(games.points)
    ended = np.concatenate([known.any(axis=(1, 2)), known.any(axis=(0, 2))])
    for (name, role), any_ended in zip(sides, ended.tolist(), strict=True):
        if not any_ended:
            raise ValueError(
                f"every game of the {role} {name} ended in an error: leave it out, it has no rating"
            )
    ratings = _elo(games)
    rng = np.random.default_rng(seed)
    tasks = games.points.shape[2]
    draws = rng.integers(tasks, size=(repetitions, tasks))
    drawn = np.array([_elo(games.resampled(chosen.tolist())) for chosen in draws])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    worst = np.concatenate(games.worst_case())
    rated = [
        Rating(name, role, float(ratings[i]), float(low[i]), float(high[i]), float(worst[i]))
        for i, (name, role) in enumerate(sides)
    ]
    return sorted(rated, key=lambda rating: -rating.elo)


def _elo(games: CrossPlay) -> Numbers:
    """Return the ratings of all proposers, then of all solvers."""
    count = len(games.proposers)
    wins = np.zeros((count + len(games.solvers),) * 2)
    known = ~np.isnan(games.points)
    wins[count:, :count] = np.where(known, games.points, 0).sum(axis=2).T
    wins[:count, count:] = np.where(known, 1 - games.points, 0).sum(axis=2)
    strengths = np.asarray(choix.ilsr_pairwise_dense(wins, alpha=ALPHA), dtype=float)
    centred: Numbers = ELO * (strengths - strengths.mean())
    return centred


@dataclass(frozen=True)
class Trend:
    """Whether later players of a sequence, such as the checkpoints of a run, are stronger.

    Attributes:
        beaten: Share of pairs in which the later one has more points against the whole pool; a tie counts
            half.
        correlation: Spearman's rank correlation of place and points.
        against_past: By place, the mean share of points against the other side's players up to that place.
        intervals: By place, both ends of its 95 % interval.
    """

    beaten: float
    correlation: float
    against_past: list[float]
    intervals: list[tuple[float, float]]


def trends(
    games: CrossPlay, order: Sequence[str], *, repetitions: int = 200, seed: int = 0
) -> Mapping[str, Trend]:
    """Follow players that take part in both roles through a sequence.

    Args:
        games: The round robin.
        order: Their names, earliest first; at least two.
        repetitions: Draws of the bootstrap, which draws tasks: all games of a task stay together.
        seed: Seed of the draws.

    Raises:
        ValueError: If one of them lacks a role.
    """
    for name in order:
        if name not in games.proposers or name not in games.solvers:
            raise ValueError(f"{name} does not take part in both roles")
    proposing = [games.proposers.index(name) for name in order]
    solving = [games.solvers.index(name) for name in order]
    won = {
        "proposer": mean(1 - games.shares, axis=1)[proposing],
        "solver": mean(games.shares, axis=0)[solving],
    }
    tasks = games.points.shape[2]
    draws = np.random.default_rng(seed).integers(tasks, size=(repetitions, tasks))
    past = _past(games, proposing, solving)
    drawn = [_past(games.resampled(chosen.tolist()), proposing, solving) for chosen in draws]
    return {role: _trend(won[role], past[role], [one[role] for one in drawn]) for role in won}


def _past(games: CrossPlay, proposing: Sequence[int], solving: Sequence[int]) -> Mapping[str, list[float]]:
    """Return by role and place the mean share of points against the other side's players up to that place."""
    shares = games.shares[np.ix_(proposing, solving)]
    return {
        role: [float(mean(among[place, : place + 1], axis=0)) for place in range(len(among))]
        for role, among in (("proposer", 1 - shares), ("solver", shares.T))
    }


def _trend(points: Numbers, past: list[float], drawn: Sequence[list[float]]) -> Trend:
    pairs = [
        (points[later] > points[earlier]) + 0.5 * (points[later] == points[earlier])
        for later in range(len(points))
        for earlier in range(later)
    ]
    constant = np.ptp(points) == 0
    correlation = 0.0 if constant else float(spearmanr(np.arange(len(points)), points).statistic)
    ends = np.nanpercentile(np.array(drawn), [2.5, 97.5], axis=0)
    return Trend(float(np.mean(pairs)), correlation, past, [(low, high) for low, high in ends.T.tolist()])
