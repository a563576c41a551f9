"""Two processes take the same optimiser steps as one, and train a run together."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from baselines.config import preset
from baselines.run_directory import RunDirectory
from baselines.train import Training
from tests.baselines.runs import Watcher
from tests.baselines.two_processes import ALGORITHMS, main


@pytest.fixture(scope="module")
def updates(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What one process and two processes wrote."""
    folder = tmp_path_factory.mktemp("updates")
    main(folder / "one.json")
    launcher = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2"]
    command = [
        sys.executable,
        "-m",
        *launcher,
        "-m",
        "tests.baselines.two_processes",
        str(folder / "two.json"),
    ]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads((folder / name).read_text()) for name in ("one.json", "two.json")]


def test_two_processes_share_a_list_and_gather_it(updates: list[dict[str, Any]]):
    one, two = updates
    assert (one["size"], two["size"]) == (1, 2)
    assert one["shares"] == two["shares"] == list(range(7))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_two_processes_and_one_take_the_same_steps(updates: list[dict[str, Any]], algorithm: str):
    one, two = (each["updates"][algorithm] for each in updates)
    assert one["metrics"].keys() == two["metrics"].keys()
    for name, value in one["metrics"].items():
        assert two["metrics"][name] == pytest.approx(value, abs=1e-5), name
    for name, weights in one["weights"].items():
        assert torch.allclose(torch.tensor(two["weights"][name]), torch.tensor(weights), atol=1e-6), name


def test_a_run_of_two_processes_is_resumed_and_extended_by_two(tmp_path: Path):
    """What one process computes alone, two compute together: losses of the warm start, how many questions."""

    def ssp(*arguments: str) -> str:
        command = [
            sys.executable,
            "-m",
            "ssp_env.cli",
            "train",
            *arguments,
            "--processes",
            "2",
            "--threads",
            "1",
        ]
        paths = os.pathsep.join(sys.path)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    assert ssp("--preset", "smoke", "--name", "two").count("run folder") == 1
    ssp("--resume", "runs/two", "--steps", "4")
    together = RunDirectory(tmp_path / "runs" / "two")
    alone = RunDirectory.create(tmp_path / "alone", preset("smoke"))
    summary = Training(preset("smoke"), alone, Watcher()).train()
    rows = [run.read_jsonl("metrics.jsonl") for run in (alone, together)]
    assert [row["step"] for row in rows[1]] == [*(row["step"] for row in rows[0]), len(rows[1])]
    for mine, theirs in zip(*rows, strict=False):
        if mine["stage"] != "self-play":
            assert theirs["loss"] == pytest.approx(mine["loss"], abs=1e-3)
    measured = json.loads((together.path / "summary.json").read_text())["heldout"]["after"]
    assert {name: row["n"] for name, row in measured.items()} == {
        name: row["n"] for name, row in summary["heldout"]["after"].items()
    }
    assert (together.path / "final" / "model.safetensors").is_file()
