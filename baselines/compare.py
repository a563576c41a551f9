"""The published comparison in miniature: self-play, its halves, and no RAG check, at equal compute.

Run with `python -m baselines.compare`; arms that have a summary already are not run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

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

COLOURS = {
    "self-play": "#54a24b",
    "solver-only": "#4c78a8",
    "proposer-only": "#f58518",
    "no RAG check": "#e45756",
}
Summaries = Mapping[str, Sequence[Mapping[str, Any]]]


def main(
    preset: Annotated[str, typer.Option(help="Configuration to start from.")] = "tiny",
    seeds: Annotated[list[int], typer.Option(help="Seed; repeat the option for more.")] = [0, 1, 2],  # noqa: B006
    out: Annotated[Path, typer.Option(help="Folder of all runs, the table and the picture.")] = Path(
        "runs/compare"
    ),
    threads: Annotated[int, typer.Option(help="CPU threads of torch.", min=1)] = 2,
) -> None:
    """Run every arm for every seed, then print and draw the comparison."""
    console = Console()
    for seed in seeds:
        for arm in ARMS:
            _run_arm(arm, find_preset(preset), seed, out, threads, console)
    summaries = {arm: [_read(out, arm, seed) for seed in seeds] for arm in ARMS}
    console.print(comparison_table(summaries))
    plot_comparison(out, seeds, out / "comparison.png")
    console.print(f"picture: {out / 'comparison.png'}", highlight=False)


def _folder(out: Path, arm: str, seed: int) -> Path:
    return out / f"{arm.replace(' ', '-').lower()}-seed{seed}"


def _read(out: Path, arm: str, seed: int) -> Mapping[str, Any]:
    data: Mapping[str, Any] = json.loads((_folder(out, arm, seed) / "summary.json").read_text())
    return data


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


def comparison_table(summaries: Summaries) -> Table:
    """Return held-out pass@1 after training and metrics of the games: mean over seeds, each seed below it."""
    table = Table(title="Held-out sampled pass@1 after training: mean over seeds, then each seed")
    for heading in ("arm", "1 hop", "2 hops", "3 hops", "valid", "true", "hops asked"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    before = summaries["self-play"]
    table.add_row("warm start", *(_spread(before, "before", hops) for hops in "123"), "", "", "")
    for arm, runs in summaries.items():
        game = (
            _share([run["game"][key] for run in runs if key in run["game"]])
            for key in ("valid_rate", "label_truth", "mean_hops")
        )
        table.add_row(arm, *(_spread(runs, "after", hops) for hops in "123"), *game)
    return table


def _share(values: Sequence[float]) -> str:
    # No run of an arm may have had a valid question, of which there is nothing to say.
    return f"{np.mean(values):.2f}" if values else "-"


def _spread(runs: Sequence[Mapping[str, Any]], when: str, hops: str) -> str:
    values = [run["heldout"][when][hops]["pass_at_1"] for run in runs]
    return "\n".join([f"{np.mean(values):.3f}", *(f"{value:.2f}" for value in values)])


def plot_comparison(out: Path, seeds: Sequence[int], path: Path) -> None:
    """Draw validation accuracy, hops asked, untrue valid questions and mixed groups of all arms by step."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = [(f"validation/{hops}_hop", f"{hops}-hop pass@1, unseen worlds") for hops in (1, 2, 3)]
    panels += [
        ("mean_hops", "Mean hops asked"),
        ("unanswerable", "Questions that pass as valid but have another or no answer"),
        ("mixed_groups", "Share of mixed groups"),
    ]
    figure, axes = plt.subplots(2, 3, figsize=(16, 8), constrained_layout=True)
    averaged = f"mean of {len(seeds)} seeds, each seed faint" if len(seeds) > 1 else f"seed {seeds[0]}"
    figure.suptitle(f"Same warm start, same number of games; {averaged}")
    for axis, (key, title) in zip(axes.flat, panels, strict=True):
        axis.set_title(title)
        axis.set_xlabel("step")
        for arm in ARMS:
            curves = [_curve(_folder(out, arm, seed), key) for seed in seeds]
            for steps, values in curves:
                axis.plot(steps, values, color=COLOURS[arm], alpha=0.2)
            axis.plot(
                curves[0][0], np.mean([values for _, values in curves], axis=0), color=COLOURS[arm], label=arm
            )
    axes[0, 0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _curve(folder: Path, key: str, window: int = 10) -> tuple[list[int], list[float]]:
    """Return steps and values of a metric, averaged over windows of steps if it is logged at every step."""
    rows = [row for row in RunDirectory(folder).read_jsonl("metrics.jsonl") if row["stage"] == "self-play"]
    first = rows[0]["step"]
    source = "label_truth" if key == "unanswerable" else key
    points = [
        (row["step"] - first + 1, 1.0 - row[source] if key == "unanswerable" else row[source])
        for row in rows
        if source in row
    ]
    if key.startswith("validation/"):
        return [step for step, _ in points], [value for _, value in points]
    chunks = [points[start : start + window] for start in range(0, len(points), window)]
    return [chunk[-1][0] for chunk in chunks], [
        float(np.mean([value for _, value in chunk])) for chunk in chunks
    ]


if __name__ == "__main__":
    typer.run(main)
