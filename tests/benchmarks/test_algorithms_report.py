"""The report on hand-made runs whose figures can be worked out by eye."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.algorithms_report import curve, plot, report, table


def run_of(accuracy: float, truth: float | None = None) -> tuple[dict, list[dict]]:
    """A run of two steps of 50 tokens each, with one point on the curve."""
    measured = {hops: {"pass_at_1": accuracy} for hops in "123"}
    game = {"valid_rate": 0.5, "mean_hops": 2.0, "mixed_groups": 0.25}
    game |= {} if truth is None else {"label_truth": truth}
    step = {"stage": "self-play", "sampled_tokens": 30, "trained_tokens": 20}
    point = {f"validation/{hops}_hop": accuracy for hops in "123"}
    return {"heldout": {"before": measured, "after": measured}, "game": game}, [step, {**step, **point}]


RUNS = {
    "grpo": {seed: run_of(value, 0.75) for seed, value in enumerate((0.1, 0.5, 0.6, 0.7, 0.9))},
    "ppo": {seed: run_of(0.2) for seed in range(5)},
    "reinforce": {},
}


def test_figures_are_those_of_the_runs():
    figures = json.loads(json.dumps(report(RUNS, 100), allow_nan=False))
    grpo = figures["heldout"]["grpo"]["mean"]
    # Of five runs the lowest and the highest are left out.
    assert np.isclose(grpo["iqm"], 0.6) and 0.1 <= grpo["ci95"][0] < 0.6 < grpo["ci95"][1] <= 0.9
    assert list(grpo["runs"].values()) == pytest.approx([0.1, 0.5, 0.6, 0.7, 0.9])
    assert figures["improvement"]["grpo over ppo"]["probability"] == 0.8
    assert figures["used"]["grpo"]["steps"] == 2 and figures["used"]["grpo"]["sampled_tokens"] == 60
    assert figures["used"]["grpo"]["label_truth"] == 0.75 and "label_truth" not in figures["used"]["ppo"]
    assert "reinforce" not in figures["heldout"]


def test_the_tables_fit_a_terminal_of_80_columns_without_losing_a_figure():
    console = Console(width=80, record=True)
    console.print(*table(report(RUNS, 100)), sep="\n")
    text = console.export_text()
    assert "…" not in text and "0.600" in text and "grpo over ppo" in text and "0.800" in text


def test_curves_run_over_tokens():
    (_, rows) = RUNS["grpo"][0]
    assert np.isnan(curve(rows, "1", np.array([50.0]))).all()
    assert curve(rows, "1", np.array([100.0, 200.0])).tolist() == [0.1, 0.1]


def test_the_picture_is_drawn(tmp_path: Path):
    plot(RUNS, 100, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
