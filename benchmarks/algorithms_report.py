"""The comparison of algorithms as figures, tables and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from rich import box
from rich.table import Table

from baselines.train import SELF_PLAY, tokens_spent
from benchmarks.aggregates import (
    Scores,
    interquartile_mean,
    probability_of_improvement,
    stratified_interval,
)

Rows: TypeAlias = list[dict[str, Any]]
Runs: TypeAlias = dict[str, dict[int, tuple[Mapping[str, Any], Rows]]]
"""Summary and metrics of each finished run, by algorithm and seed."""

HOPS = ("1", "2", "3")
MEAN = "mean"
COLOURS = {"grpo": "#54a24b", "reinforce": "#4c78a8", "ppo": "#f58518"}
POINTS = 13


def report(runs: Runs, tokens: int) -> dict[str, Any]:
    """Return the figures as plain data.

    Held-out sampled pass@1 after training by algorithm and hop count, and their mean, of which a run has one:
    `iqm`, the interquartile mean over runs, with `ci95`, and the `runs` by seed; how much a run used; and the
    probability of improvement with its interval, of every algorithm over every other, by the mean.
    """
    scores = {name: _scores(found) for name, found in runs.items() if found}
    return {
        "tokens": tokens,
        "heldout": {
            name: {column: _aggregate(values, list(runs[name])) for column, values in columns.items()}
            for name, columns in scores.items()
        },
        "warm_start": {
            column: _aggregate(values, list(runs[name]))
            for name in list(scores)[:1]
            for column, values in _scores(runs[name], "before").items()
        },
        "used": {name: _used(found) for name, found in runs.items() if found},
        "improvement": {
            f"{name} over {other}": {
                "probability": probability_of_improvement(scores[name][MEAN], scores[other][MEAN]),
                "ci95": stratified_interval(
                    probability_of_improvement, scores[name][MEAN], scores[other][MEAN]
                ),
            }
            for name, other in permutations(scores, 2)
        },
    }


def _scores(found: Mapping[int, tuple[Mapping[str, Any], Rows]], when: str = "after") -> dict[str, Scores]:
    """Return held-out accuracies of the runs by hop count, and their mean."""
    summaries = [summary["heldout"][when] for summary, _ in found.values()]
    columns = {hops: np.array([summary[hops]["pass_at_1"] for summary in summaries]) for hops in HOPS}
    return {**columns, MEAN: np.mean(list(columns.values()), axis=0)}


def _aggregate(values: Scores, seeds: list[int]) -> dict[str, Any]:
    return {
        "iqm": interquartile_mean(values),
        "ci95": stratified_interval(interquartile_mean, values),
        "runs": {str(seed): float(value) for seed, value in zip(seeds, values, strict=True)},
    }


def _used(found: Mapping[int, tuple[Mapping[str, Any], Rows]]) -> dict[str, float]:
    """Return medians over runs of steps and tokens of self-play, and means of the last eighth of it."""
    plays = [_self_play(rows) for _, rows in found.values()]
    return {
        "steps": float(np.median([len(play) for play in plays])),
        "sampled_tokens": float(np.median([sum(r["sampled_tokens"] for r in play) for play in plays])),
        "trained_tokens": float(np.median([sum(r["trained_tokens"] for r in play) for play in plays])),
        # Without a valid question a run has no label truth.
        **{
            name: float(np.mean(values))
            for name in ("valid_rate", "label_truth", "mean_hops", "mixed_groups")
            if (values := [run["game"][name] for run, _ in found.values() if name in run["game"]])
        },
    }


def _self_play(rows: Rows) -> Rows:
    return [row for row in rows if row["stage"] == SELF_PLAY]


def table(figures: Mapping[str, Any]) -> Iterator[Table]:
    """Yield the table of accuracies and that of the probabilities of improvement."""
    title = f"Held-out sampled pass@1 after {figures['tokens']:,} tokens: interquartile mean (95 %)"
    accuracies = Table(title=title, box=box.SIMPLE_HEAD, padding=0)
    for heading in (
        "algorithm",
        "1 hop",
        "2 hops",
        "3 hops",
        "mean",
        "runs",
        "steps",
        "true",
        "hops",
    ):
        accuracies.add_column(heading)
    rows = {"warm start": figures["warm_start"], **figures["heldout"]}
    for name, columns in rows.items():
        if not columns:
            continue
        used = figures["used"].get(name)
        more = (
            [f"{used['steps']:.0f}", *(_share(used.get(key)) for key in ("label_truth", "mean_hops"))]
            if used
            else []
        )
        cells = [_cell(columns[column]["iqm"], columns[column]["ci95"]) for column in (*HOPS, MEAN)]
        accuracies.add_row(name, *cells, str(len(columns[MEAN]["runs"])), *more)
    yield accuracies
    improvement = Table(
        title="How likely is a run of one better than a run of the other, by the mean? (95 %)"
    )
    for heading in ("", "probability"):
        improvement.add_column(heading)
    for pair, found in figures["improvement"].items():
        improvement.add_row(pair, _cell(found["probability"], found["ci95"]))
    yield improvement


def _cell(value: float, interval: tuple[float, float]) -> str:
    # The interval on a line of its own, so that the table fits a terminal of 80 columns.
    return f"{value:.3f}\n{interval[0]:.2f}-{interval[1]:.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def curve(rows: Rows, hops: str, grid: Scores) -> Scores:
    """Return a run's validation accuracy at numbers of tokens, interpolated; NaN before its first point."""
    play = _self_play(rows)
    spent = np.cumsum([tokens_spent(row) for row in play])
    key = f"validation/{hops}_hop"
    points = [(tokens, row[key]) for tokens, row in zip(spent, play, strict=True) if key in row]
    if not points:
        return np.full(len(grid), np.nan)
    at, values = zip(*points, strict=True)
    interpolated: Scores = np.interp(grid, at, values, left=np.nan)
    return interpolated


def plot(runs: Runs, tokens: int, path: Path) -> None:
    """Draw validation accuracy over tokens: interquartile mean of the runs, its interval, and each run."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.5), sharey=True, constrained_layout=True)
    figure.suptitle(
        "Solver's algorithm in self-play, equal tokens: interquartile mean of runs, 95 % interval"
    )
    grid = np.linspace(0, tokens, POINTS)
    for axis, hops in zip(axes, HOPS, strict=True):
        axis.set_title(f"{hops}-hop pass@1, unseen worlds")
        axis.set_xlabel("tokens sampled and trained")
        for name, found in runs.items():
            curves = np.array([curve(rows, hops, grid) for _, rows in found.values()])
            if not len(curves):
                continue
            known = ~np.isnan(curves).any(0)
            columns = curves[:, known].T
            middle = [interquartile_mean(column) for column in columns]
            bounds = [stratified_interval(interquartile_mean, column, repetitions=2000) for column in columns]
            axis.plot(grid[known], middle, color=COLOURS[name], label=f"{name} ({len(found)} runs)")
            if bounds:
                axis.fill_between(grid[known], *np.transpose(bounds), color=COLOURS[name], alpha=0.2)
            axis.plot(grid, curves.T, color=COLOURS[name], alpha=0.2, linewidth=0.7)
    axes[0].set_ylim(0, 1.02)
    axes[0].legend(loc="lower right")
    figure.savefig(path, dpi=90)
    plt.close(figure)
