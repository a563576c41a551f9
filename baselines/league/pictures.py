"""Pictures of a league: the shares of all pairs, ratings with intervals, and a sequence against its past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from baselines.league.cross_play import CrossPlay
from baselines.league.ratings import Rating, Trend
from baselines.plotting import legend_below, look, panels, save

_LOOKS = {"solver": look(0), "proposer": look(1)}
_MOST_NUMBERS = 12


def draw(
    path: Path,
    games: CrossPlay,
    ratings: Sequence[Rating],
    sequence: tuple[Sequence[str], Mapping[str, Trend]] | None,
) -> None:
    """Write the pictures as PNG and SVG.

    Args:
        path: File to write, without its ending.
        games: The round robin.
        ratings: The ratings of all sides.
        sequence: Labels of players in order, with their trends by role, if there is an order.
    """
    rows = max(len(ratings), len(games.proposers)) * 0.28 + 2
    figure, axes = panels(2 if sequence is None else 3, width=5.5, height=max(4.5, rows))
    _shares(axes[0], games)
    _ratings(axes[1], ratings)
    if sequence is not None:
        _past(axes[2], *sequence)
    save(figure, path.with_suffix(".png"))


def _shares(axes: Axes, games: CrossPlay) -> None:
    shares = games.shares
    axes.grid(visible=False)
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axes.figure.colorbar(image, ax=axes, label="the solver's share of the points")
    axes.set(title="Every proposer against every solver", xlabel="solver", ylabel="proposer")
    axes.set_xticks(range(len(games.solvers)), games.solvers, rotation=45, ha="right")
    axes.set_yticks(range(len(games.proposers)), games.proposers)
    if max(shares.shape) <= _MOST_NUMBERS:
        for (row, column), share in np.ndenumerate(shares):
            colour = "black" if share > 0.55 else "white"
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=8)


def _ratings(axes: Axes, ratings: Sequence[Rating]) -> None:
    places = range(len(ratings))[::-1]
    for role, how in _LOOKS.items():
        rated = [(place, one) for place, one in zip(places, ratings, strict=True) if one.role == role]
        for place, one in rated:
            axes.plot([one.low, one.high], [place, place], color=how.color, linewidth=2)
        where = [one.elo for _, one in rated], [place for place, _ in rated]
        axes.plot(*where, how.marker, color=how.color, label=role)
    axes.set_yticks(places, [one.name for one in ratings])
    axes.set(title="Ratings with 95 % intervals", xlabel="Elo points (mean 0)")
    legend_below(axes)


def _past(axes: Axes, labels: Sequence[str], trends: Mapping[str, Trend]) -> None:
    for role, trend in trends.items():
        how = _LOOKS[role]
        style: dict[str, Any] = {"color": how.color, "linestyle": how.linestyle, "marker": how.marker}
        axes.plot(range(len(labels)), trend.against_past, label=role, **style)
        low, high = zip(*trend.intervals, strict=True)
        axes.fill_between(range(len(labels)), low, high, color=how.color, alpha=0.2)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set(title="Against all up to itself, 95 %", xlabel="player", ylabel="share of the points")
    axes.set_ylim(0, 1)
    legend_below(axes)
