"""Pictures of a league: the shares of all pairs, ratings with intervals, and a sequence against its past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from baselines.league.cross_play import CrossPlay
from baselines.league.ratings import Rating, Trend

_MARKS = {"proposer": ("s", "#b35900"), "solver": ("o", "#1f5fa8")}
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
    panels = 2 if sequence is None else 3
    rows = max(len(ratings), len(games.proposers)) * 0.28 + 2
    figure, axes = plt.subplots(1, panels, figsize=(5.5 * panels, max(4.0, rows)), constrained_layout=True)
    _shares(axes[0], games)
    _ratings(axes[1], ratings)
    if sequence is not None:
        _past(axes[2], *sequence)
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    for ending in ("png", "svg"):
        # Without a date, so that the same league gives the same file.
        figure.savefig(
            path.with_suffix(f".{ending}"), dpi=110, metadata={"Date": None} if ending == "svg" else {}
        )
    plt.close(figure)


def _shares(axes: Axes, games: CrossPlay) -> None:
    shares = games.shares
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
    for role, (mark, colour) in _MARKS.items():
        rated = [(place, one) for place, one in zip(places, ratings, strict=True) if one.role == role]
        for place, one in rated:
            axes.plot([one.low, one.high], [place, place], color=colour, linewidth=2)
        where = [one.elo for _, one in rated], [place for place, _ in rated]
        axes.plot(*where, mark, color=colour, label=role)
    axes.set_yticks(places, [one.name for one in ratings])
    axes.set(title="Ratings with 95 % intervals", xlabel="Elo points (mean 0)")
    axes.grid(axis="x", alpha=0.3)


def _past(axes: Axes, labels: Sequence[str], trends: Mapping[str, Trend]) -> None:
    for role, trend in trends.items():
        mark, colour = _MARKS[role]
        axes.plot(range(len(labels)), trend.against_past, f"{mark}-", color=colour, label=role)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set(title="Against all players up to itself", xlabel="player", ylabel="share of the points")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
