"""The published comparison in miniature: self-play, its halves, and no RAG check, at equal compute.

Run with `python -m baselines.compare`; arms that have a summary already are not run again. `ssp compare`
compares the same folders at equal tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from baselines.comparison.runs import Runs, read_run
from baselines.config import TrainConfig
from baselines.config import preset as find_preset
from baselines.run_directory import RunDirectory

ARMS: Mapping[str, Mapping[str, Any]] = {
    "self-play": {"mode": "self-play", "rag_check": True},
    "solver-only": {"mode": "solver-only", "rag_check": True},
    "proposer-only": {"mode": "proposer-only", "rag_check": True},
    "no RAG check": {"mode": "self-play", "rag_check": False},
}
"""The arms; all arms of a seed start from the same warm start and play the same number of games."""


def main(
    preset: Annotated[str, typer.Option(help="Configuration to start from.")] = "tiny",
    seeds: Annotated[list[int], typer.Option(help="Seed; repeat the option for more.")] = [0, 1, 2],  # noqa: B006
    out: Annotated[Path, typer.Option(help="Folder of all runs, the table and the picture.")] = Path(
        "runs/compare"
    ),
    threads: Annotated[int, typer.Option(help="CPU threads of torch.", min=1)] = 2,
) -> None:
    """Run every arm for every seed, then print and draw the comparison."""
    from baselines.comparison.curves import plot
    from baselines.comparison.report import table_of_seeds

    console = Console()
    for seed in seeds:
        for arm in ARMS:
            _run_arm(arm, find_preset(preset), seed, out, threads, console)
    runs = read_arms(out, seeds)
    console.print(
        table_of_seeds({arm: [summary for summary, _ in found.values()] for arm, found in runs.items()})
    )
    averaged = (
        f"interquartile mean of {len(seeds)} seeds, each seed faint" if len(seeds) > 1 else f"seed {seeds[0]}"
    )
    title = f"Same warm start, same number of games; {averaged}"
    plot(runs, out / "comparison.png", over="steps", title=title)
    console.print(f"picture: {out / 'comparison.png'}", highlight=False)


def _folder(out: Path, arm: str, seed: int) -> Path:
    return out / f"{arm.replace(' ', '-').lower()}-seed{seed}"


def read_arms(out: Path, seeds: Sequence[int]) -> Runs:
    """Return the runs of all arms by seed."""
    runs: Runs = {}
    for arm in ARMS:
        found = {seed: read_run(_folder(out, arm, seed)) for seed in seeds}
        runs[arm] = {seed: (run.summary, run.rows) for seed, run in found.items()}
    return runs


def _run_arm(arm: str, base: TrainConfig, seed: int, out: Path, threads: int, console: Console) -> None:
    from baselines.commands import run_training

    folder = _folder(out, arm, seed)
    if (folder / "summary.json").exists():
        return
    warm_start = None if arm == "self-play" else _folder(out, "self-play", seed) / "warm-start"
    options = ARMS[arm]
    config = base.in_mode(options["mode"]).changed(
        {"seed": seed, "rules": {"rag_check": options["rag_check"]}}
    )
    console.rule(f"{arm}, seed {seed}")
    run = (
        RunDirectory.open(folder)[0]
        if (folder / "config.json").exists()
        else RunDirectory.create(folder, config)
    )
    run_training(config, run, console, warm_start, threads)


if __name__ == "__main__":
    typer.run(main)
