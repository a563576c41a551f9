"""Two processes take the same optimiser steps as one, and train a run together."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from baselines.policies.sharding import ShardedPolicy
from baselines.processes import Processes
from baselines.runs.directory import RunDirectory
from baselines.train import Training
from tests.baselines.conftest import policy_of
from tests.baselines.short_runs import Watcher
from tests.baselines.test_algorithms import fresh_model
from tests.baselines.two_processes import ALGORITHMS, OPTIONS, QUICK, SHARED_OUT, command, main, together


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one process and two processes write."""
    return tmp_path_factory.mktemp("updates")


@pytest.fixture(scope="module")
def updates(folder: Path) -> list[dict[str, Any]]:
    """What one process and two processes wrote."""
    main(folder / "one.json")
    together(main, folder / "two.json")
    return [json.loads((folder / name).read_text()) for name in ("one.json", "two.json")]


def test_two_processes_share_a_list_and_gather_it(updates: list[dict[str, Any]]):
    one, two = updates
    assert (one["size"], two["size"]) == (1, 2)
    assert one["shares"] == two["shares"] == list(range(7))


def flat(traced: dict[str, Any]) -> list[float]:
    """Everything about the tokens of a seat in one list."""
    turns = [turn for name, turns in sorted(traced.items()) if name != "trained" for turn in turns]
    return [float(traced["trained"]), *(value for turn in turns for value in turn)]


@pytest.mark.parametrize("kind", ["updates", "sharded"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_two_processes_and_one_take_the_same_steps(updates: list[dict[str, Any]], algorithm: str, kind: str):
    """With whole weights in both, and with half of them in each (FSDP2)."""
    one, two = updates[0]["updates"][algorithm], updates[1][kind][algorithm]
    assert (one["share"], two["share"]) == (1.0, 0.5 if kind == "sharded" else 1.0)
    assert one["metrics"].keys() == two["metrics"].keys()
    for name, value in one["metrics"].items():
        assert two["metrics"][name] == pytest.approx(value, abs=1e-5), name
    assert one["trace"].keys() == two["trace"].keys() and len(one["trace"]) > 1
    for game, seats in one["trace"].items():
        for seat, traced in seats.items():
            assert flat(two["trace"][game][seat]) == pytest.approx(flat(traced), abs=1e-4), (game, seat)
    for name, weights in one["weights"].items():
        assert torch.allclose(torch.tensor(two["weights"][name]), torch.tensor(weights), atol=1e-6), name


def test_weights_are_shared_out_among_several_processes_only():
    with pytest.raises(ValueError, match=r"model\.sharding 'fsdp2'.*there is one: add --processes 2"):
        ShardedPolicy(policy_of(fresh_model()), Processes())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The run of one process."""
    run = RunDirectory.create(tmp_path_factory.mktemp("runs") / "alone", QUICK)
    Training(QUICK, run, Watcher()).train()
    return run


def train_by_two(folder: Path, *arguments: str) -> str:
    """Run `ssp train` with two processes; return what it printed."""
    command = [sys.executable, "-m", "ssp_env.cli", "train", *arguments, "--processes", "2", "--threads", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_like(alone: RunDirectory, together: RunDirectory, steps: int) -> None:
    """What one process computes alone, two compute together: losses of the warm start, how many questions."""
    mine, theirs = (run.read_jsonl("metrics.jsonl") for run in (alone, together))
    assert [row["step"] for row in theirs] == list(range(1, len(mine) + 1 + steps))
    for one, two in zip(mine, theirs, strict=False):
        if one["stage"] != "self-play":
            assert two["loss"] == pytest.approx(one["loss"], abs=1e-3)
    measured = [json.loads((run.path / "summary.json").read_text()) for run in (alone, together)]
    one, two = (summary["heldout"]["after"] for summary in measured)
    assert {name: row["n"] for name, row in two.items()} == {name: row["n"] for name, row in one.items()}
    assert (together.path / "final" / "model.safetensors").is_file()
    best = json.loads((together.path / "best" / "validation.json").read_text())
    assert best == measured[1]["best"] and (together.path / "best" / "model.safetensors").is_file()


def test_a_run_of_two_processes_is_like_that_of_one(tmp_path: Path, alone: RunDirectory):
    printed = train_by_two(tmp_path, *OPTIONS, "--name", "two")
    assert RunDirectory.open(tmp_path / "runs" / "two")[1].game == QUICK.game
    assert printed.count("run folder") == 1
    assert_like(alone, RunDirectory(tmp_path / "runs" / "two"), steps=0)


def test_a_run_with_shared_out_weights_is_resumed_and_extended(
    updates: list[dict[str, Any]], folder: Path, tmp_path: Path, alone: RunDirectory
):
    run = folder / SHARED_OUT
    assert_like(alone, RunDirectory(run), steps=0)
    trackers = ["csv", *(["tensorboard"] if find_spec("tensorboard") else [])]
    options = [word for name in trackers for word in ("--tracker", name)]
    options += ["--steps", "4", "--processes", "2", "--threads", "1"]
    together(command, "train", "--resume", str(run), *options)
    assert_like(alone, RunDirectory(run), steps=1)
    # One of the two processes writes what trackers show.
    steps = len((run / "metrics.jsonl").read_text().splitlines())
    assert len((run / "metrics.csv").read_text().splitlines()) == 1 + steps
    assert len(list(run.glob("tensorboard/events.*"))) == len(trackers) - 1
