"""Do early warnings predict a collapse? Runs that collapsed beside runs that did not, and what warned.

Run with `python -m benchmarks.collapse RUN...`; it reads metrics only. A run has collapsed where the
mean success on validation questions has fallen by `--drop` below its best, and is still there at its
last point. Its score is the most signs that showed at a time until `--ahead` steps before that; the
score of the others is that of all their steps but the last so many. The area under the ROC curve is how
likely the score of a run that collapses is greater than that of one that does not; a tie counts half.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from baselines.comparison.aggregates import probability_of_improvement, stratified_interval
from baselines.early_warnings import EarlyWarnings
from baselines.runs.files import METRICS, read_rows, self_play_rows
from ssp_env.cli.progress import tracked

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What became of a run, and what its metrics said before.

    Attributes:
        name: Name of its folder.
        steps: Steps of self-play.
        collapsed: Step at which it had collapsed; None if it did not.
        warned: Step of the first warning; None if there was none in time.
        signs: The signs that showed until then, in the order of `early_warnings.SIGNS`.
        score: The most signs at a time.
    """

    name: str
    steps: int
    collapsed: int | None
    warned: int | None
    signs: tuple[str, ...]
    score: int


def main(
    runs: Annotated[list[Path], typer.Argument(help="Folders of training runs.", show_default=False)],
    ahead: Annotated[int, typer.Option(help="Steps before a collapse that count no more.", min=0)] = 20,
    drop: Annotated[float, typer.Option(help="Fall of validation success that is a collapse.")] = 0.15,
    out: Annotated[Path | None, typer.Option(help="JSON file of the figures.")] = None,
) -> None:
    """Print which runs collapsed, what warned of it, and the area under the ROC curve."""
    console = Console()
    found = [
        judge(run.name, self_play_rows(read_rows(run / METRICS)), ahead, drop)
        for run in tracked(runs, "reading runs")
    ]
    console.print(table(found))
    area = auroc(found)
    if area is None:
        console.print("there must be runs of both kinds for a ROC curve", highlight=False)
    else:
        low, high = area["ci95"]
        text = f"area under the ROC curve: {area['value']:.3f} ({low:.2f} to {high:.2f})"
        console.print(text, highlight=False)
    figures = {"ahead": ahead, "drop": drop, "auroc": area, "runs": [asdict(one) for one in found]}
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(figures, indent=1) + "\n")


def judge(name: str, rows: Sequence[Row], ahead: int, drop: float) -> Verdict:
    """Find out whether and when a run collapsed, and what showed early enough."""
    collapsed = collapse_of(rows, drop)
    until = (len(rows) if collapsed is None else collapsed) - ahead
    warnings, counts, first, seen = EarlyWarnings(), [0], None, []
    for step, row in enumerate(rows[: max(0, until)], start=1):
        warnings.observe(row)
        counts.append(len(warnings.showing))
        seen += [sign for sign in warnings.showing if sign not in seen]
        if seen and first is None:
            first = step
    return Verdict(name, len(rows), collapsed, first, tuple(seen), max(counts))


def collapse_of(rows: Sequence[Row], drop: float) -> int | None:
    """Return the step, from 1, since which the success has been `drop` below its best; None if it is not.

    >>> points = [{"validation/1_hop": value} for value in (0.5, 0.9, 0.6, 0.5)]
    >>> collapse_of(points, 0.2), collapse_of([*points, {"validation/1_hop": 0.8}], 0.2)
    (3, None)
    """
    best, since = 0.0, None
    for step, row in enumerate(rows, start=1):
        values = [value for name, value in row.items() if name.startswith("validation/")]
        if not values:
            continue
        success = sum(values) / len(values)
        best = max(best, success)
        if success > best - drop:
            since = None
        elif since is None:
            since = step
    return since


def auroc(found: Sequence[Verdict]) -> dict[str, Any] | None:
    """Return the area under the ROC curve with its bootstrap interval over runs; None without both kinds."""
    kinds = [
        np.array([one.score for one in found if (one.collapsed is not None) == kind], dtype=np.float64)
        for kind in (True, False)
    ]
    if not all(map(len, kinds)):
        return None
    return {
        "value": probability_of_improvement(*kinds),
        "ci95": stratified_interval(probability_of_improvement, *kinds),
        "collapsed": len(kinds[0]),
        "others": len(kinds[1]),
    }


def table(found: Sequence[Verdict]) -> Table:
    """Return the table of the runs."""
    made = Table(title="Collapses, and what warned of them in time")
    for heading in ("run", "steps", "collapsed at", "warned at", "signs"):
        made.add_column(heading)
    for one in found:
        numbers = ("-" if number is None else str(number) for number in (one.collapsed, one.warned))
        made.add_row(one.name, str(one.steps), *numbers, ", ".join(one.signs))
    return made


if __name__ == "__main__":
    typer.run(main)
