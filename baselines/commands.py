"""The commands of `ssp` that learn and measure: `train` and `eval`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from baselines.eval_command import evaluate
from baselines.presets import MODES, PRESETS, Mode, TrainConfig
from baselines.presets import preset as find_preset
from ssp_env.cli import INTERRUPTED

RUNS = Path("runs")

__all__ = ["evaluate", "train"]


def train(
    preset: Annotated[str, typer.Option(help=f"Configuration to start from: {', '.join(PRESETS)}.")] = "tiny",
    name: Annotated[str, typer.Option(help="Name of the run; its folder is runs/NAME.")] = "",
    seed: Annotated[int, typer.Option(help="Fixes every random choice of the run.", min=0)] = 0,
    mode: Annotated[str, typer.Option(help=f"Who learns: {', '.join(MODES)}.")] = "self-play",
    steps: Annotated[int | None, typer.Option(help="Self-play steps.", min=1)] = None,
    rag_check: Annotated[
        bool, typer.Option("--rag-check/--no-rag-check", help="Whether questions must pass the RAG check.")
    ] = True,
    warm_start: Annotated[
        Path | None, typer.Option(help="Start from this warm-start folder (runs/NAME/warm-start).")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Continue the run in this folder.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads of torch.", min=1)] = 2,
) -> None:
    """Train a tiny policy by search self-play and report held-out accuracy before and after."""
    from baselines.run_directory import RunDirectory

    if resume is not None:
        run, config = RunDirectory.open(resume)
    else:
        config = replace(find_preset(preset), seed=seed, mode=cast(Mode, mode))
        config = replace(config, game=replace(config.game, rag_check=rag_check))
        if steps is not None:
            config = replace(config, steps=steps)
        if warm_start is not None:
            from baselines.train import check_warm_start

            check_warm_start(warm_start, config)
        run = RunDirectory.create(RUNS / (name or f"{preset}-{mode}-seed{seed}"), config)
    console = Console()
    console.print(f"run folder: {run.path} ({config.mode}, seed {config.seed})", highlight=False)
    summary = run_training(config, run, console, warm_start, threads)
    console.print(_table(summary))
    console.print(
        f"learning curves: {run.path / 'curve.png'}\nsummary: {run.path / 'summary.json'}", highlight=False
    )


def run_training(
    config: TrainConfig, run: Any, console: Console, warm_start: Path | None, threads: int
) -> dict[str, Any]:
    """Train in a run directory, with a live display, and draw the curves; return the summary.

    Raises:
        SystemExit: With status 130 if the run is interrupted; a message on stderr says how to continue.
    """
    import torch
    import transformers

    from baselines.curves import plot_run
    from baselines.progress import ProgressDisplay
    from baselines.train import Interrupted, Training

    torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()
    try:
        with ProgressDisplay(console) as display:
            summary = Training(config, run, display, warm_start).train()
    except Interrupted as stop:
        print(f"\nssp: {stop}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    plot_run(run.read_jsonl("metrics.jsonl"), summary, run.path / "curve.png")
    return summary


def _table(summary: dict[str, Any]) -> Table:
    table = Table(title=f"Held-out sampled pass@1, {summary['mode']}, seed {summary['seed']}")
    for heading in ("hops", "before", "95 %", "after", "95 %", "questions"):
        table.add_column(heading, justify="right")
    before, after = summary["heldout"]["before"], summary["heldout"]["after"]
    for hops in before:
        table.add_row(hops, *_cells(before[hops]), *_cells(after[hops]), str(after[hops]["n"]))
    return table


def _cells(accuracy: dict[str, Any]) -> tuple[str, str]:
    low, high = accuracy["ci95"]
    return f"{accuracy['pass_at_1']:.3f}", f"{low:.3f} .. {high:.3f}"
