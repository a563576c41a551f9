"""The benchmark of killed runs kills, resumes, and sees a difference where there is one."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import kill_runs

TINY = (
    *("--steps", "2", "--set", "warm_start.lookup_steps=1", "--set", "warm_start.cloning_steps=1"),
    *("--set", "evaluation.questions=1", "--set", "evaluation.validation_every=2"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def report(folder: Path) -> kill_runs.Report:
    return kill_runs.kill_and_compare(folder, kills=2, seed=3, options=TINY)


def test_a_run_that_is_killed_twice_ends_as_one_that_is_not(folder: Path, report: kill_runs.Report):
    assert report.differences == []
    assert report.most_steps_lost <= 1
    assert report.kills == sum(report.kills_by_stage.values()) == 2
    assert report.steps == len(kill_runs.rows_of(folder / "runs" / "whole")) == 4
    assert kill_runs.checkpointed(folder / "runs" / "whole") == 4


def test_self_play_changes_the_weights_that_are_compared(folder: Path, report: kill_runs.Report):
    whole = folder / "runs" / "whole"
    assert (whole / "final" / "model.safetensors").read_bytes() != (
        whole / "warm-start" / "model.safetensors"
    ).read_bytes()


def test_differences_are_found(folder: Path, report: kill_runs.Report, tmp_path: Path):
    whole = folder / "runs" / "whole"
    changed = tmp_path / "changed"
    shutil.copytree(whole, changed)
    assert kill_runs.differences(changed, whole) == []
    weights = changed / "final" / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (changed / "episodes.jsonl").unlink()
    summary = json.loads((changed / "summary.json").read_text())
    (changed / "summary.json").write_text(json.dumps({**summary, "wall_s": -1.0, "seed": 5}))
    assert kill_runs.differences(changed, whole) == [
        "episodes.jsonl",
        "final/model.safetensors",
        "summary.json: seed",
    ]


def test_steps_after_the_newest_checkpoint_are_lost(tmp_path: Path):
    report = kill_runs.Report(seed=0)
    report.take_kill(tmp_path, begun_at=0)
    assert (report.kills_by_stage, report.most_steps_lost) == ({"start": 1}, 0)
    (tmp_path / "checkpoints" / "0-000001").mkdir(parents=True)
    (tmp_path / "checkpoints" / "0-000001" / "state.json").write_text('{"global_step": 1}')
    rows = "".join(json.dumps({"stage": "look-ups", "step": step}) + "\n" for step in (1, 2, 3))
    (tmp_path / "metrics.jsonl").write_text(rows + '{"stage": "cut')
    report.take_kill(tmp_path, begun_at=1)
    assert report.kills_by_stage == {"start": 1, "look-ups": 1}
    assert (report.kills_before_a_step, report.most_steps_lost) == (1, 2)


def test_a_run_that_fails_by_itself_is_no_kill(tmp_path: Path):
    run = tmp_path / "runs" / "one"
    with pytest.raises(RuntimeError, match="status 1: ssp: unknown option of learner 'nothing'"):
        kill_runs.live_and_die(run, ["--set", "learner.nothing=1"], 1, 60.0)
