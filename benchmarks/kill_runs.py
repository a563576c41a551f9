"""Training runs that are killed and resumed, against a run that nobody disturbed.

`python -m benchmarks.kill_runs` trains with a checkpoint at every step, sends SIGKILL at random moments,
resumes, and compares what is left at the end with an undisturbed run, bit for bit: weights, moments of the
optimiser, metrics and episodes.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Annotated, Any

import typer

from ssp_env.cli.progress import waiting

OPTIONS = (
    # The smoke preset is paid nothing: without an entropy bonus, self-play would not change the weights, and
    # neither would it while a critic warms up.
    *("--preset", "smoke", "--proposer", "ppo", "--set", "proposer.entropy_coefficient=0.01"),
    *("--set", "proposer.warmup_updates=1", "--set", "checkpoint_every=1"),
    *("--set", "evaluation.validation_every=4"),
)
CLOCKS = ("wall_s", "self_play_s", "peak_rss_mb")
"""Figures of a summary that differ from run to run."""
SECONDS_BETWEEN_LOOKS = 0.01
SECONDS_FOR_A_RUN = 1800.0


@dataclass
class Report:
    """What came of the kills.

    Attributes:
        kills: Kills that met a running process.
        kills_by_stage: How many of them by the stage of the run's newest step, or `start` before the first.
        kills_before_a_step: How many of them before the process had finished a step of its own.
        runs: Runs that they were spread over; each was compared at its end.
        steps: Steps of a run, those of the warm start included.
        most_steps_lost: The most finished steps that a resumed run had to take again.
        differences: What differs from the undisturbed run; empty if they are equal bit for bit.
        seed: Seed of the moments.
    """

    seed: int
    kills: int = 0
    kills_by_stage: dict[str, int] = field(default_factory=dict)
    kills_before_a_step: int = 0
    runs: int = 0
    steps: int = 0
    most_steps_lost: int = 0
    differences: list[str] = field(default_factory=list)

    def take_kill(self, run: Path, begun_at: int) -> None:
        """Count a kill of a process that began at a step, and the steps that no checkpoint has."""
        rows = rows_of(run)
        newest = int(rows[-1]["step"]) if rows else 0
        stage = rows[-1]["stage"] if rows else "start"
        self.kills += 1
        self.kills_by_stage[stage] = self.kills_by_stage.get(stage, 0) + 1
        self.kills_before_a_step += newest <= begun_at
        self.most_steps_lost = max(self.most_steps_lost, newest - checkpointed(run))


def rows_of(run: Path) -> list[dict[str, Any]]:
    """Return the complete rows of a run's metrics; none if there are no metrics yet."""
    try:
        lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def checkpointed(run: Path) -> int:
    """Return the step of the newest complete checkpoint, counted over all stages; 0 without one."""
    folders = sorted((run / "checkpoints").glob("[0-9]-*"))
    return int(json.loads((folders[-1] / "state.json").read_text())["global_step"]) if folders else 0


def differences(run: Path, expected: Path) -> list[str]:
    """Return the names of the files and figures in which two finished runs differ."""
    names = {
        str(file.relative_to(folder))
        for folder in (run, expected)
        for file in folder.rglob("*")
        if file.suffix in (".safetensors", ".jsonl") or file.name == "heldout_before.json"
    }
    found = [name for name in sorted(names) if _content(run / name) != _content(expected / name)]
    one, other = (json.loads((folder / "summary.json").read_text()) for folder in (run, expected))
    keys = sorted(set(one) | set(other))
    return found + [
        f"summary.json: {key}" for key in keys if key not in CLOCKS and one.get(key) != other.get(key)
    ]


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def start(folder: Path, arguments: Sequence[str]) -> ForkServerProcess:
    """Start `ssp train` in a folder, in a process of its own; what it prints goes to `folder`/printed.txt."""
    # The server of processes imports torch once; a process that it forks has nothing else from another one.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["baselines.train", "baselines.watched_run", "baselines.runs.curves"])
    process = context.Process(target=_train, args=(folder, tuple(arguments)))
    process.start()
    return process


def _train(folder: Path, arguments: Sequence[str]) -> None:
    from ssp_env.cli import main

    os.chdir(folder)
    with open("printed.txt", "w") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = ["ssp", "train", "--threads", "1", *arguments]
    main()


def finish(folder: Path, options: Sequence[str]) -> Path:
    """Train without a disturbance in `folder` and return the run.

    Raises:
        RuntimeError: If training fails; the message has its last words.
    """
    process = start(folder, [*OPTIONS, *options, "--name", "whole"])
    process.join()
    _check(process, folder)
    return folder / "runs" / "whole"


def live_and_die(run: Path, options: Sequence[str], steps: int, seconds: float) -> bool:
    """Start or resume a run, and kill it some seconds after a number of further steps.

    Returns:
        Whether it was killed; False if it ended before.

    Raises:
        RuntimeError: If it failed by itself; the message has its last words.
    """
    resumed = (run / "config.json").exists()
    how = ["--resume", str(run)] if resumed else [*OPTIONS, *options, "--name", run.name]
    goal = checkpointed(run) + steps
    folder = run.parent.parent
    process = start(folder, how)
    try:
        while process.is_alive() and (not run.exists() or _newest_step(run) < goal):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        process.join(seconds)
        if process.is_alive():
            return True
    finally:
        process.kill()
        process.join()
    _check(process, folder)
    return False


def _check(process: ForkServerProcess, folder: Path) -> None:
    if process.exitcode:
        words = (folder / "printed.txt").read_text()[-2000:]
        raise RuntimeError(f"the run ended with status {process.exitcode}: {words}")


def _newest_step(run: Path) -> int:
    rows = rows_of(run)
    return int(rows[-1]["step"]) if rows else 0


def kill_and_compare(folder: Path, kills: int, seed: int, options: Sequence[str] = ()) -> Report:
    """Kill runs in `folder` until there were enough kills, let each come to its end, and compare it.

    A run lives for 0 to 3 steps and for a random part of up to two steps' time beyond them: the kill meets
    games, updates, checkpoints, evaluations and, where it lives for no step, the start.
    """
    report, rng = Report(seed), random.Random(seed)
    whole = finish(folder, options)
    report.steps = len(rows_of(whole))
    seconds_per_step = json.loads((whole / "summary.json").read_text())["wall_s"] / report.steps
    while report.kills < kills:
        run = folder / "runs" / f"killed-{report.runs}"
        deadline = time.monotonic() + SECONDS_FOR_A_RUN
        ended = False
        while not ended:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{run} did not end within {SECONDS_FOR_A_RUN:.0f} seconds")
            if report.kills == kills:
                live_and_die(run, options, report.steps + 1, SECONDS_FOR_A_RUN)
                ended = True
                continue
            begun_at = checkpointed(run)
            if live_and_die(run, options, rng.randint(0, 3), rng.uniform(0.0, 2.0 * seconds_per_step)):
                report.take_kill(run, begun_at)
            else:
                ended = True
        report.runs += 1
        report.differences += [f"{run.name}: {name}" for name in differences(run, whole)]
    return report


def main(
    kills: Annotated[int, typer.Option(help="Kills.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the moments.")] = 0,
    steps: Annotated[int, typer.Option(help="Self-play steps of a run.", min=1)] = 12,
    out: Annotated[Path, typer.Option(help="File of the report.")] = Path("results/kill_runs.json"),
) -> None:
    """Kill, resume and compare; write a report, and end with status 1 if anything differs."""
    with tempfile.TemporaryDirectory() as folder, waiting(f"training, killing {kills} times"):
        report = kill_and_compare(Path(folder), kills, seed, ["--steps", str(steps)])
    write(out, asdict(report))
    if report.differences or report.most_steps_lost > 1:
        sys.exit(1)


def write(out: Path, data: Mapping[str, Any]) -> None:
    """Print a report, and write it to a file."""
    text = json.dumps(data, indent=2)
    print(text)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n")


if __name__ == "__main__":
    typer.run(main)
