"""Options that several commands share, and what they name: worlds, search engines and recorded games."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.text import Text

import ssp_env
from ssp_env.passage import Passage
from ssp_env.records import Episode, numbered_episodes
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.corpus import read_corpus
from ssp_env.viewer.text import visible
from ssp_env.worlds import WORLD_PRESETS, World, world_preset

DEFAULT_WORLD = "small"

WorldName = Annotated[
    str | None,
    typer.Option(
        "--world", help=f"World preset: {', '.join(WORLD_PRESETS)}; {DEFAULT_WORLD} if nothing is named."
    ),
]
WorldIndex = Annotated[
    int, typer.Option("--world-index", help="Number of the world; every number is another world.", min=0)
]
Heldout = Annotated[bool, typer.Option("--heldout", help="Take a world that nothing is trained on.")]
Corpus = Annotated[
    Path | None, typer.Option("--corpus", help="Search this JSONL or JSONL.gz file instead of a world.")
]
IndexDirectory = Annotated[
    Path | None,
    typer.Option("--index", help="Search this directory, made by `ssp index build`, instead of a world."),
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
    """Take the options of `ssp` itself, which stand before the command."""


def open_world(preset: str, world_index: int, heldout: bool) -> World:
    """Return the world that the options name."""
    return World(world_preset(preset, split="heldout" if heldout else "train", index=world_index))


def open_engine(
    world: str | None, world_index: int, heldout: bool, corpus: Path | None, index: Path | None
) -> BM25Engine:
    """Open an index directory, or index a corpus file or a world in memory, with a progress bar on stderr.

    Raises:
        ValueError: If the options name more than one of them.
    """
    named = {"--world": world, "--corpus": corpus, "--index": index}
    given = [option for option, value in named.items() if value is not None]
    # The number of a world and its split say that a world is wanted.
    if (world_index or heldout) and "--world" not in given:
        given.insert(0, "--heldout" if heldout else "--world-index")
    if len(given) > 1:
        raise ValueError(f"expected one of --world, --corpus and --index, got {' and '.join(given)}")
    if index is not None:
        return BM25Engine.open(index)
    terse = False
    passages: Iterable[Passage]
    if corpus is None:
        made = open_world(world or DEFAULT_WORLD, world_index, heldout)
        terse = made.config.rendering == "terse"
        passages = made.passages()
    else:
        passages = read_corpus(corpus)
    # The bar goes to stderr, so that JSON on stdout stays JSON.
    shown = track(passages, "Indexing", console=Console(stderr=True), transient=True)
    return BM25Engine(shown, stem=not terse, all_words_first=terse)


def read_recorded(file: Path) -> Iterator[tuple[int, Episode]]:
    """Stream recorded games with their line numbers; a torn last line is skipped with a warning on stderr."""
    warn = partial(print_text, Console(stderr=True), style="yellow")
    yield from numbered_episodes(file, on_torn=lambda torn: warn(f"ssp: {torn}; the line is skipped"))


def print_text(console: Console, text: str, style: str = "") -> None:
    """Print text that others may have written, without markup, and each line of it whole."""
    console.print(Text(visible(text), style=style), soft_wrap=True)
