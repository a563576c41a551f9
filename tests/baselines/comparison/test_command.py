"""`ssp compare` on folders: what it prints, writes and refuses."""

import json
import re

import pytest
import typer
from filelock import FileLock
from typer.testing import CliRunner

from baselines.comparison.command import compare
from baselines.comparison.runs import read_runs
from baselines.runs.files import RunDirectoryError


def run(*arguments):
    app = typer.Typer()
    app.command()(compare)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})


def message_of(*arguments):
    result = run(*arguments)
    assert result.exit_code != 0
    return str(result.exception)


def write_run(folder, accuracy=0.5, *, seed=0, ended=True, steps=20, summary=None, **config):
    folder.mkdir(parents=True)
    whole = {"preset": "tiny", "seed": seed, "game": {}, "warm_start": {}, "world": "tiny", **config}
    (folder / "config.json").write_text(json.dumps(whole))
    rows = [{"stage": "cloning", "step": 1, "loss": 1.0}]
    for step in range(2, 2 + steps):
        row = {"stage": "self-play", "step": step, "sampled_tokens": 60, "trained_tokens": 40}
        rows.append(row | {"mean_hops": 2.0, "label_truth": 0.9, "mixed_groups": 0.3})
        if step % 5 == 0:
            rows[-1]["validation/1_hop"] = rows[-1]["validation/2_hop"] = accuracy * step / (1 + steps)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if ended:
        measured = {hops: {"pass_at_1": accuracy} for hops in "12"}
        before = {hops: {"pass_at_1": 0.1} for hops in "12"}
        game = {"valid_rate": 0.5, "mean_hops": 2.0, "label_truth": 0.9, "mixed_groups": 0.3}
        data = {
            "world_version": 1,
            "heldout": {"before": before, "after": measured},
            "game": game,
            **(summary or {}),
        }
        (folder / "summary.json").write_text(json.dumps(data))
    return folder


@pytest.fixture
def folder(tmp_path):
    for seed, accuracy in enumerate((0.5, 0.6, 0.7)):
        write_run(tmp_path / "runs" / f"grpo-seed{seed}", accuracy, seed=seed)
        write_run(
            tmp_path / "runs" / f"ppo-seed{seed}",
            (0.3, 0.4, 0.5)[seed],
            seed=seed,
            solver={"algorithm": "ppo"},
        )
    return tmp_path / "runs"


def test_runs_are_compared_over_their_seeds(folder, tmp_path):
    out = tmp_path / "out"
    result = run(folder, "--out", out)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines()[:-1])) <= 80
    rows = [line.split() for line in result.output.splitlines()]
    assert ["grpo", "0.600", "0.600", "0.600", "3", "20", "2k", "0.90", "2.00"] in rows
    assert ["ppo", "0.400", "0.400", "0.400", "3", "20", "2k", "0.90", "2.00"] in rows
    figures = json.loads((out / "comparison.json").read_text())
    assert figures["heldout"]["grpo"]["1"]["runs"] == {"0": 0.5, "1": 0.6, "2": 0.7}
    assert figures["improvement"]["grpo over ppo"]["probability"] == pytest.approx(8.5 / 9)
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (out / "comparison.svg").read_text()
    assert "grpo,1,iqm,0.6" in (out / "comparison.csv").read_text()
    assert "| grpo | 0.600" in (out / "comparison.md").read_text()


def test_labels_may_be_given(folder):
    groups = read_runs([f"mine={folder}/grpo-seed0", f"mine={folder}/ppo-seed1", f"{folder}/ppo-seed2"])
    assert {label: [found.seed for found in runs] for label, runs in groups.items()} == {
        "mine": [0, 1],
        "ppo": [2],
    }


def test_runs_of_other_options_do_not_count_together(tmp_path):
    for name, options in (("a", {}), ("b", {"answers": 9})):
        write_run(tmp_path / name / "grpo-seed0", seed=0, **options)
    groups = read_runs([str(tmp_path / name / "grpo-seed0") for name in "ab"])
    assert list(groups) == ["grpo", "b/grpo-seed0"]


def test_a_run_that_has_not_ended_is_said_and_left_out_of_the_table(folder, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr("baselines.comparison.curves.plot", lambda runs, paths: drawn.update(runs))
    write_run(folder / "slow-seed0", ended=False, solver={"algorithm": "slow"})
    result = run(folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert (
        "slow-seed0 (slow) has not ended, it is stopped, at step 21 of self-play: left out of the table"
        in said
    )
    assert f"continue it with: ssp train --resume {folder / 'slow-seed0'}" in said
    assert not re.search(r"^ ?slow ", result.output, re.MULTILINE)
    assert list(drawn) == ["grpo", "ppo", "slow"] and len(drawn["slow"][0][1]) == 21
    with FileLock(folder / "slow-seed0" / ".lock"):
        assert "it is being trained" in " ".join(run(folder).output.split())
    assert "none of these runs has ended" in message_of(folder / "slow-seed0")


def test_a_run_that_is_being_written_is_read_up_to_its_last_whole_line(folder):
    with (folder / "grpo-seed0" / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "self-play", "st')
    assert run(folder).exit_code == 0


def test_worlds_of_different_versions_are_refused(folder):
    write_run(folder / "new-seed3", seed=3, summary={"world_version": 2})
    said = message_of(folder)
    assert "different versions cannot be compared" in said and "new-seed3 has version 2" in said


def test_runs_over_other_questions_are_refused(folder):
    write_run(folder / "small-seed0", world="small")
    assert "world of" in message_of(folder) and "'small'" in message_of(folder)


def test_what_is_no_run_is_named(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "the folder is empty" in message_of(empty)
    assert "it is none" in message_of(tmp_path / "nowhere")
    (empty / "config.json").write_text('{"architectures": []}')
    assert "config.json is not that of a run" in message_of(empty)
    (empty / "config.json").write_text("{")
    assert "no run in" in message_of(empty)
    (folder / "grpo-seed0" / "summary.json").write_text("{}")
    assert "expected a summary with held-out figures" in message_of(folder / "grpo-seed0")


def test_a_run_comes_once_and_a_seed_once_in_a_label(folder):
    with pytest.raises(RunDirectoryError, match=r"expected different runs, got .*grpo-seed0 twice"):
        read_runs([str(folder), str(folder / "grpo-seed0")])
    with pytest.raises(RunDirectoryError, match="of x have the same seed"):
        read_runs([f"x={folder}/grpo-seed0", f"x={folder}/ppo-seed0"])
