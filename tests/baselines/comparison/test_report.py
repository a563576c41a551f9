"""The report on hand-made runs whose figures can be worked out by eye."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from baselines.comparison import curves
from baselines.comparison.curves import curve, plot, series
from baselines.comparison.report import csv_text, markdown_text, report, table, unequal_tokens
from baselines.runs.files import read_rows


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


def test_curves_average_what_is_logged_at_every_step(tmp_path: Path):
    rows = [{"stage": "cloning", "step": 1, "mean_hops": 9.0}]
    rows += [
        {"stage": "self-play", "step": 2 + i, "mean_hops": float(i), "label_truth": 0.25} for i in range(20)
    ]
    rows[-1]["validation/2_hop"] = 0.5
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    logged = read_rows(tmp_path / "metrics.jsonl")
    assert series(logged, "mean_hops") == ([10, 20], [4.5, 14.5])
    assert series(logged, "unanswerable") == ([10, 20], [0.75, 0.75])
    assert series(logged, "validation/2_hop") == ([20], [0.5])


def test_differences_are_over_common_seeds():
    other = {seed: run_of(value) for seed, value in ((1, 0.4), (2, 0.4), (7, 0.0))}
    figures = report({"a": RUNS["grpo"], "b": other, "c": {0: run_of(0.1)}})
    assert list(figures["differences"]) == ["a minus b"]
    found = figures["differences"]["a minus b"]["3"]
    assert found["runs"] == 2 and found["value"] == pytest.approx(0.15)
    # Of two seeds, t is 12.71 with one degree of freedom, and the standard error is half of their distance.
    assert found["ci95"] == pytest.approx((0.15 - 12.7062 * 0.05, 0.15 + 12.7062 * 0.05), abs=1e-4)
    assert "| a minus b | +0.150 [-0.49 to +0.79] |" in markdown_text(figures)
    lines = [line.split(",") for line in csv_text(figures).splitlines()]
    (line,) = [line for line in lines if line[:3] == ["a minus b", "3", "difference"]]
    assert [float(value) for value in line[3:]] == pytest.approx([found["value"], *found["ci95"], 2])
    console = Console(width=80, record=True)
    console.print(*table(figures), sep="\n")
    assert "-0.49 to +0.79" in console.export_text()


def test_the_picture_is_drawn(tmp_path: Path):
    plot(RUNS, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_accuracy_is_drawn_from_before_self_play_and_tokens_are_readable(monkeypatch):
    drawn = []
    monkeypatch.setattr(curves, "save", lambda figure, paths: drawn.append(figure))
    summary, rows = run_of(0.5)
    summary["heldout"]["before"] = {hops: {"pass_at_1": 0.125} for hops in "123"}
    long = [{**row, "sampled_tokens": 400_000} for row in rows]
    curves.plot({"grpo": {0: (summary, long)}}, [])
    drawn[0].canvas.draw()
    accuracy = drawn[0].axes[0]
    first = accuracy.get_lines()[0].get_xydata()
    assert first[0].tolist() == [0, 0.125] and first[-1].tolist() == [800_040, 0.5]
    assert "800k" in [label.get_text() for label in accuracy.get_xticklabels()]
    boxes = [label.get_window_extent() for label in accuracy.get_xticklabels() if label.get_text()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_a_single_run_tells_nothing_about_how_runs_differ():
    figures = report({"grpo": {0: run_of(0.5)}})
    assert figures["heldout"]["grpo"]["1"]["ci95"] is None and figures["improvement"] == {}
    console = Console(width=80, record=True)
    console.print(*table(figures), sep="\n")
    assert "one run" in console.export_text()
    assert "(one run)" in markdown_text(figures)


def test_a_warm_start_that_is_not_shared_is_shown_for_each():
    (other, rows) = run_of(0.2)
    apart = {
        "heldout": {**other["heldout"], "before": run_of(0.4)[0]["heldout"]["before"]},
        "game": other["game"],
    }
    shared = {"a": {0: run_of(0.2)}, "b": {0: run_of(0.2), 1: run_of(0.3)}}
    assert list(report(shared)["before"]) == ["warm start"]
    assert len(report(shared)["before"]["warm start"]["mean"]["runs"]) == 2
    assert list(report({"a": {0: run_of(0.2)}, "b": {0: (apart, rows)}})["before"]) == [
        "a, before",
        "b, before",
    ]


def test_aggregates_over_runs_and_sets():
    figures = report(RUNS)
    assert figures["aggregates"]["ppo"]["optimality_gap"]["value"] == pytest.approx(0.8)
    assert figures["aggregates"]["grpo"]["iqm"]["value"] == pytest.approx(0.6)
    assert [figures["profiles"]["grpo"][at] for at in ("0.00", "0.55", "0.95")] == [1.0, 0.6, 0.0]


def test_csv_and_markdown_hold_every_figure():
    figures = report(RUNS, 100)
    lines = [line.split(",") for line in csv_text(figures).splitlines()]
    assert ["grpo", "2", "seed 3", "0.7", "", "", "1"] in lines
    assert any(line[:3] == ["grpo over ppo", "mean", "improvement"] and line[3] == "0.8" for line in lines)
    assert {line[2] for line in lines if line[1] == "all"} == {"iqm", "median", "mean", "optimality_gap"}
    text = markdown_text(figures)
    assert "| grpo | 0.600 [" in text and "| grpo over ppo | 0.800 [" in text


def test_unequal_tokens_are_said():
    assert unequal_tokens(report(RUNS)) == ""
    summary, rows = run_of(0.5)
    assert "a 100, b 200" in unequal_tokens(
        report({"a": {0: (summary, rows)}, "b": {0: (summary, rows * 2)}})
    )
