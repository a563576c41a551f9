"""The picture of a run: the accuracy of the solver and the metrics of the games by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from baselines.plotting import legend_below, look, panels, save
from baselines.runs.files import self_play_rows

Row = Mapping[str, Any]
WINDOW = 10
"""Steps of the trailing means; the values of single steps are drawn faint."""


def plot_run(rows: Sequence[Row], summary: Mapping[str, Any], path: Path) -> None:
    """Draw the learning curves of a run.

    Args:
        rows: The run's metrics, one mapping per step.
        summary: The run's summary.
        path: PNG file to write; an SVG is written beside it.
    """
    steps = self_play_rows(rows)
    figure, axes = panels(3, 2, height=4.4)
    figure.suptitle(
        f"Search self-play, mode {summary['mode']}, seed {summary['seed']}: "
        f"means over {WINDOW} steps, single steps faint"
    )
    _accuracy(axes[0], steps, summary)
    lines = {"solver_reward": "solver: share of attempts that are right", "proposer_reward": "proposer"}
    _lines(axes[1], "Rewards in the game", "reward", steps, lines)
    lines = {
        "valid_rate": "valid, of all proposals",
        "label_truth": "with this answer alone, of the valid",
        "mixed_groups": "solved in some attempts and not in others, of the valid",
    }
    _lines(axes[2], "Questions", "share of questions", steps, lines, columns=1)
    lines = {f"asked_{hops}_hop": f"{hops} {'hop' if hops == 1 else 'hops'}" for hops in (1, 2, 3)}
    _lines(axes[3], "Hops of valid questions", "share of valid questions", steps, lines, columns=3)
    lines = {
        "solver_searches": "searches of an attempt",
        "proposer_searches": "searches of a proposal",
        "mean_hops": "hops of a valid question",
    }
    _lines(axes[4], "Searches and hops", "mean number", steps, lines, top=None)
    lines = {"solver/entropy": "solver", "proposer/entropy": "proposer"}
    _lines(axes[5], "Entropy of the policy", "nats per sampled token", steps, lines, top=None)
    save(figure, path)


def _accuracy(axis: Axes, steps: Sequence[Row], summary: Mapping[str, Any]) -> None:
    """Draw held-out accuracy before and after with intervals, and validation accuracy between them."""
    first, last = steps[0]["step"], steps[-1]["step"]
    for number, name in enumerate(summary["heldout"]["after"]):
        label, how = f"{name}_hop" if name.isdigit() else name, look(number)
        points = [row for row in steps if f"validation/{label}" in row]
        before = summary["heldout"]["before"][name]["pass_at_1"]
        hops = f"{name} {'hop' if name == '1' else 'hops'}" if name.isdigit() else name
        axis.plot(
            [0, *(row["step"] - first + 1 for row in points)],
            [before, *(row[f"validation/{label}"] for row in points)],
            color=how.color,
            linestyle=how.linestyle,
            linewidth=1,
            label=f"{hops}, validation",
        )
        ends = [summary["heldout"][when][name] for when in ("before", "after")]
        measured = np.array([found["pass_at_1"] for found in ends])
        errors = np.abs(np.array([found["ci95"] for found in ends]).T - measured)
        axis.errorbar(
            [0, last - first + 1],
            measured,
            yerr=errors,
            fmt=how.marker,
            color=how.color,
            capsize=4,
            label=f"{hops}, held out, 95 %",
        )
    axis.set(title="Unseen worlds", xlabel="self-play step", ylabel="sampled pass@1")
    axis.set_ylim(0, 1.02)
    legend_below(axis)


def _lines(
    axis: Axes,
    title: str,
    unit: str,
    steps: Sequence[Row],
    series: Mapping[str, str],
    *,
    top: float | None = 1.02,
    columns: int = 2,
) -> None:
    """Draw metrics by step, from zero up to `top`, or to what there is."""
    for number, (key, label) in enumerate(series.items()):
        # A metric is missing in steps that have nothing to measure, and always for a frozen role.
        points = [(step, row[key]) for step, row in enumerate(steps, 1) if key in row]
        if not points:
            continue
        places, values = (np.array(column) for column in zip(*points, strict=True))
        how = look(number)
        axis.plot(places, values, color=how.color, alpha=0.2, linewidth=0.7)
        axis.plot(places, _smooth(values), color=how.color, linestyle=how.linestyle, label=label)
    axis.set(title=title, xlabel="self-play step", ylabel=unit)
    axis.set_ylim(0, top)
    axis.set_xlim(left=0)
    legend_below(axis, columns)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Return the trailing mean over up to `WINDOW` values."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - WINDOW)
    smooth: np.ndarray = (total[ends] - total[starts]) / (ends - starts)
    return smooth
