"""Attack games, files, builds, runs and servers, and count what survives: `python -m benchmarks.attacks`.

The default ends within minutes on two cores; `--full` attacks in the sizes of the table in docs/testing.md.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.attacks.files import KINDS, tampered
from benchmarks.attacks.processes import killed_builds, killed_servers
from benchmarks.attacks.rewards import FORMS, OPTIONS, measured
from benchmarks.attacks.vanishing import vanishing
from ssp_env.cli.progress import tracked

_SHOWN_FAULTS = 5
_TRIED = ("seed", "sizes")


@dataclass
class Row:
    """One class of attacks.

    Attributes:
        name: What is attacked.
        tried: Inputs, kills or requests.
        survived: How many of them did no harm.
        seconds: How long it took.
        faults: What did harm: an attack that is paid, a reader that fails, a reply that is lost.
        figures: Anything else that was counted.
    """

    name: str
    tried: int
    survived: int
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sizes:
    """How much is tried."""

    files: int
    builds: int
    runs: int
    servers: int
    requests: int


BRIEF = Sizes(files=1_000, builds=10, runs=4, servers=8, requests=20_000)
FULL = Sizes(files=1_000, builds=40, runs=20, servers=40, requests=100_000)


def rewards(before: Mapping[str, float | None]) -> tuple[list[Row], dict[str, list[float | None]]]:
    """Try the attacks on reward and leak rule: by default, with all readings, all leak forms or both."""
    tried = {
        "reward and leaks, default rules": measured({}),
        "reward and leaks, all readings": measured(OPTIONS),
        "reward and leaks, all leak forms": measured(FORMS),
        "reward and leaks, all readings and all leak forms": measured({**OPTIONS, **FORMS}),
    }
    rows = []
    for name, pays in tried.items():
        paid = [attack for attack, pay in pays.items() if not pay <= 0]
        rows.append(Row(name, len(pays), len(pays) - len(paid), faults=paid))
    names = next(iter(tried.values()))
    table = {name: [before.get(name), *(pays[name] for pays in tried.values())] for name in names}
    return rows, table


def files(sizes: Sizes, seed: int) -> list[Row]:
    """Tamper with files of every kind."""
    rows = []
    for kind in KINDS:
        tried, faults = tampered(kind, sizes.files // len(KINDS), seed)
        rows.append(Row(f"tampered files: {kind}", tried, tried - len(faults), faults=faults))
    return rows


def processes(sizes: Sizes, seed: int) -> list[Row]:
    """Kill builds, runs and servers."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for name, kill, kills in (
            ("builds", killed_builds, sizes.builds),
            ("servers", killed_servers, sizes.servers),
        ):
            (path / name).mkdir()
            tried, faults = kill(path / name, kills, seed)
            rows.append(Row(f"kills of {name}", tried, max(0, tried - len(faults)), faults=faults))
        if sizes.runs:
            from benchmarks.kill_runs import kill_and_compare

            (path / "runs").mkdir()
            report = kill_and_compare(path / "runs", sizes.runs, seed, ["--steps", "4"])
            lost = [f"{report.most_steps_lost} steps lost"] if report.most_steps_lost > 1 else []
            faults = [*report.differences, *lost]
            rows.append(Row("kills of runs", report.kills, report.kills - len(faults), faults=faults))
    return rows


def clients(sizes: Sizes, seed: int) -> list[Row]:
    """Send requests of clients that vanish."""
    tried, faults, figures = vanishing(sizes.requests, seed)
    return [Row("requests, most of whose clients vanish", tried, tried - len(faults), 0.0, faults, figures)]


class Part(str, Enum):
    """What can be attacked by itself."""

    rewards = "rewards"
    files = "files"
    clients = "clients"
    processes = "processes"


_ROWS: Mapping[Part, str] = {
    Part.rewards: "reward",
    Part.files: "tampered",
    Part.clients: "requests",
    Part.processes: "kills",
}
"""How the rows of each part begin."""


def main(
    full: Annotated[bool, typer.Option("--full", help="Attack in the sizes of the docs' table.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
    before: Annotated[
        Path | None, typer.Option(help="What the attacks paid elsewhere: JSON, `pays` of an earlier result.")
    ] = None,
    only: Annotated[
        list[Part] | None,
        typer.Option(help="Attack this alone; the report keeps what it has of the rest. May be repeated."),
    ] = None,
    out: Annotated[Path, typer.Option(help="File of the report.")] = Path("results/attacks.json"),
) -> None:
    """Attack, print the table, write the report, and end with 1 if a file, a kill or a request did harm."""
    logging.getLogger("ssp_env.play").addHandler(logging.NullHandler())
    sizes = FULL if full else BRIEF
    earlier = json.loads(out.read_text()) if only and out.exists() else {"rows": [], "pays": {}}
    pays: dict[str, list[float | None]] = earlier["pays"]
    paid: Mapping[str, float | None] = {name: row[0] for name, row in pays.items()}
    if before is not None:
        paid = json.loads(before.read_text())

    def play() -> list[Row]:
        rows, table = rewards(paid)
        pays.update(table)
        return rows

    parts: Mapping[Part, Callable[[], list[Row]]] = {
        Part.rewards: play,
        Part.files: lambda: files(sizes, seed),
        Part.clients: lambda: clients(sizes, seed),
        Part.processes: lambda: processes(sizes, seed),
    }
    rows: list[Row] = []
    for part in tracked(parts, "attacking"):
        attacked = not only or part in only
        rows += _timed(parts[part]) if attacked else _earlier_rows(earlier, part)
    show(rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    tried = {"seed": seed, "sizes": asdict(sizes)} | {key: earlier[key] for key in _TRIED if key in earlier}
    report = {**tried, "rows": [asdict(row) for row in rows], "pays": pays}
    out.write_text(json.dumps(report, indent=1, ensure_ascii=True) + "\n")
    if any(row.faults for row in rows if not row.name.startswith("reward")):
        sys.exit(1)


def _earlier_rows(report: Mapping[str, Any], part: Part) -> list[Row]:
    return [Row(**row) for row in report["rows"] if row["name"].startswith(_ROWS[part])]


def _timed(attack: Callable[[], list[Row]]) -> list[Row]:
    """Attack, and share the seconds that it took among its rows."""
    started = time.monotonic()
    rows = attack()
    for row in rows:
        row.seconds = round((time.monotonic() - started) / len(rows), 1)
    return rows


def show(rows: list[Row]) -> None:
    """Print the table, and the first faults of each class but those of attacks that are known to be paid."""
    console = Console() if sys.stdout.isatty() else Console(width=110)
    table = Table(title="attacks", title_justify="left")
    for column in ("class", "tried", "survived", "seconds"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for row in rows:
        table.add_row(row.name, f"{row.tried:,}", f"{row.survived:,}", f"{row.seconds:,.0f}")
    console.print(table)
    for row in rows:
        for fault in row.faults[:_SHOWN_FAULTS] if not row.name.startswith("reward") else ():
            console.print(f"{row.name}: {fault}"[:1000], markup=False, highlight=False)
        for name, value in row.figures.items():
            console.print(f"{row.name}: {name} {value:,.0f}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
