"""`ssp view`: look at recorded games and curves in a browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ssp_env.cli.options import print_text, shortened
from ssp_env.cli.progress import progress_bar
from ssp_env.cli.serve import check_extra, run_app
from ssp_env.objects import add_current_folder
from ssp_env.records import read_episodes, retold
from ssp_env.viewer.markup import game_svg
from ssp_env.viewer.page import write_page
from ssp_env.viewer.sources import DEFAULT_LIMIT, EPISODES, Source, open_source

Sources = Annotated[
    list[Path],
    typer.Argument(
        help="File of recorded games, or folder of a run; two are seen side by side.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="File to write. Default: view.html in the folder of a run, or beside a file.",
        show_default=False,
    ),
]
Limit = Annotated[
    int,
    typer.Option(help="Most games of a source, from its end; the page says what it leaves out.", min=1),
]
Opens = Annotated[bool, typer.Option("--open", help="Also open the page in a browser.")]
GameID = Annotated[
    str, typer.Option(help="Write the game with this id alone, as an SVG picture.", metavar="GAME")
]
Follow = Annotated[
    bool,
    typer.Option(
        "--follow", help="Write nothing, and serve a page that follows the games to browsers on this machine."
    ),
]
Port = Annotated[int, typer.Option(help="Port for --follow; 0 takes a free one.", min=0, max=65535)]


def view(
    sources: Sources,
    out: Out = None,
    limit: Limit = DEFAULT_LIMIT,
    opens: Opens = False,
    svg: GameID = "",
    follow: Follow = False,
    port: Port = 8008,
) -> None:
    """Write one HTML file with games and curves, which opens from the disk and loads nothing else."""
    if follow:
        _follow(sources, out, limit, opens or bool(svg), port)
        return
    if svg:
        _write_svg(sources, svg, out)
        return
    target = default_target(sources[0], ".html") if out is None else out
    console = Console()
    with progress_bar(is_share=True) as bar:
        tasks = [bar.add_task(f"reading {source.name}", total=_size(source)) for source in sources]
        shown = write_page(
            sources,
            target,
            limit=limit,
            on_read=lambda number, done: bar.update(tasks[number], completed=done),
        )
    for source in shown:
        _report(console, source)
    size = target.stat().st_size / 2**20
    print_text(console, f"{sum(source.shown for source in shown)} games written to {target} ({size:.1f} MiB)")
    if opens:
        webbrowser.open(target.resolve().as_uri())


def _follow(sources: list[Path], out: Path | None, limit: int, opens: bool, port: int) -> None:
    if out is not None or opens:
        raise ValueError("--follow writes no file and opens no browser: leave --out, --open and --svg out")
    check_extra("serve")
    from ssp_env.viewer.follow import HOST, build_follow_app

    app = build_follow_app(sources, limit=limit)
    if port:
        print_text(Console(stderr=True), f"look at http://{HOST}:{port}/; Ctrl-C ends the server")
    run_app(app, HOST, port)


def _write_svg(sources: list[Path], game_id: str, out: Path | None) -> None:
    if len(sources) > 1:
        raise ValueError(f"--svg takes the game of one file or run, got {len(sources)} of them")
    file = open_source(sources[0]).games
    episodes = () if file is None else read_episodes(file, on_torn=lambda torn: None)
    found = next((episode for episode in episodes if episode.game_id == game_id), None)
    if found is None:
        raise ValueError(
            f"{sources[0]}: no game has the id {game_id!r}; the ids are under game_id in each line"
        )
    # The recorded rules may name a reward function of the user's own.
    add_current_folder()
    target = default_target(sources[0], ".svg") if out is None else out
    if target.exists() and out is None:
        raise FileExistsError(f"{target} exists: choose a file with --out")
    target.write_text(game_svg(retold(found).game), encoding="utf-8")
    print_text(Console(), f"game {game_id} written to {target}")


def default_target(source: Path, suffix: str) -> Path:
    """Return the file that a view of a source is written to, unless somebody names another."""
    if source.is_dir():
        return source / f"view{suffix}"
    return source.with_name(source.name.removesuffix(".gz").removesuffix(".jsonl") + suffix)


def _size(source: Path) -> int | None:
    games = source / EPISODES if source.is_dir() else source
    return games.stat().st_size if games.is_file() else None


def _report(console: Console, source: Source) -> None:
    if source.left_out:
        kept = source.total - source.left_out
        said = f"{source.games}: the last {kept} of {source.total} lines; --limit shows more"
        print_text(console, said, style="yellow")
    for problem in source.problems:
        print_text(console, f"ssp: {shortened(problem)}", style="yellow")
    if source.bad > len(source.problems):
        print_text(console, f"{source.path}: {source.bad} lines in all could not be shown", style="yellow")
