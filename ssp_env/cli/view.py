"""`ssp view`: look at recorded games and curves in a browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ssp_env.cli.options import print_text, shortened
from ssp_env.viewer.page import write_page
from ssp_env.viewer.sources import DEFAULT_LIMIT, Source


def view(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="File of recorded games, or folder of a run; two are seen side by side.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write. Default: view.html in the folder of a run, or beside a file.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(help="Most games of a source, from its end; the page says what it leaves out.", min=1),
    ] = DEFAULT_LIMIT,
    opens: Annotated[bool, typer.Option("--open", help="Also open the page in a browser.")] = False,
) -> None:
    """Write one HTML file with games and curves, which opens from the disk and asks nobody for anything."""
    target = default_target(sources[0], ".html") if out is None else out
    shown = write_page(sources, target, limit=limit)
    console = Console()
    for source in shown:
        _report(console, source)
    size = target.stat().st_size / 2**20
    print_text(console, f"{sum(source.shown for source in shown)} games written to {target} ({size:.1f} MiB)")
    if opens:
        webbrowser.open(target.resolve().as_uri())


def default_target(source: Path, suffix: str) -> Path:
    """Return the file that a view of a source is written to, unless somebody names another."""
    if source.is_dir():
        return source / f"view{suffix}"
    return source.with_name(source.name.removesuffix(".gz").removesuffix(".jsonl") + suffix)


def _report(console: Console, source: Source) -> None:
    if source.left_out:
        kept = source.total - source.left_out
        said = f"{source.games}: the last {kept} of {source.total} lines; --limit shows more"
        print_text(console, said, style="yellow")
    for problem in source.problems:
        print_text(console, f"ssp: {shortened(problem)}", style="yellow")
    if source.bad > len(source.problems):
        print_text(console, f"{source.path}: {source.bad} lines in all could not be shown", style="yellow")
