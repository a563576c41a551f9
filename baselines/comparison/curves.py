"""Curves of runs over tokens or steps: each run, and the interquartile mean of the runs with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from matplotlib.axes import Axes

from baselines.comparison.aggregates import Scores, interquartile_band
from baselines.comparison.runs import Rows, Runs
from baselines.plotting import Look, count_tokens, legend_below, look, save
from baselines.plotting import panels as make_panels
from baselines.runs.files import self_play_rows, tokens_spent

Over = Literal["tokens", "steps"]
Points: TypeAlias = tuple[list[float], list[float]]
"""Where a metric of a run was measured, and what it was."""
POINTS = 25
UNANSWERABLE = "unanswerable"
"""Valid questions that have another answer or none: what `label_truth` leaves."""
GAME_PANELS: Mapping[str, str] = {
    "mean_hops": "Mean hops asked",
    UNANSWERABLE: "Valid questions with another or no answer",
    "mixed_groups": "Questions solved in some attempts only",
}


def spent(rows: Rows) -> Scores:
    """Return the tokens sampled and trained up to each step of self-play."""
    tokens: Scores = np.cumsum([tokens_spent(row) for row in self_play_rows(rows)]).astype(np.float64)
    return tokens


def series(rows: Rows, key: str, over: Over = "steps", window: int = 10) -> tuple[list[float], list[float]]:
    """Return where and what a metric was, averaged over windows of steps if it is logged at every step.

    Args:
        rows: Metrics of a run.
        key: Name of the metric, or `UNANSWERABLE`.
        over: `steps` of self-play, from 1, or `tokens` sampled and trained by then.
        window: Steps of a window.
    """
    play = self_play_rows(rows)
    places: Sequence[float] = spent(rows).tolist() if over == "tokens" else [*range(1, len(play) + 1)]
    source = "label_truth" if key == UNANSWERABLE else key
    points = [
        (place, 1.0 - row[source] if key == UNANSWERABLE else row[source])
        for place, row in zip(places, play, strict=True)
        if source in row
    ]
    if key.startswith("validation/"):
        return [place for place, _ in points], [value for _, value in points]
    chunks = [points[start : start + window] for start in range(0, len(points), window)]
    return [chunk[-1][0] for chunk in chunks], [
        float(np.mean([value for _, value in chunk])) for chunk in chunks
    ]


def curve(rows: Rows, name: str, grid: Scores, *, over: Over = "tokens") -> Scores:
    """Return a run's metric at points of a grid, interpolated; NaN before its first point.

    Args:
        rows: Metrics of a run.
        name: Number of hops, or the name of a metric.
        grid: Numbers of tokens or of steps.
        over: What the grid counts.
    """
    places, values = series(rows, f"validation/{name}_hop" if name.isdigit() else name, over)
    if not places:
        return np.full(len(grid), np.nan)
    interpolated: Scores = np.interp(grid, places, values, left=np.nan)
    return interpolated


def panels_of(runs: Runs) -> dict[str, str]:
    """Return what there is to draw, by metric: accuracy on each validation set, then the game."""
    rows = [row for found in runs.values() for _, metrics in found.values() for row in metrics]
    keys = sorted({key for row in rows for key in row if key.startswith("validation/")})
    panels = {key: _title(key.removeprefix("validation/")) for key in keys}
    there = {UNANSWERABLE if key == "label_truth" else key for row in rows for key in row}
    return panels | {key: title for key, title in GAME_PANELS.items() if key in there}


def _title(name: str) -> str:
    hops = name.removesuffix("_hop")
    return f"{hops}-hop pass@1, unseen worlds" if hops.isdigit() else f"pass@1 on {name}"


def plot(
    runs: Runs,
    paths: Path | Sequence[Path],
    *,
    over: Over = "tokens",
    title: str = "",
    panels: Mapping[str, str] | None = None,
) -> None:
    """Draw the runs into files, PNG or SVG by their names.

    Each run is drawn faint, and their interquartile mean with its 95 % interval. Accuracy begins before
    self-play, with that on held-out questions.

    Args:
        runs: Runs by label and seed; those that have not ended are drawn as far as they go.
        paths: The files.
        over: What the horizontal axis counts.
        title: Title of the picture.
        panels: Titles by metric; `panels_of` if None.
    """
    shown = panels_of(runs) if panels is None else panels
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    figure, axes = make_panels(columns, lines)
    figure.suptitle(title or f"Interquartile mean of runs over {over}, 95 % interval; each run faint")
    for axis, (key, heading) in zip(axes, shown.items(), strict=False):
        axis.set_title(heading)
        axis.set_ylabel("hops" if key == "mean_hops" else "share")
        axis.set_xlabel("tokens sampled and trained" if over == "tokens" else "step of self-play")
        for number, (label, found) in enumerate(runs.items()):
            drawn = [_points(summary, rows, key, over) for summary, rows in found.values()]
            draw_runs(axis, drawn, label, look(number))
        axis.set_ylim(0, None if key == "mean_hops" else 1.02)
        axis.set_xlim(left=0)
        count_tokens(axis)
        legend_below(axis)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    save(figure, paths)


def _points(summary: Mapping[str, Any], rows: Rows, key: str, over: Over) -> Points:
    """Return a metric of a run; accuracy begins before self-play, where the run has measured it."""
    places, values = series(rows, key, over)
    before = summary.get("heldout", {}).get("before", {})
    measured = before.get(key.removeprefix("validation/").removesuffix("_hop"))
    if measured is None or not places or not key.startswith("validation/"):
        return places, values
    return [0.0, *places], [measured["pass_at_1"], *values]


def draw_runs(axis: Axes, runs: Sequence[Points], label: str, how: Look) -> None:
    """Draw the runs of one label faint, and their interquartile mean with its 95 % interval.

    Args:
        axis: Where.
        runs: Places and values of each run; one without points is counted only.
        label: Name in the legend, to which the number of runs is added.
        how: Colour and line.
    """
    found = [points for points in runs if points[0]]
    for places, values in found:
        axis.plot(places, values, color=how.color, alpha=0.25, linewidth=0.7)
    if not found:
        return
    # Where the first of them ends, the others would be another mean.
    grid = np.linspace(max(places[0] for places, _ in found), min(places[-1] for places, _ in found), POINTS)
    at = np.array([np.interp(grid, *points) for points in found]).T
    name = f"{label} ({len(runs)} {'run' if len(runs) == 1 else 'runs'})"
    middle, low, high = interquartile_band(at)
    axis.plot(grid, middle, color=how.color, linestyle=how.linestyle, label=name)
    if len(found) > 1:
        axis.fill_between(grid, low, high, color=how.color, alpha=0.2)
