"""The comparison of arms: run once, from one warm start, reported for every seed."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from safetensors.torch import load_file

from baselines import commands, compare, curves
from baselines.comparison.curves import series
from baselines.comparison.report import table_of_seeds
from baselines.config import EvaluationConfig, preset
from baselines.run_files import read_rows

QUICK = replace(
    preset("smoke"),
    steps=2,
    answers=2,
    # A model that has learnt nothing would talk on and on.
    game=preset("smoke").game.with_budget(max_tokens=8),
    evaluation=EvaluationConfig(questions=2, validation_every=1, validation_questions=1),
    warm_start=replace(
        preset("smoke").warm_start, lookup_steps=1, lookup_sequences=4, cloning_steps=1, cloning_games=2
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "find_preset", lambda name: {"quick": QUICK}[name])
        # The curves of each run, which tests/baselines/test_commands.py draws, take half of the time.
        patch.setattr(curves, "plot_run", lambda *arguments: None)
        compare.main(preset="quick", seeds=[0, 1], out=folder, threads=1)
    return folder


def config(folder: Path, arm: str, seed: int) -> dict[str, Any]:
    return json.loads((folder / f"{arm}-seed{seed}" / "config.json").read_text())


def test_every_arm_of_a_seed_starts_from_the_same_weights_and_differs_in_one_thing(folder: Path):
    arms = ("self-play", "solver-only", "proposer-only", "no-rag-check")
    for seed in (0, 1):
        starts = [
            load_file(folder / f"{arm}-seed{seed}" / "warm-start" / "model.safetensors") for arm in arms
        ]
        assert all((starts[0][name] == start[name]).all() for start in starts for name in start)
        whole = [config(folder, arm, seed) for arm in arms]
        learning = [(run["solver"]["algorithm"], run["proposer"]["algorithm"]) for run in whole]
        both = ("grpo", "reinforce")
        assert learning == [both, ("grpo", "frozen"), ("frozen", "reinforce"), both]
        assert [run["game"]["rag_check"] for run in whole] == [True, True, True, False]
        for run in whole:
            del run["solver"], run["proposer"], run["game"]["rag_check"]
        assert whole == whole[:1] * 4
        assert whole[0]["seed"] == seed


def test_arms_that_have_ended_are_not_run_again(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compare, "find_preset", lambda name: QUICK)
    trained: list[Any] = []
    monkeypatch.setattr(commands, "run_training", lambda *options: trained.append(options))
    compare.main(preset="quick", seeds=[0, 1], out=folder, threads=1)
    assert not trained


def test_a_picture_is_drawn(folder: Path):
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")


def summary(pass_at_1: float, valid: float) -> dict[str, Any]:
    accuracy = {str(hops): {"pass_at_1": pass_at_1 / hops} for hops in (1, 2, 3)}
    before = {str(hops): {"pass_at_1": 0.1} for hops in (1, 2, 3)}
    return {
        "heldout": {"before": before, "after": accuracy},
        "game": {"valid_rate": valid, "label_truth": 0.5, "mean_hops": 1.5},
    }


def test_the_table_gives_means_and_each_seed_in_80_columns():
    runs = [summary(0.9, 0.4), summary(0.6, 0.6), summary(0.3, 0.5)]
    console = Console(file=io.StringIO(), width=80)
    console.print(table_of_seeds(dict.fromkeys(compare.ARMS, runs)))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    (place,) = [place for place, line in enumerate(lines) if "solver-only" in line]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines[place : place + 4]]
    assert rows == [
        ["solver-only", "0.600", "0.300", "0.200", "0.50", "0.50", "1.50"],
        ["", "0.90", "0.45", "0.30", "", "", ""],
        ["", "0.60", "0.30", "0.20", "", "", ""],
        ["", "0.30", "0.15", "0.10", "", "", ""],
    ]
    (place,) = [place for place, line in enumerate(lines) if "warm start" in line]
    assert [line.split("│")[2].strip() for line in lines[place : place + 2]] == ["0.100", "0.10"]


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
