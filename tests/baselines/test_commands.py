"""`ssp train` and `ssp eval` as people run them, Ctrl-C included."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssp_env import cli

RUN = "runs/mine"
SSP = [sys.executable, "-c", "from ssp_env.cli import main; main()"]


def ssp(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SSP, *arguments], cwd=folder, capture_output=True, text=True, env=environment())


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "100"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was stopped by Ctrl-C and resumed as the message says."""
    folder = tmp_path_factory.mktemp("project")
    command = [*SSP, "train", "--preset", "smoke", "--name", "mine", "--threads", "1"]
    training = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert training.stdout is not None
    for line in training.stdout:
        if line.startswith("cloning"):
            training.send_signal(signal.SIGINT)
            break
    _, said = training.communicate()
    assert training.returncode == 130
    assert said.strip() == f"ssp: stopped; continue with: ssp train --resume {RUN}"
    assert not (folder / RUN / "summary.json").exists()
    (folder / "stopped").write_text(said)
    return folder


def test_a_stopped_run_goes_on_with_the_printed_command_and_ends_with_table_and_picture(folder: Path):
    printed = (folder / "stopped").read_text().rpartition("ssp train ")[2].split()
    ended = ssp(folder, "train", *printed, "--threads", "1")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Held-out sampled pass@1, self-play, seed 0" in ended.stdout
    assert f"learning curves: {RUN}/curve.png" in ended.stdout
    assert (folder / RUN / "curve.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((folder / RUN / "summary.json").read_text())
    for hops in "123":
        figures = [summary["heldout"][when][hops]["pass_at_1"] for when in ("before", "after")]
        (row,) = [line for line in ended.stdout.splitlines() if line.startswith(f"│    {hops} ")]
        assert [f"{figure:.3f}" for figure in figures] == [
            row.split("│")[2].strip(),
            row.split("│")[4].strip(),
        ]

    measured = ssp(folder, "eval", f"{RUN}/final", "--questions", "3", "--threads", "1")
    assert (measured.returncode, measured.stderr) == (0, "")
    assert [line.split("│")[4].strip() for line in measured.stdout.splitlines() if "│" in line][-3:] == [
        "3"
    ] * 3


def test_a_wrong_warm_start_is_refused_before_a_run_folder_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder)
    for wrong, said in (("nowhere", "no checkpoint in nowhere"), ("runs/mine/warm-start", "not the size")):
        monkeypatch.setattr(sys, "argv", ["ssp", "train", "--name", "other", "--warm-start", wrong])
        with pytest.raises(SystemExit, match=f"^ssp: .*{said}"):
            cli.main()
        assert not (folder / "runs/other").exists()
