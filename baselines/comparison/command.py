"""`ssp compare`: training runs side by side, from their folders."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ssp_env.cli.options import print_text
from ssp_env.cli.progress import waiting

if TYPE_CHECKING:
    from baselines.comparison.runs import Run

RunNames = Annotated[
    list[str],
    typer.Argument(
        help="Folders of runs, runs/NAME, or a folder of such folders; LABEL=RUN says what a run counts "
        "as. Without labels, runs that differ in nothing but the seed count together.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for comparison.json, .csv and .md, and for the curves over tokens, comparison.png "
        "and .svg."
    ),
]


def compare(runs: RunNames, out: Out = None) -> None:
    """Compare training runs: interquartile means over seeds with intervals, curves over equal tokens.

    Runs that have not ended are left out of the table and drawn as far as they go. Runs over worlds of
    different versions are refused.
    """
    from baselines.comparison.report import csv_text, markdown_text, report, table, unequal_tokens
    from baselines.comparison.runs import check_comparable, ended, read_runs
    from baselines.evaluation.agent_figures import TABLE_WIDTH

    with waiting("reading runs"):
        groups = read_runs(runs)
    check_comparable(groups)
    errors = Console(stderr=True)
    for label, group in groups.items():
        for run in group:
            if not run.summary:
                print_text(errors, _unfinished(label, run), style="yellow")
    finished = ended(groups)
    if not any(finished.values()):
        raise ValueError("none of these runs has ended, so there are no held-out figures to compare yet")
    with waiting("working out intervals"):
        figures = report(finished)
    console = Console()
    console.print(*table(figures), sep="\n")
    if note := unequal_tokens(figures):
        print_text(console, textwrap.fill(note, TABLE_WIDTH))
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "comparison.json").write_text(json.dumps(figures, indent=1) + "\n")
    (out / "comparison.csv").write_text(csv_text(figures))
    (out / "comparison.md").write_text(markdown_text(figures))
    _draw(groups, out)
    print_text(console, f"figures and curves: {out / 'comparison'}.json, .csv, .md, .png, .svg")


def _unfinished(label: str, run: Run) -> str:
    done = f"step {run.rows[-1]['step']} of {run.rows[-1]['stage']}" if run.rows else "before its first step"
    way_on = "" if run.state == "being trained" else f"; continue it with: ssp train --resume {run.path}"
    return f"{run.path} ({label}) has not ended, it is {run.state}, at {done}: left out of the table{way_on}"


def _draw(groups: dict[str, list[Run]], out: Path) -> None:
    from baselines.comparison.curves import plot

    drawn = {
        label: {run.seed: (run.summary, run.rows) for run in group if run.rows}
        for label, group in groups.items()
    }
    with waiting("drawing"):
        plot(drawn, [out / "comparison.png", out / "comparison.svg"])
