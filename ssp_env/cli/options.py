"""Options that several commands share, and functions that open what they name: worlds, engines, games."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import ssp_env
from ssp_env.cli.progress import read_share, reported, tracked
from ssp_env.data.lines import DataFileError
from ssp_env.objects import add_current_folder
from ssp_env.records import Episode, numbered_episodes
from ssp_env.scenario import Scenario, open_scenario
from ssp_env.search.engine import SearchEngine
from ssp_env.viewer.text import visible
from ssp_env.worlds import WORLD_PRESETS, World, world_preset

DEFAULT_WORLD = "small"
_MESSAGE_CHARACTERS = 600

Value = TypeVar("Value")

WorldName = Annotated[
    str | None,
    typer.Option("--world", help=f"World preset: {', '.join(WORLD_PRESETS)}; {DEFAULT_WORLD} by default."),
]
WorldIndex = Annotated[
    int,
    typer.Option("--world-index", help="Number of the world; every number gives a different world.", min=0),
]
Heldout = Annotated[bool, typer.Option("--heldout", help="Take a world that is never used for training.")]
Corpus = Annotated[
    Path | None,
    typer.Option("--corpus", help="Search this file or folder of passages instead of a world."),
]
IndexDirectory = Annotated[
    Path | None,
    typer.Option("--index", help="Search this directory, made by `ssp index build`, instead of a world."),
]
Search = Annotated[
    str | None,
    typer.Option(
        "--search",
        help="Engine that searches the world or corpus: bm25 (the default), dense:MODEL, hybrid:MODEL, the "
        "URL of a server with Search-R1's protocol, of several with commas between them, or of shards with + "
        "between them, or module:object for an engine of your own.",
    ),
]
Recorded = Annotated[
    Path, typer.Argument(help="Recorded games: JSON Lines, plain or gzipped.", show_default=False)
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ssp-env {ssp_env.__version__}")
        raise typer.Exit


def ssp_options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options of `ssp` itself, which come before the name of the command."""


def open_world(preset: str, world_index: int, heldout: bool) -> World:
    """Return the world that the options name."""
    return World(world_preset(preset, split="heldout" if heldout else "train", index=world_index))


def open_engine(
    world: str | None,
    world_index: int,
    heldout: bool,
    corpus: Path | None,
    index: Path | None,
    search: str | None = None,
) -> SearchEngine:
    """Open the engine that a command's options name, with a progress bar on stderr while it is built.

    Raises:
        ValueError: If the options name more than one world, corpus or index.
    """
    return open_searched(world, world_index, heldout, corpus, index, search).engine


def open_searched(
    world: str | None,
    world_index: int,
    heldout: bool,
    corpus: Path | None,
    index: Path | None,
    search: str | None = None,
    **asked: Any,
) -> Scenario:
    """Open the scenario that a command's options name, as `open_engine` does.

    Args:
        world: Preset of a world.
        world_index: Number of the world.
        heldout: Whether it is one that is never used for training.
        corpus: File or folder of passages.
        index: Index directory.
        search: Name of the engine.
        **asked: Further arguments of `open_scenario`: answers, questions and rules.

    Raises:
        ValueError: If the options name more than one world, corpus or index.
    """
    named = {"--world": world, "--corpus": corpus, "--index": index}
    given = [option for option, value in named.items() if value is not None]
    # A world's number or split means that a world is wanted.
    if (world_index or heldout) and "--world" not in given:
        given.insert(0, "--heldout" if heldout else "--world-index")
    if len(given) > 1:
        raise ValueError(f"expected one of --world, --corpus and --index, got {' and '.join(given)}")
    own = corpus is not None or index is not None
    # Vectors are made when all passages have been read.
    embeds = search is not None and search.startswith(("dense:", "hybrid:"))
    with reported("embedding passages") if embeds else nullcontext(lambda *how: None) as encoding:
        return open_scenario(
            None if own else world or DEFAULT_WORLD,
            split="heldout" if heldout else "train",
            index=world_index,
            corpus=corpus,
            search=search_option(index, search),
            watch=None if embeds else lambda passages: tracked(passages, "indexing passages"),
            encoding=encoding,
            **asked,
        )


def search_option(index: Path | None, search: str | None) -> Path | str | None:
    """Return the index directory or the name of the engine that the options give.

    Raises:
        ValueError: If both options are given.
    """
    if index is not None and search is not None:
        raise ValueError("--index and --search both choose the search engine: give only one of them")
    return index or search


def table(title: str, *columns: str, numbers: Sequence[str]) -> Table:
    """Return an empty table whose last columns hold numbers, aligned to the right."""
    made = Table(*columns, title=title, title_justify="left")
    for heading in numbers:
        made.add_column(heading, justify="right")
    return made


Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Stop at a record that cannot be used; by default it is named and skipped."
    ),
]


def read_recorded(
    file: Path,
    use: Callable[[Episode], Value],
    *,
    strict: bool = False,
    skipped: list[DataFileError] | None = None,
    quiet: bool = False,
) -> Iterator[tuple[int, Episode, Value]]:
    """Stream recorded games with their line numbers; what cannot be used is skipped with a warning.

    Args:
        file: The records.
        use: Called with each game; a record for which it raises ValueError cannot be used.
        strict: Whether a record that cannot be used is an error; an incomplete last line never is.
        skipped: Takes what is wrong with records that were skipped, if it is wanted.
        quiet: Skip without a warning.

    Yields:
        Line, record, and what `use` returned.

    Raises:
        DataFileError: If the file cannot be read, or no record in it can be used.
    """
    # Recorded rules may name a reward function of the user's own.
    add_current_folder()
    bad: list[DataFileError] = [] if skipped is None else skipped
    used = False

    def warn(problem: DataFileError) -> None:
        if not quiet:
            console = Console(stderr=True)
            print_text(console, f"ssp: {shortened(str(problem))}; the line is skipped", style="yellow")

    def skip(problem: DataFileError) -> None:
        if strict:
            raise problem
        bad.append(problem)
        warn(problem)

    with read_share(file, f"reading {file.name}") as on_bytes:
        for number, episode in numbered_episodes(file, on_torn=warn, on_bad=skip, on_bytes=on_bytes):
            try:
                value = use(episode)
            except ValueError as error:
                skip(DataFileError(str(error), file, number))
                continue
            used = True
            yield number, episode, value
    if bad and not used:
        raise bad[0]


def shortened(text: str) -> str:
    """Cut a message that may quote long texts of a file."""
    return text if len(text) <= _MESSAGE_CHARACTERS else text[:_MESSAGE_CHARACTERS] + "…"


def print_text(console: Console, text: str, style: str = "") -> None:
    """Print text from any source: markup is not interpreted, and long lines are not wrapped."""
    console.print(Text(visible(text), style=style), soft_wrap=True)
