"""`ssp bench`: run entries of SSP-Bench, verify results of others, write the leaderboard."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from baselines.runs.files import SUMMARY
from baselines.runs.jobs import Job, JobFailed, run_jobs
from baselines.suite.entries import ENTRY, OURS, Entry, read_entry
from baselines.suite.results import (
    BadResult,
    differences,
    file_of,
    read_result,
    read_results,
    write_result,
)
from baselines.suite.tasks import BUDGET, LEARN, PLAY, QUICK_BUDGET, SEEDS, warm_start_folder
from ssp_env.cli.options import print_text, table
from ssp_env.cli.progress import waiting

app = typer.Typer(
    help="SSP-Bench: fixed tasks and budgets, reproducible results, a leaderboard.", no_args_is_help=True
)

Entries = Annotated[
    list[str], typer.Argument(help=f"Folders with an entry.toml, or names of ours: {', '.join(OURS)}.")
]
Out = Annotated[Path, typer.Option(help="Folder of runs, warm starts and the results of our entries.")]
Tasks = Annotated[
    list[str] | None, typer.Option("--task", help=f"Tasks: {', '.join([*LEARN, *PLAY])}; all by default.")
]
Quick = Annotated[
    bool, typer.Option("--quick", help=f"One seed and {QUICK_BUDGET:,} tokens, to try an entry in minutes.")
]
Processes = Annotated[int, typer.Option(help="Runs at a time, of one torch thread each.", min=1)]


@app.command()
def run(
    entries: Entries,
    task: Tasks = None,
    seeds: Annotated[
        list[int] | None, typer.Option("--seed", help="May be repeated; by default 0 to 4.")
    ] = None,
    quick: Quick = False,
    processes: Processes = 2,
    out: Out = Path("runs/bench"),
) -> None:
    """Run entries on tasks; what has a result is not run again, and what was interrupted goes on."""
    console = Console()
    found = [find_entry(name) for name in entries]
    budget = QUICK_BUDGET if quick else BUDGET
    chosen = _tasks(task)
    jobs = [
        job
        for seed in (seeds or (SEEDS[:1] if quick else SEEDS))
        for entry in found
        for track, name in chosen
        if entry.takes_part(track, name)
        for job in _job(entry, track, name, seed, budget if track == "learn" else 0, out)
    ]
    # The warm start of a seed is made by one process, and all others wait for it.
    warm = [
        Job(f"warm start {seed}", make_warm_start, (seed, budget, out), out / "logs" / f"warm-{seed}.log")
        for seed in sorted(
            {job.arguments[3] for job in jobs if job.needed is not None and not job.needed.exists()}
        )
    ]
    console.print(f"{len(jobs)} runs to do", highlight=False)
    failed: JobFailed | None = None
    try:
        run_jobs([*warm, *jobs], processes, console, keep_going=True)
    except JobFailed as error:
        failed = error
    for entry in found:
        _show(console, entry, out)
    if failed:
        raise failed


def find_entry(name: str) -> Entry:
    """Return the entry that a folder holds, or one of ours.

    Raises:
        ValueError: If there is neither.
    """
    if name in OURS:
        return OURS[name]
    if not Path(name).is_dir():
        raise ValueError(f"there is no folder {name!r}, and our entries are {', '.join(OURS)}")
    return read_entry(Path(name))


def entry_of(folder: Path) -> Entry:
    """Return the entry whose results a folder holds: its own, or one of ours that has the folder's name."""
    ours = OURS.get(folder.resolve().name)
    return ours if ours is not None and not (folder / ENTRY).exists() else read_entry(folder)


def home_of(entry: Entry, out: Path) -> Path:
    """Return where the results of an entry are kept: its own folder, or one among the runs."""
    return entry.folder or out / "entries" / entry.name


def _tasks(names: Sequence[str] | None) -> list[tuple[str, str]]:
    known = {**dict.fromkeys(LEARN, "learn"), **dict.fromkeys(PLAY, "play")}
    for name in names or ():
        if name not in known:
            raise ValueError(f"a task is one of {', '.join(known)}, got {name!r}")
    return [(track, name) for name, track in known.items() if not names or name in names]


def _job(entry: Entry, track: str, task: str, seed: int, budget: int, out: Path) -> list[Job]:
    path = file_of(home_of(entry, out), track, task, seed, budget)
    if path.exists():
        kept = read_result(path)
        if kept["entry"]["digest"] == entry.digest():
            return []
        raise BadResult(
            f"{path} is of another state of {entry.name}: delete its results, or give the entry another name"
        )
    name = f"{entry.name} {task} {seed}"
    # A trainer of its own starts from nothing.
    warm = track == "learn" and entry.solver
    needed = warm_start_folder(seed, budget, out) / SUMMARY if warm else None
    log = out / "logs" / f"{name.replace(' ', '-')}.log"
    where = str(entry.folder) if entry.folder else entry.name
    return [Job(name, run_one, (where, track, task, seed, budget, out), log, needed)]


def run_one(where: str, track: str, task: str, seed: int, budget: int, out: Path) -> None:
    """Run one task of an entry, and write its result; called in a process of its own."""
    entry = find_entry(where)
    write_result(
        file_of(home_of(entry, out), track, task, seed, budget),
        outcome(entry, track, task, seed, budget, out),
    )


def outcome(entry: Entry, track: str, task: str, seed: int, budget: int, out: Path) -> dict[str, Any]:
    """Return the result of an entry on a task."""
    from baselines.suite.runs import learn, play

    return learn(entry, task, seed, budget, out) if track == "learn" else play(entry, task, seed)


def make_warm_start(seed: int, budget: int, out: Path) -> None:
    """Make the warm start of a seed; called in a process of its own."""
    from baselines.suite.runs import warm_start

    warm_start(seed, budget, out)


def _show(console: Console, entry: Entry, out: Path) -> None:
    paths = sorted((home_of(entry, out) / "results").glob("*.json"))
    shown = table(f"{entry.name}: {entry.about}", "task", numbers=["seed", "tokens", "score"])
    for path in paths:
        one = read_result(path)
        shown.add_row(one["task"], str(one["seed"]), f"{one['budget']:,}", f"{one['score']:.3f}")
    console.print(shown)


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of an entry with results.")],
    all_results: Annotated[
        bool, typer.Option("--all", help="Repeat all results, not the cheapest alone.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for the runs, which are deleted afterwards.")] = Path(
        "runs/bench-verify"
    ),
) -> None:
    """Run results again, and compare them to the last digit; equal machines give equal results.

    The exit status is 1 if one differs.
    """
    console = Console()
    entry = entry_of(folder)
    results = sorted(read_results([folder]), key=lambda one: (one["budget"], one["task"], one["seed"]))
    chosen = results if all_results else results[:1]
    if any(one["entry"]["digest"] != entry.digest() for one in chosen):
        raise BadResult(
            f"the results in {folder} are of another state of {entry.name} than its files are now"
        )
    out.mkdir(parents=True, exist_ok=True)
    # A folder of its own: a run that is there already would be read, and not repeated.
    with tempfile.TemporaryDirectory(dir=out) as fresh:
        repeated = [_is_repeated(console, entry, one, Path(fresh)) for one in chosen]
    if not all(repeated):
        raise typer.Exit(1)


def _is_repeated(console: Console, entry: Entry, one: Mapping[str, Any], out: Path) -> bool:
    # A run that learns has a display of its own.
    with waiting(f"playing {one['task']}") if one["track"] == "play" else nullcontext():
        again = outcome(entry, one["track"], one["task"], one["seed"], one["budget"], out)
    found = differences(one, again)
    what = f"{one['task']}, seed {one['seed']}, {one['budget']:,} tokens"
    print_text(console, f"{what}: {'; '.join(found) or 'equal to the last digit'}")
    if found and one["where"] != again["where"]:
        print_text(console, f"it was run elsewhere: {one['where']}; here: {again['where']}")
    return not found


@app.command()
def report(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders with entries; by default those of our own runs.")
    ] = None,
    leaderboard: Annotated[Path, typer.Option(help="Markdown file to write.")] = Path("LEADERBOARD.md"),
    picture: Annotated[
        Path | None, typer.Option(help="PNG of curves and profiles; an SVG stands beside it.")
    ] = None,
    budget: Annotated[int, typer.Option(help="Tokens of the runs in the picture.", min=1)] = BUDGET,
) -> None:
    """Write the leaderboard from results files."""
    from baselines.suite.leaderboard import draw, markdown

    results = read_results(folders or [Path("runs/bench/entries")])
    leaderboard.parent.mkdir(parents=True, exist_ok=True)
    leaderboard.write_text(markdown(results), encoding="utf-8")
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        with waiting("drawing"):
            draw(results, picture, budget)
    Console().print(f"{len(results)} results: {leaderboard}", highlight=False)
