"""What came of a round robin, as arrays: shares won by pair, and what each side can lose at worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CrossPlay:
    """The games of every proposer against every solver over the same tasks.

    A point is divided in each game: the solver has the share of its attempts that were right, the proposer
    the rest. An invalid question gives the point to the solver, who need not even play; a game that ended in
    an error is left out. So the sides are those of a zero-sum game.

    Attributes:
        proposers: Names of the proposers.
        solvers: Names of the solvers.
        points: The solver's part of the point, shape (proposers, solvers, tasks); NaN where a game failed.
        valid: Whether a proposer's question was valid, shape (proposers, tasks); NaN where that is unknown.
    """

    proposers: Sequence[str]
    solvers: Sequence[str]
    points: Numbers
    valid: Numbers

    def __post_init__(self) -> None:
        shape = (len(self.proposers), len(self.solvers), self.points.shape[-1])
        if self.points.shape != shape or self.valid.shape != (shape[0], shape[2]):
            raise ValueError(
                f"expected points of the shape {shape} and valid of {(shape[0], shape[2])}, got "
                f"{self.points.shape} and {self.valid.shape}"
            )

    @property
    def shares(self) -> Numbers:
        """The solver's mean part of the points, shape (proposers, solvers)."""
        return mean(self.points, axis=2)

    @property
    def success(self) -> Numbers:
        """The solver's mean success at valid questions alone, shape (proposers, solvers)."""
        played = np.where(self.valid[:, None, :] == 1, self.points, np.nan)
        return mean(played, axis=2)

    @property
    def valid_rates(self) -> Numbers:
        """The share of valid questions, shape (proposers,)."""
        return mean(self.valid, axis=1)

    def resampled(self, tasks: Sequence[int]) -> CrossPlay:
        """Return the games of these tasks, which may repeat: those of one task stay together."""
        return replace(self, points=self.points[:, :, tasks], valid=self.valid[:, tasks])

    def worst_case(self) -> tuple[Numbers, Numbers]:
        """Return the least share that each proposer and each solver gets against anybody in the pool.

        Against its best response in the pool a side gets this much; a side that nobody can exploit gets the
        value of the game, so that the higher number is the better one.
        """
        return least_known(1 - self.shares, axis=1), least_known(self.shares, axis=0)

    def exploitability(self, proposer: int, solver: int) -> float:
        """Return what both sides of a pair could gain by changing to their best response in the pool.

        It is 0 for an equilibrium of the pool, and never negative (NashConv of Lanctot et al. 2017, for two
        players).
        """
        shares = self.shares
        return float(np.nanmax(shares[proposer]) - np.nanmin(shares[:, solver]))

    def to_dict(self) -> dict[str, Any]:
        """Return the arrays as plain data, with null where a game failed."""
        return {
            "proposers": list(self.proposers),
            "solvers": list(self.solvers),
            "points": _plain(self.points),
            "valid": _plain(self.valid),
        }


def mean(values: Numbers, axis: int) -> Numbers:
    """Return means over what is known; NaN where nothing is, and without a warning."""
    known = ~np.isnan(values)
    counts = known.sum(axis=axis)
    sums = np.where(known, values, 0.0).sum(axis=axis)
    means: Numbers = np.full(counts.shape, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def least_known(values: Numbers, axis: int) -> Numbers:
    """Return minima over what is known; NaN where nothing is."""
    least: Numbers = np.where(np.isnan(values), np.inf, values).min(axis=axis)
    return np.where(np.isinf(least), np.nan, least)


def _plain(values: Numbers) -> Any:
    if values.ndim > 1:
        return [_plain(row) for row in values]
    return [None if np.isnan(value) else round(float(value), 6) for value in values]
