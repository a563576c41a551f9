"""Run folders: nothing is overwritten, what a kill cut short is repaired, checkpoints come back exactly."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.config import preset
from baselines.runs.directory import RunDirectory, RunDirectoryError, restore_optimizer
from baselines.runs.lock import BusyRunError, locked
from tests.baselines.short_runs import Killed

CONFIG = replace(preset("smoke"), seed=3)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "runs" / "one", CONFIG)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- opening -------------------------------------------------------------------------------------------


def test_a_new_run_holds_its_configuration(run: RunDirectory):
    assert RunDirectory.open(run.path) == (run, CONFIG)


def test_an_existing_run_is_refused_untouched_and_the_way_on_is_named(run: RunDirectory):
    run.append_jsonl("metrics.jsonl", [{"step": 1}])
    before = contents(run.path)
    with pytest.raises(RunDirectoryError) as error:
        RunDirectory.create(run.path, replace(CONFIG, seed=4))
    assert f"ssp train --resume {run.path}" in str(error.value)
    assert "--name" in str(error.value)
    assert contents(run.path) == before


def test_a_file_in_the_place_of_the_folder_is_refused_and_an_empty_folder_is_used(tmp_path: Path):
    (tmp_path / "file").write_text("keep me")
    with pytest.raises(RunDirectoryError):
        RunDirectory.create(tmp_path / "file", CONFIG)
    assert (tmp_path / "file").read_text() == "keep me"
    (tmp_path / "empty").mkdir()
    assert RunDirectory.open(RunDirectory.create(tmp_path / "empty", CONFIG).path)[1] == CONFIG


@pytest.mark.parametrize("moment", ["write_text", "replace"])
def test_a_run_that_was_killed_before_its_configuration_was_whole_can_be_started_again(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def kill(*arguments: object) -> None:
        raise Killed

    path = tmp_path / "runs" / "one"
    with monkeypatch.context() as killed:
        killed.setattr(Path, moment, kill)
        with pytest.raises(Killed):
            RunDirectory.create(path, CONFIG)
    assert path.is_dir() and not (path / "config.json").exists()
    RunDirectory.create(path, CONFIG)
    assert RunDirectory.open(path)[1] == CONFIG
    assert [entry.name for entry in path.iterdir()] == ["config.json"]


def drop_config(path: Path) -> None:
    path.unlink()


def cut_config(path: Path) -> None:
    path.write_text(path.read_text()[:40])


def foreign_config(path: Path) -> None:
    path.write_text(json.dumps({"learning_rate": 1}))


def wrong_type(path: Path) -> None:
    path.write_text(json.dumps({**CONFIG.to_dict(), "game": 3}))


def wrong_value(path: Path) -> None:
    path.write_text(json.dumps({**CONFIG.to_dict(), "updates": "both"}))


def no_object(path: Path) -> None:
    path.write_text("[1, 2]")


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    "damage", [drop_config, cut_config, foreign_config, wrong_type, wrong_value, no_object, no_text]
)
def test_a_folder_without_a_readable_run_is_named(run: RunDirectory, damage: Callable[[Path], None]):
    damage(run.path / "config.json")
    with pytest.raises(RunDirectoryError, match="no run in") as error:
        RunDirectory.open(run.path)
    assert str(run.path) in str(error.value)


# -- files ---------------------------------------------------------------------------------------------


def test_json_is_written_aside_and_replaces_what_was_there(run: RunDirectory):
    run.write_json("summary.json", {"a": 1})
    run.write_json("summary.json", {"a": [2, None]})
    assert json.loads((run.path / "summary.json").read_text()) == {"a": [2, None]}
    with pytest.raises(TypeError):
        run.write_json("summary.json", {"a": object()})
    assert json.loads((run.path / "summary.json").read_text()) == {"a": [2, None]}


ROWS = st.lists(
    st.fixed_dictionaries({"step": st.integers(1, 50), "value": st.floats(allow_nan=False) | st.text()}),
    max_size=8,
)


@settings(max_examples=40)
@given(rows=ROWS, cut=st.integers(0, 10**6), last=st.integers(0, 50))
def test_rows_come_back_and_a_line_cut_by_a_kill_is_dropped(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict], cut: int, last: int
):
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    assert run.read_jsonl("metrics.jsonl") == []
    for row in rows:
        run.append_jsonl("metrics.jsonl", [row])
    path = run.path / "metrics.jsonl"
    assert run.read_jsonl("metrics.jsonl") == rows
    if rows:
        whole = path.read_bytes()
        kept = whole[: cut % (len(whole) + 1)]
        path.write_bytes(kept)
        rows = rows[: kept.count(b"\n")]
        assert run.read_jsonl("metrics.jsonl") == rows
    run.truncate_jsonl("metrics.jsonl", last)
    rows = [row for row in rows if row["step"] <= last]
    run.append_jsonl("metrics.jsonl", [{"step": 99}])
    assert run.read_jsonl("metrics.jsonl") == [*rows, {"step": 99}]


def test_a_folder_is_published_whole_or_not_at_all(run: RunDirectory):
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run.publish("model", fail)
    assert not (run.path / "model").exists()
    assert run.publish("model", lambda folder: (folder / "whole").write_text("1")) == run.path / "model"
    with pytest.raises(OSError, match="disk full"):
        run.publish("model", fail)
    assert [path.name for path in (run.path / "model").iterdir()] == ["whole"]
    run.publish("model", lambda folder: (folder / "newer").write_text("2"))
    assert [path.name for path in (run.path / "model").iterdir()] == ["newer"]


# -- checkpoints ---------------------------------------------------------------------------------------


def small_model(seed: int = 0) -> torch.nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))


def optimizer_of(model: torch.nn.Module) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)


def train(model: torch.nn.Module, optimizer: torch.optim.AdamW, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        model(torch.randn(8, 3, generator=generator)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(run: RunDirectory):
    model = small_model()
    optimizer = optimizer_of(model)
    train(model, optimizer, range(4))
    folder = run.save_checkpoint(
        1, 4, model.state_dict(), optimizer, {"seconds": 2.5, "global_step": 9}, {"baseline": torch.ones(2)}
    )
    train(model, optimizer, range(4, 9))

    found = run.load_checkpoint(folder)
    other = small_model(1)
    other.load_state_dict(found.weights)
    again = optimizer_of(other)
    restore_optimizer(again, found.moments, found.state["optimizer"])
    state = found.state
    assert torch.equal(found.kept["baseline"], torch.ones(2))
    train(other, again, range(4, 9))
    assert (state["stage"], state["step"], state["seconds"], state["global_step"]) == (1, 4, 2.5, 9)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


def test_without_the_moments_training_would_go_on_differently(run: RunDirectory):
    """The measure of the test above is not blind."""
    model = small_model()
    optimizer = optimizer_of(model)
    train(model, optimizer, range(4))
    folder = run.save_checkpoint(1, 4, model.state_dict(), optimizer, {}, {})
    other = small_model(1)
    other.load_state_dict(run.load_checkpoint(folder).weights)
    train(model, optimizer, range(4, 9))
    train(other, optimizer_of(other), range(4, 9))
    assert not torch.equal(other[0].weight, model[0].weight)


def save(run: RunDirectory, stage: int, step: int) -> Path:
    model = small_model()
    return run.save_checkpoint(stage, step, model.state_dict(), optimizer_of(model), {}, {})


def test_the_newest_two_checkpoints_are_kept_in_order_of_stage_and_step(run: RunDirectory):
    assert run.checkpoints() == []
    places = [(0, 20), (0, 100), (0, 100), (1, 3), (2, 5), (2, 1000)]
    for stage, step in places:
        newest = save(run, stage, step)
        assert run.checkpoints()[-1] == newest
    kept = [run.load_checkpoint(folder).state for folder in run.checkpoints()]
    assert [(state["stage"], state["step"]) for state in kept] == [(2, 5), (2, 1000)]


@pytest.mark.parametrize("kept", [1, 3])
def test_as_many_checkpoints_are_kept_as_the_configuration_says(tmp_path: Path, kept: int, caplog):
    config = replace(CONFIG, checkpoints_kept=kept)
    RunDirectory.create(tmp_path / "run", config)
    run, _ = RunDirectory.open(tmp_path / "run")
    for step in range(1, 6):
        save(run, 2, step)
    assert [folder.name for folder in run.checkpoints()] == [f"2-{n:06d}" for n in range(6 - kept, 6)]
    # Of more than two, the newest intact one may be the third.
    for folder in run.checkpoints()[1:]:
        (folder / "model.safetensors").write_bytes(b"damaged")
    found = run.newest_checkpoint()
    assert found is not None and found.state["step"] == 6 - kept
    assert ("going on from" in caplog.text) == (kept > 1)


def test_a_checkpoint_cut_by_a_kill_is_none(run: RunDirectory):
    whole = save(run, 0, 1)
    cut = run.path / "checkpoints" / ".part-0-000002"
    cut.mkdir()
    (cut / "model.safetensors").write_bytes(b"half")
    assert run.checkpoints() == [whole]
    assert run.checkpoints() == [whole] and save(run, 0, 2) == run.checkpoints()[-1]


def test_checkpoints_are_safetensors_and_json_alone(run: RunDirectory):
    model = small_model()
    optimizer = optimizer_of(model)
    train(model, optimizer, range(1))
    folder = run.save_checkpoint(0, 1, model.state_dict(), optimizer, {}, {})
    assert {path.name for path in folder.iterdir()} == {
        "algorithms.safetensors",
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
    }


@pytest.mark.parametrize("name", ["state.json", "model.safetensors", "algorithms.safetensors"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_checkpoint_that_is_cut_short_or_lacks_a_file_is_named(run: RunDirectory, name: str, cut: bool):
    model = small_model()
    folder = run.save_checkpoint(1, 4, model.state_dict(), optimizer_of(model), {}, {"x": torch.ones(1)})
    if cut:
        (folder / name).write_bytes((folder / name).read_bytes()[:9])
    else:
        (folder / name).unlink()
    with pytest.raises(RunDirectoryError, match=f"{folder.name} cannot be read.*delete it"):
        run.load_checkpoint(folder)


# -- damage, and others in the same folder ---------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["state.json", "model.safetensors", "optimizer.safetensors", "algorithms.safetensors"]
)
def test_a_flipped_byte_is_found_and_the_newest_intact_checkpoint_is_used(
    run: RunDirectory, name: str, caplog
):
    save(run, 1, 2)
    newest = save(run, 1, 4)
    content = (newest / name).read_bytes()
    assert run.newest_checkpoint().state["step"] == 4
    for place in range(0, len(content), 7):
        caplog.clear()
        (newest / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert run.newest_checkpoint().state["step"] == 2, place
        assert "1-000004 cannot be read" in caplog.text and "going on from" in caplog.text


def test_a_run_whose_checkpoints_are_all_damaged_says_so(run: RunDirectory):
    assert run.newest_checkpoint() is None
    for step in (1, 2):
        (save(run, 0, step) / "state.json").write_text("{}")
    with pytest.raises(
        RunDirectoryError, match=r"0-000002 cannot be read \(state\.json: expected optimizer, stage"
    ):
        run.newest_checkpoint()


@pytest.mark.parametrize("content", ["", "[]", "null", "[" * 100_000, "\0"])
def test_an_empty_or_foreign_configuration_is_named(run: RunDirectory, content: str):
    (run.path / "config.json").write_text(content)
    with pytest.raises(RunDirectoryError, match=r"config\.json"):
        RunDirectory.open(run.path)


def test_a_damaged_row_is_named_with_its_line(run: RunDirectory):
    run.append_jsonl("metrics.jsonl", [{"step": 1}])
    for row in ("{", "[1]", '{"step": "x"}'):
        (run.path / "metrics.jsonl").write_text('{"step": 1}\n' + row + "\n")
        with pytest.raises(RunDirectoryError, match=r"metrics\.jsonl:2: expected an object"):
            run.truncate_jsonl("metrics.jsonl", 1)


def test_a_full_disk_is_named(run: RunDirectory, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*summary\.part'"):
        run.write_json("summary.json", {})
    with pytest.raises(OSError, match=r"No space left on device: '.*\.part-0-000001'"):
        save(run, 0, 1)


def test_a_second_process_is_refused_and_a_lock_of_a_killed_one_is_free(run: RunDirectory):
    holding = (
        "import sys, time; from pathlib import Path; from baselines.runs.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(run.path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        here = re.escape(repr(socket.gethostname()))
        with (
            pytest.raises(BusyRunError, match=f"being trained by process {holder.pid} on {here}"),
            locked(run.path),
        ):
            pass
        holder.kill()
    with locked(run.path):
        pass
    assert not [path for path in run.path.iterdir() if path.name.startswith(".lock")]
