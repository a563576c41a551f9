"""Comparisons that train their own runs at equal tokens: RL algorithms, and self-play against its parts.

Run with `python -m baselines.comparison algorithms` or `python -m baselines.comparison arms`; it needs
`ssp-env[train]`. The same command again goes on where it was stopped: finished runs are kept, also those that
the two have in common, and unfinished ones continue from their newest checkpoint. Tokens are those that both
roles sampled plus those that updates were made of.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
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
from baselines.runs.directory import RunDirectory
from baselines.runs.files import (
    CONFIG,
    HELDOUT_BEFORE,
    METRICS,
    SELF_PLAY,
    SUMMARY,
    WARM_START,
    RunDirectoryError,
    tokens_spent,
)
from baselines.runs.jobs import Job, run_jobs

ALGORITHMS: Mapping[str, Mapping[str, Any]] = {
    # Dr. GRPO, as in the preset.
    "grpo": {"scale": "none"},
    # The mean reward of the batch is the only baseline that neither looks at groups nor learns.
    "reinforce": {"baseline": "batch"},
    # A value head on the trunk costs no second model. Advantages are not whitened: both roles share an
    # optimiser step, in which whitening would enlarge the solver's part at the expense of the proposer's.
    # The head starts at the mean return: on 25 batches of a warm start's training games it then explains 5 to
    # 13 % of the variance (a ridge regression on the same states 11 %); from 0 that share is negative.
    "ppo": {"critic": "head", "critic_start": "mean", "critic_learning_rate": 1e-3, "whiten": False},
}
"""The solver's options, chosen on training worlds before any held-out question was asked."""

SELF_PLAY_RUN = "self-play"
"""The run that the others of a seed differ from; its warm start is theirs too."""

CHANGES: Mapping[str, Mapping[str, Any]] = {
    SELF_PLAY_RUN: {"solver": {"algorithm": "grpo", **ALGORITHMS["grpo"]}},
    "reinforce": {"solver": {"algorithm": "reinforce", **ALGORITHMS["reinforce"]}},
    "ppo": {"solver": {"algorithm": "ppo", **ALGORITHMS["ppo"]}},
    "frozen-proposer": {"proposer": "frozen"},
    "scripted-proposer": {
        "proposer": "frozen",
        "opponents": {"proposer": "perfect"},
        "hop_mixture": "equal",
    },
    "known-questions": {"proposer": "frozen", "source": {"known_questions": True}, "hop_mixture": "equal"},
    "no-check": {"rules": {"rag_check": False, "quote_check": "off", "second_reading": False}},
    "proposer-only": {"solver": "frozen"},
}
"""What each run changes in the preset.

The frozen proposer is the warm start; the scripted one knows the world and asks one, two and three hops
equally often, and so do the known questions, which have no proposer: they are what labels would give.
"""

RECIPES: Mapping[str, Mapping[str, str]] = {
    "algorithms": {"grpo": SELF_PLAY_RUN, "reinforce": "reinforce", "ppo": "ppo"},
    "arms": {
        name: name
        for name in (
            SELF_PLAY_RUN,
            "frozen-proposer",
            "scripted-proposer",
            "known-questions",
            "no-check",
            "proposer-only",
        )
    },
}
"""Runs by the names that a comparison gives them."""

Recipe = Enum("Recipe", {name: name for name in RECIPES}, type=str)  # type: ignore[misc]

CONSTANT = {"schedule": "constant", "total_steps": 0, "floor": 0.0}
"""A learning rate that falls by steps would fall at another number of tokens in every arm."""

STEPS_LIMIT = 100_000
"""Never reached: the number of tokens ends a run."""


@dataclass(frozen=True)
class Comparison:
    """What is run.

    Attributes:
        base: Configuration that every run starts from.
        runs: Names of the runs in `CHANGES`.
        seeds: Every run is made from each.
        out: Folder of all runs.
    """

    base: TrainConfig
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    out: Path

    def folder(self, run: str, seed: int) -> Path:
        """Return the folder of a run."""
        return self.out / f"{run}-seed{seed}"

    def config(self, run: str, seed: int) -> TrainConfig:
        """Return the configuration of a run."""
        return self.base.changed(CHANGES[run]).changed({"seed": seed})

    def jobs(self) -> list[Job]:
        """Return the unfinished runs, seed by seed; all but the first of a seed need its warm start."""
        jobs = []
        for seed in self.seeds:
            shared = self.folder(SELF_PLAY_RUN, seed)
            for run in self.runs:
                folder = self.folder(run, seed)
                if (folder / SUMMARY).exists():
                    continue
                first = run == SELF_PLAY_RUN
                needed = None if first else shared / HELDOUT_BEFORE
                arguments = (folder, self.config(run, seed).to_dict(), None if first else shared)
                jobs.append(Job(folder.name, train, arguments, folder.with_suffix(".log"), needed))
        return jobs

    def finished(self, labels: Mapping[str, str]) -> Runs:
        """Read the finished runs, by label and seed."""
        found: Runs = {label: {} for label in labels}
        for label, name in labels.items():
            for seed in self.seeds:
                folder = self.folder(name, seed)
                if (folder / SUMMARY).exists():
                    run = read_run(folder)
                    found[label][seed] = (run.summary, run.rows)
        return found


def main(
    recipe: Annotated[Recipe, typer.Argument(help="What is compared.")],
    preset: Annotated[str, typer.Option(help="Configuration to start from.")] = "tiny",
    seeds: Annotated[list[int], typer.Option("--seed", help="Repeat the option for more.")] = [0, 1, 2, 3, 4],  # noqa: B006
    tokens: Annotated[int, typer.Option(help="Sampled plus trained tokens of each run.", min=1)] = 900_000,
    validation_questions: Annotated[
        int, typer.Option(help="Questions per hop count and point of a curve.", min=1)
    ] = 40,
    processes: Annotated[int, typer.Option(help="Runs at a time, of one torch thread each.", min=1)] = 2,
    out: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs/equal-tokens"),
    results: Annotated[Path | None, typer.Option(help="JSON file of the figures; in --out if none.")] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="PNG file of the curves, with an SVG file beside it; in --out if none."),
    ] = None,
    run: Annotated[bool, typer.Option(help="Without: report the runs that are finished.")] = True,
) -> None:
    """Train every run from every seed, then print, write and draw the comparison."""
    console = Console()
    changes = {"evaluation": {"validation_questions": validation_questions}, "learner": CONSTANT}
    base = find_preset(preset).changed({"tokens": tokens, "steps": STEPS_LIMIT, **changes})
    labels = RECIPES[recipe.value]
    comparison = Comparison(base, tuple(labels.values()), tuple(seeds), out)
    _check_same_options(comparison)
    if run:
        run_jobs(comparison.jobs(), processes, console, _progress)
    runs = comparison.finished(labels)
    if not any(runs.values()):
        raise typer.BadParameter(f"no run in {out} is finished", param_hint="--no-run")
    results, picture = results or out / f"{recipe.value}.json", picture or out / f"{recipe.value}.png"
    for path in (results, picture):
        path.parent.mkdir(parents=True, exist_ok=True)
    figures = report(runs, tokens)
    results.write_text(json.dumps(figures, indent=1) + "\n")
    console.print(*table(figures), sep="\n")
    plot(
        runs,
        [picture, picture.with_suffix(".svg")],
        title="Equal tokens from equal warm starts: interquartile mean of runs, 95 % interval",
    )
    console.print(f"figures: {results}\npictures: {picture}, .svg", highlight=False)


def train(folder: Path, config: Mapping[str, Any], shared: Path | None) -> None:
    """Train a run with one thread, from the start or from its newest checkpoint.

    Args:
        folder: Its folder.
        config: Its configuration as plain data.
        shared: Folder of the run whose warm start it shares; None if it makes its own.
    """
    from baselines.watched_run import run_training

    folder.parent.mkdir(parents=True, exist_ok=True)
    # A command that was killed may have left a process that still trains this run.
    with FileLock(folder.with_suffix(".lock"), timeout=0):
        started = (folder / CONFIG).exists()
        wanted = TrainConfig.from_dict(config)
        run = RunDirectory.open(folder)[0] if started else RunDirectory.create(folder, wanted)
        warm_start = None
        if shared is not None:
            warm_start = shared / WARM_START
            # Of equal weights and seed the figures before self-play are equal too.
            shutil.copy(shared / HELDOUT_BEFORE, folder)
        run_training(wanted, run, Console(), warm_start, threads=1)


def _check_same_options(comparison: Comparison) -> None:
    """Refuse a folder with runs of other options.

    Raises:
        RunDirectoryError: If there is one.
    """
    for name in comparison.runs:
        for seed in comparison.seeds:
            folder = comparison.folder(name, seed)
            if not (folder / CONFIG).exists():
                continue
            if RunDirectory.open(folder)[1] != comparison.config(name, seed):
                raise RunDirectoryError(
                    f"the run in {folder} was started with other options: give those, or another --out"
                )


def _progress(job: Job) -> str:
    """Say how far a run is: its stage, its step, and in self-play its tokens."""
    rows = RunDirectory(job.arguments[0]).read_jsonl(METRICS)
    if not rows:
        return f"{job.name} begins"
    if rows[-1]["stage"] != SELF_PLAY:
        return f"{job.name} {rows[-1]['stage']} {rows[-1]['step']}"
    spent = sum(tokens_spent(row) for row in rows if row["stage"] == SELF_PLAY)
    return f"{job.name} {spent // 1000}k tokens"
