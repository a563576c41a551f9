"""The picture of a run: the accuracy of the solver and the metrics of the games by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

HOP_COLOURS = {1: "#4c78a8", 2: "#f58518", 3: "#54a24b"}
Row = Mapping[str, Any]


def plot_run(rows: Sequence[Row], summary: Mapping[str, Any], path: Path) -> None:
    """Draw the learning curves of a run into a PNG file.

    Args:
        rows: The run's metrics, one mapping per step.
        summary: The run's summary.
        path: File to write.
    """
    steps = [row for row in rows if row["stage"] == "self-play"]
    figure, axes = plt.subplots(2, 3, figsize=(15, 8), constrained_layout=True)
    figure.suptitle(f"Search self-play, mode {summary['mode']}, seed {summary['seed']}")
    _accuracy(axes[0, 0], steps, summary)
    _lines(
        axes[0, 1],
        "Rewards in the game",
        steps,
        {"solver_reward": "solver", "proposer_reward": "proposer", "mixed_groups": "mixed groups"},
    )
    _lines(axes[0, 2], "Questions", steps, {"valid_rate": "valid", "label_truth": "true, of the valid"})
    _lines(
        axes[1, 0],
        "Share of hops among valid questions",
        steps,
        {f"asked_{hops}_hop": f"{hops}-hop" for hops in HOP_COLOURS},
    )
    _lines(
        axes[1, 1],
        "Searches per conversation, hops per question",
        steps,
        {
            "solver_searches": "solver searches",
            "proposer_searches": "proposer searches",
            "mean_hops": "mean hops",
        },
        limits=None,
    )
    _lines(
        axes[1, 2],
        "Entropy per sampled token (nats)",
        steps,
        {"solver/entropy": "solver", "proposer/entropy": "proposer"},
        limits=None,
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _accuracy(axis: Axes, steps: Sequence[Row], summary: Mapping[str, Any]) -> None:
    axis.set_title("Sampled pass@1 on unseen worlds")
    first, last = steps[0]["step"], steps[-1]["step"]
    for number, name in enumerate(summary["heldout"]["after"]):
        label, colour = (f"{name}_hop", HOP_COLOURS.get(int(name))) if name.isdigit() else (name, None)
        colour = colour or f"C{number}"
        points = [row for row in steps if f"validation/{label}" in row]
        axis.plot(
            [row["step"] - first + 1 for row in points],
            [row[f"validation/{label}"] for row in points],
            color=colour,
            alpha=0.5,
        )
        for when, position in (("before", 0), ("after", last - first + 1)):
            measured = summary["heldout"][when][name]
            low, high = measured["ci95"]
            error = [[measured["pass_at_1"] - low], [high - measured["pass_at_1"]]]
            shown = f"{label.replace('_', '-')}, held out" if when == "after" else None
            axis.errorbar(
                position, measured["pass_at_1"], yerr=error, fmt="o", color=colour, capsize=4, label=shown
            )
    axis.set_xlabel("self-play step")
    axis.set_ylim(0, 1.02)
    if summary["heldout"]["after"]:
        axis.legend(loc="lower right")


def _lines(
    axis: Axes,
    title: str,
    steps: Sequence[Row],
    series: Mapping[str, str],
    limits: tuple[float, float] | None = (0.0, 1.02),
) -> None:
    axis.set_title(title)
    for key, label in series.items():
        # A metric is missing in steps that have nothing to measure, and always for a frozen role.
        points = [(number, row[key]) for number, row in enumerate(steps, 1) if key in row]
        if not points:
            continue
        numbers, values = (np.array(column) for column in zip(*points, strict=True))
        (line,) = axis.plot(numbers, values, alpha=0.25)
        axis.plot(numbers, _smooth(values), color=line.get_color(), label=label)
    axis.set_xlabel("self-play step")
    if limits:
        axis.set_ylim(*limits)
    if axis.lines:
        axis.legend()


def _smooth(values: np.ndarray, window: int = 10) -> np.ndarray:
    """Return the trailing mean over up to `window` values."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    smooth: np.ndarray = (total[ends] - total[starts]) / (ends - starts)
    return smooth
