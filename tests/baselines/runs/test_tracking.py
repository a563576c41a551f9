"""TensorBoard, Weights & Biases and the CSV get every step of `metrics.jsonl` once, kills or not."""

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from baselines.config import TrainConfig
from baselines.config.tracking import TrackingConfig, check_trackers
from baselines.runs.directory import RunDirectory
from baselines.runs.tracking import Tracking, write_csv
from baselines.train import Interrupted, Training
from tests.baselines.short_runs import (
    SHORT,
    Killed,
    Watcher,
    kill,
    press_ctrl_c,
    resume,
    rows,
    train,
)

AGAIN = replace(SHORT, checkpoint_every=2)
"""Killed after an odd step, it takes that step again."""


def tracked(*trackers: str, config: TrainConfig = AGAIN) -> TrainConfig:
    return config.changed({"tracking": {"trackers": list(trackers), "project": "searches"}})


def logged(path: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by metric, as `metrics.jsonl` has them."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows(path):
        for name, value in row.items():
            if name not in ("step", "stage"):
                found.setdefault(name, []).append((row["step"], value))
    return found


# -- TensorBoard -----------------------------------------------------------------------------------------


def scalars(path: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads from the folder of a run."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    reader = accumulators.EventAccumulator(str(path / "tensorboard"), size_guidance={"scalars": 0})
    reader.Reload()
    return {name: [(e.step, e.value) for e in reader.Scalars(name)] for name in reader.Tags()["scalars"]}


def assert_shown(path: Path) -> None:
    expected = logged(path)
    shown = scalars(path)
    assert shown.keys() == expected.keys() and len(shown) > 20
    for name, points in shown.items():
        assert [step for step, _ in points] == [step for step, _ in expected[name]], name
        assert [value for _, value in points] == pytest.approx([value for _, value in expected[name]])


@pytest.mark.parametrize("moment", ["look-ups 1", "cloning 3", "self-play 1", "self-play 3"])
def test_tensorboard_shows_every_step_of_a_killed_and_resumed_run_once(
    moment: str, tmp_path: Path, short_run: Path
):
    pytest.importorskip("tensorboard")
    path = tmp_path / "run"
    with pytest.raises(Killed):
        train(tracked("tensorboard"), path, Watcher(moment, kill))
    # The step of the kill is in the curve that a person sees while the run lies still.
    assert max(step for step, _ in scalars(path)["loss"]) == len(rows(path))
    resume(path)
    assert_shown(path)
    assert rows(path) == rows(short_run)


def test_tensorboard_may_join_later_and_shows_the_configuration(tmp_path: Path):
    pytest.importorskip("tensorboard")
    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(AGAIN, path, Watcher("self-play 1", press_ctrl_c))
    assert not (path / "tensorboard").exists()
    run, config = RunDirectory.open(path)
    Training(run.extend(config, None, ["tensorboard"]), run, Watcher()).train()
    assert_shown(path)
    assert RunDirectory.open(path)[1].tracking.trackers == ("tensorboard",)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(path / "tensorboard"))
    reader.Reload()
    (text,) = reader.Tensors("configuration/text_summary")
    assert text.step == 0 and b'"checkpoints_kept": 2' in text.tensor_proto.string_val[0]


# -- Weights & Biases ------------------------------------------------------------------------------------


class FakeRun:
    """What `wandb.init` returns; it keeps what it is given."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments
        self.steps: list[int] = []
        self.values: list[dict[str, Any]] = []
        self.finished = False

    def log(self, values: dict[str, Any], step: int) -> None:
        self.steps.append(step)
        self.values.append(dict(values))

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeRun]]:
    """A module in the place of wandb, which uploads nothing; its runs."""
    from importlib.machinery import ModuleSpec

    begun: list[FakeRun] = []
    module: Any = ModuleType("wandb")
    module.__spec__ = ModuleSpec("wandb", None)

    def init(**arguments: Any) -> FakeRun:
        begun.append(FakeRun(arguments))
        return begun[-1]

    module.init = init
    module.configurations = []
    module.config = type("Config", (), {"update": lambda self, v, **_: module.configurations.append(v)})()
    monkeypatch.setitem(sys.modules, "wandb", module)
    yield begun
    assert len(module.configurations) == 1 and module.configurations[0]["preset"] == "smoke"


def test_weights_and_biases_gets_every_step_of_a_resumed_run_once(tmp_path: Path, wandb: list[FakeRun]):
    path = tmp_path / "mine"
    with pytest.raises(Killed):
        train(tracked("wandb"), path, Watcher("self-play 1", kill))
    first = list(wandb[0].steps)
    assert first == list(range(1, 8))
    # The last checkpoint is of step 6, so that step 7 is taken again.
    resume(path)
    assert first + wandb[1].steps == [row["step"] for row in rows(path)] and wandb[1].finished
    resume(path)
    assert wandb[2].steps == [] and wandb[2].finished
    for run in wandb:
        assert run.arguments == {
            **wandb[0].arguments,
            "project": "searches",
            "name": "mine",
            "resume": "allow",
        }
    assert wandb[0].arguments["id"] and wandb[0].arguments["dir"] == str(path)
    values = wandb[0].values + wandb[1].values
    assert values == [{k: v for k, v in row.items() if k not in ("step", "stage")} for row in rows(path)]


def test_weights_and_biases_may_join_later(tmp_path: Path, wandb: list[FakeRun]):
    path = train(AGAIN, tmp_path / "run")
    run, config = RunDirectory.open(path)
    Training(run.extend(config, None, ["wandb"]), run, Watcher()).train()
    assert wandb[0].steps == [row["step"] for row in rows(path)]


def test_weights_and_biases_itself_takes_a_run_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = RunDirectory.create(tmp_path / "run", tracked("wandb"))
    for number in (1, 2):
        run.append_jsonl("metrics.jsonl", [{"stage": "self-play", "step": number, "loss": 0.5}])
        with Tracking(tracked("wandb"), run):
            pass
    logged_steps = json.loads((run.path / "trackers.json").read_text())
    assert logged_steps["wandb"] == 2
    folders = sorted((run.path / "wandb").glob("offline-run-*"))
    assert folders and all(logged_steps["wandb_id"] in folder.name for folder in folders)
    assert all(list(folder.glob("*.wandb")) for folder in folders)


# -- CSV -------------------------------------------------------------------------------------------------


def test_the_csv_has_the_rows_of_the_metrics(tmp_path: Path):
    path = tmp_path / "run"
    with pytest.raises(Killed):
        train(tracked("csv"), path, Watcher("self-play 1", kill))
    # As a kill would leave it: what the last checkpoint wrote.
    resume(path)
    with (path / "metrics.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    expected = rows(path)
    assert len(read) == len(expected)
    for got, row in zip(read, expected):
        assert {name: value for name, value in got.items() if value} == {k: str(v) for k, v in row.items()}


def test_columns_are_those_of_all_rows(tmp_path: Path):
    write_csv([{"step": 1, "a": 2}, {"step": 2, "b": 0.5}], tmp_path / "metrics.csv")
    assert (tmp_path / "metrics.csv").read_text() == "step,a,b\n1,2,\n2,,0.5\n"
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


# -- who logs, and bad input -----------------------------------------------------------------------------


def test_a_process_that_does_not_write_the_run_tracks_nothing(tmp_path: Path):
    run = replace(RunDirectory.create(tmp_path / "run", SHORT), writes=False)
    with Tracking(tracked("tensorboard", "csv", "wandb"), run) as tracking:
        tracking.log({"step": 1, "stage": "self-play", "loss": 0.5})
    assert [path.name for path in run.path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_library_that_is_not_installed_is_named_with_its_extra(name: str, monkeypatch, tmp_path: Path):
    monkeypatch.setattr("baselines.config.tracking.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=rf"{name} is not installed.*'ssp-env\[{name}\]'"):
        check_trackers(TrackingConfig((name, "csv")))
    run = RunDirectory.create(tmp_path / "run", SHORT)
    with pytest.raises(ModuleNotFoundError, match=rf"'ssp-env\[{name}\]'"):
        run.extend(SHORT, None, [name])
    # The run can still be continued without it.
    assert RunDirectory.open(run.path)[1] == SHORT
    check_trackers(TrackingConfig(("csv",)))


@pytest.mark.parametrize(
    ("tracking", "message"),
    [
        ({"trackers": ["tensorbord"]}, "'tensorbord'.*did you mean 'tensorboard'"),
        ({"trackers": ["csv", "csv"]}, "every tracker once, got csv, csv"),
        ({"project": ""}, r"tracking\.project must be a name"),
        ({"tracker": ["csv"]}, "unknown option of tracking.*'tracker'"),
    ],
)
def test_trackers_that_do_not_exist_are_refused(tracking: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        SHORT.changed({"tracking": tracking})
