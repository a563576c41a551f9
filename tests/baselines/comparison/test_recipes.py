"""Comparisons that train their own runs: from one warm start, ended once, reported at equal tokens."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from safetensors.torch import load_file

from baselines import watched_run
from baselines.comparison import recipes
from baselines.config import EvaluationConfig, preset
from baselines.runs import curves
from baselines.runs.files import RunDirectoryError

QUICK = replace(
    preset("smoke"),
    answers=2,
    # A model that has learnt nothing would talk on and on.
    game=preset("smoke").game.with_budget(max_tokens=8),
    evaluation=EvaluationConfig(questions=2, validation_every=1, validation_questions=1),
    warm_start=replace(
        preset("smoke").warm_start, lookup_steps=1, lookup_sequences=4, cloning_steps=1, cloning_games=2
    ),
)
TOKENS = 60


def compare(name: str, folder: Path, **options: Any) -> None:
    """Run a recipe in this process, in the order of its jobs."""
    defaults = {"tokens": TOKENS, "validation_questions": 1, "results": None, "picture": None, "run": True}
    given = {"preset": "quick", "seeds": [0, 1], "processes": 1, "out": folder, **defaults, **options}
    recipes.main(recipes.Recipe[name], **given)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have jobs run here; returns the names of those that did."""
    ran: list[str] = []

    def run_jobs(jobs: Any, *rest: object) -> None:
        for job in jobs:
            assert job.needed is None or job.needed.exists()
            ran.append(job.name)
            job.function(*job.arguments)

    monkeypatch.setattr(recipes, "run_jobs", run_jobs)
    monkeypatch.setattr(recipes, "find_preset", lambda name: {"quick": QUICK}[name])
    # The curves of each run, which tests/baselines/test_commands.py draws, take half of the time.
    monkeypatch.setattr(curves, "plot_run", lambda *arguments: None)
    return ran


def config(folder: Path, run: str, seed: int) -> dict[str, Any]:
    return json.loads((folder / f"{run}-seed{seed}" / "config.json").read_text())


def test_runs_of_a_seed_share_a_warm_start_and_both_recipes_share_runs(
    tmp_path: Path, in_process: list[str], monkeypatch: pytest.MonkeyPatch
):
    compare("arms", tmp_path, seeds=[0])
    arms = [*recipes.RECIPES["arms"]]
    assert in_process == [f"{run}-seed0" for run in arms]
    starts = [load_file(tmp_path / f"{run}-seed0" / "warm-start" / "model.safetensors") for run in arms]
    assert all((starts[0][name] == start[name]).all() for start in starts for name in start)
    assert (tmp_path / "arms.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "arms.svg").read_text()
    in_process.clear()
    # The picture of one comparison shows that pictures are drawn.
    monkeypatch.setattr(recipes, "plot", lambda *arguments, **options: None)
    compare("algorithms", tmp_path, seeds=[0])
    assert in_process == ["reinforce-seed0", "ppo-seed0"]
    figures = json.loads((tmp_path / "algorithms.json").read_text())
    assert [*figures["heldout"]] == ["grpo", "reinforce", "ppo"] and figures["tokens"] == TOKENS
    assert all(used["sampled_tokens"] + used["trained_tokens"] >= TOKENS for used in figures["used"].values())
    in_process.clear()
    compare("arms", tmp_path, seeds=[0])
    assert not in_process


def test_every_run_changes_what_its_name_says(tmp_path: Path):
    comparison = recipes.Comparison(preset("tiny"), tuple(recipes.CHANGES), (3,), tmp_path)
    configs = {name: comparison.config(name, 3) for name in recipes.CHANGES}
    both = ("solver", "proposer")
    assert {name: found.learning for name, found in configs.items()} == {
        **dict.fromkeys(("self-play", "reinforce", "ppo", "no-check"), both),
        **dict.fromkeys(("frozen-proposer", "scripted-proposer", "known-questions"), ("solver",)),
        "proposer-only": ("proposer",),
    }
    assert [found.solver.algorithm for found in configs.values()][:3] == ["grpo", "reinforce", "ppo"]
    assert not configs["no-check"].game.rag_check and configs["known-questions"].source.has_questions
    assert configs["scripted-proposer"].opponents.proposer == "perfect"
    assert {found.seed for found in configs.values()} == {3}
    assert configs["self-play"] == preset("tiny").changed({"seed": 3})


def test_runs_of_other_options_are_refused(tmp_path: Path, in_process: list[str]):
    (tmp_path / "self-play-seed0").mkdir(parents=True)
    config = QUICK.changed({"tokens": TOKENS + 1, "steps": recipes.STEPS_LIMIT, "learner": recipes.CONSTANT})
    (tmp_path / "self-play-seed0" / "config.json").write_text(json.dumps(config.to_dict()))
    with pytest.raises(RunDirectoryError, match="self-play-seed0 was started with other options"):
        compare("algorithms", tmp_path, seeds=[0])
    assert not in_process


def test_without_runs_there_is_nothing_to_report(tmp_path: Path, in_process: list[str]):
    with pytest.raises(typer.BadParameter, match=r"no run in .* is finished"):
        compare("algorithms", tmp_path, run=False)


def test_a_job_waits_for_the_warm_start_and_says_how_far_it_is(tmp_path: Path):
    comparison = recipes.Comparison(QUICK, ("self-play", "ppo"), (0,), tmp_path)
    first, second = comparison.jobs()
    assert first.needed is None and second.needed == tmp_path / "self-play-seed0" / "heldout_before.json"
    assert recipes._progress(first) == "self-play-seed0 begins"
    folder = tmp_path / "self-play-seed0"
    folder.mkdir()
    rows = [{"stage": "cloning", "step": 7}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert recipes._progress(first) == "self-play-seed0 cloning 7"
    rows.append({"stage": "self-play", "step": 8, "sampled_tokens": 1500, "trained_tokens": 700})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert recipes._progress(first) == "self-play-seed0 2k tokens"


def test_training_goes_on_in_a_folder_that_was_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trained: list[Any] = []
    monkeypatch.setattr(watched_run, "run_training", lambda config, *rest, **options: trained.append(config))
    config = QUICK.changed({"seed": 5}).to_dict()
    for _ in range(2):
        recipes.train(tmp_path / "a" / "run", config, None)
    assert [found.seed for found in trained] == [5, 5]
