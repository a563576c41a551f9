"""GRPO, REINFORCE and PPO as the solver's algorithm in self-play, at equal tokens from the same warm starts.

Run with `python -m benchmarks.algorithms`; it needs `ssp-env[train]`. The same command again goes on where it
was stopped: finished runs are kept, and unfinished ones continue from their newest checkpoint. The proposer
learns as in the preset. Tokens are those that both roles sampled plus those that updates were made of.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from filelock import FileLock
from rich.console import Console

from baselines.comparison.curves import plot
from baselines.comparison.report import report, table
from baselines.comparison.runs import Runs, read_run
from baselines.config import TrainConfig
from baselines.config import preset as find_preset
from baselines.jobs import Job, run_jobs
from baselines.run_directory import RunDirectory
from baselines.run_files import SELF_PLAY, RunDirectoryError, tokens_spent

ALGORITHMS: Mapping[str, Mapping[str, Any]] = {
    # Dr. GRPO, as in the preset.
    "grpo": {"scale": "none"},
    # The mean reward of the batch is the only baseline that neither looks at groups nor learns.
    "reinforce": {"baseline": "batch"},
    # A value head on the trunk costs no second model. Advantages are not whitened: both roles share an
    # optimiser step, in which whitening would enlarge the solver's part at the expense of the proposer's.
    # The head starts at the mean return: on 25 batches of a warm start's training games it then explains 5 to
    # 13 % of the variance (a ridge regression on the same states 11 %), from 0 less than nothing.
    "ppo": {"critic": "head", "critic_start": "mean", "critic_learning_rate": 1e-3, "whiten": False},
}
"""The solver's options, chosen on training worlds before any held-out question was asked."""

FIRST = "grpo"
"""Its run makes the warm start of a seed, from which the other algorithms start too."""

STEPS_LIMIT = 100_000
"""Never reached: the number of tokens ends a run."""


@dataclass(frozen=True)
class Comparison:
    """What is run.

    Attributes:
        base: Configuration of every run but for seed and solver.
        seeds: Seeds; every algorithm is run from each.
        out: Folder of all runs.
    """

    base: TrainConfig
    seeds: tuple[int, ...]
    out: Path

    def folder(self, algorithm: str, seed: int) -> Path:
        """Return the folder of a run."""
        return self.out / f"{algorithm}-seed{seed}"

    def config(self, algorithm: str, seed: int) -> TrainConfig:
        """Return the configuration of a run."""
        return self.base.changed({"seed": seed, "solver": {"algorithm": algorithm, **ALGORITHMS[algorithm]}})

    def jobs(self) -> list[Job]:
        """Return the unfinished runs, seed by seed; all but the first of a seed need its warm start."""
        jobs = []
        for seed in self.seeds:
            shared = self.folder(FIRST, seed)
            for algorithm in ALGORITHMS:
                folder = self.folder(algorithm, seed)
                if (folder / "summary.json").exists():
                    continue
                first = algorithm == FIRST
                needed = None if first else shared / "heldout_before.json"
                arguments = (folder, self.config(algorithm, seed).to_dict(), None if first else shared)
                jobs.append(Job(folder.name, train, arguments, folder.with_suffix(".log"), needed))
        return jobs

    def runs(self) -> Runs:
        """Read the finished runs, by algorithm and seed."""
        found: Runs = {algorithm: {} for algorithm in ALGORITHMS}
        for algorithm in ALGORITHMS:
            for seed in self.seeds:
                folder = self.folder(algorithm, seed)
                if (folder / "summary.json").exists():
                    run = read_run(folder)
                    found[algorithm][seed] = (run.summary, run.rows)
        return found


def main(
    preset: Annotated[str, typer.Option(help="Configuration to start from.")] = "tiny",
    seeds: Annotated[list[int], typer.Option("--seed", help="Repeat the option for more.")] = [0, 1, 2, 3, 4],  # noqa: B006
    tokens: Annotated[int, typer.Option(help="Sampled plus trained tokens of each run.", min=1)] = 600_000,
    validation_questions: Annotated[
        int, typer.Option(help="Questions per hop count and point of a curve.", min=1)
    ] = 40,
    processes: Annotated[int, typer.Option(help="Runs at a time, of one torch thread each.", min=1)] = 2,
    out: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs/algorithms"),
    results: Annotated[Path, typer.Option(help="JSON file of the figures.")] = Path(
        "results/algorithms.json"
    ),
    picture: Annotated[Path, typer.Option(help="PNG file of the curves.")] = Path("docs/algorithms.png"),
    run: Annotated[bool, typer.Option(help="Without: report the runs that are finished.")] = True,
) -> None:
    """Run every algorithm from every seed, then print, write and draw the comparison."""
    console = Console()
    changes = {"evaluation": {"validation_questions": validation_questions}}
    base = find_preset(preset).changed({"tokens": tokens, "steps": STEPS_LIMIT, **changes})
    comparison = Comparison(base, tuple(seeds), out)
    _check_same_options(comparison)
    if run:
        run_jobs(comparison.jobs(), processes, console, _progress)
    runs = comparison.runs()
    if not any(runs.values()):
        raise typer.BadParameter(f"no run in {out} is finished", param_hint="--no-run")
    figures = report(runs, tokens)
    for path in (results, picture):
        path.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(figures, indent=1) + "\n")
    console.print(*table(figures), sep="\n")
    panels = {f"validation/{hops}_hop": f"{hops}-hop pass@1, unseen worlds" for hops in "123"}
    title = "Solver's algorithm in self-play, equal tokens: interquartile mean of runs, 95 % interval"
    plot(runs, picture, title=title, panels=panels)
    console.print(f"figures: {results}\npicture: {picture}", highlight=False)


def train(folder: Path, config: Mapping[str, Any], shared: Path | None) -> None:
    """Train a run with one thread, from the start or from its newest checkpoint.

    Args:
        folder: Its folder.
        config: Its configuration as plain data.
        shared: Folder of the run whose warm start it shares; None if it makes its own.
    """
    from baselines.commands import run_training

    folder.parent.mkdir(parents=True, exist_ok=True)
    # A command that was killed may have left a process that still trains this run.
    with FileLock(folder.with_suffix(".lock"), timeout=0):
        started = (folder / "config.json").exists()
        wanted = TrainConfig.from_dict(config)
        run = RunDirectory.open(folder)[0] if started else RunDirectory.create(folder, wanted)
        warm_start = None
        if shared is not None:
            warm_start = shared / "warm-start"
            # Of equal weights and seed the figures before self-play are equal too.
            shutil.copy(shared / "heldout_before.json", folder)
        run_training(wanted, run, Console(), warm_start, threads=1)


def _check_same_options(comparison: Comparison) -> None:
    """Refuse a folder with runs of other options.

    Raises:
        RunDirectoryError: If there is one.
    """
    for algorithm in ALGORITHMS:
        for seed in comparison.seeds:
            folder = comparison.folder(algorithm, seed)
            if not (folder / "config.json").exists():
                continue
            if RunDirectory.open(folder)[1] != comparison.config(algorithm, seed):
                raise RunDirectoryError(
                    f"the run in {folder} was started with other options: give those, or another --out"
                )


def _progress(job: Job) -> str:
    """Say how far a run is: its stage, its step, and in self-play its tokens."""
    rows = RunDirectory(job.arguments[0]).read_jsonl("metrics.jsonl")
    if not rows:
        return f"{job.name} begins"
    if rows[-1]["stage"] != SELF_PLAY:
        return f"{job.name} {rows[-1]['stage']} {rows[-1]['step']}"
    spent = sum(tokens_spent(row) for row in rows if row["stage"] == SELF_PLAY)
    return f"{job.name} {spent // 1000}k tokens"


if __name__ == "__main__":
    typer.run(main)
