"""The commands of `ssp` that need nothing but the environment: `world` and `search`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from ssp_env.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.corpus import read_corpus
from ssp_env.worlds import WORLD_PRESETS, World, world_preset

WorldName = Annotated[str, typer.Option("--world", help=f"World preset: {', '.join(WORLD_PRESETS)}.")]
Index = Annotated[int, typer.Option(help="Number of the world; every number is another world.", min=0)]
IndexOrNumber = Annotated[
    str, typer.Option(help="Directory that `ssp index build` made, or the number of the world.")
]
Heldout = Annotated[bool, typer.Option("--heldout", help="Take a world that nothing trains on.")]


def world(
    preset: Annotated[str, typer.Argument(help=f"World preset: {', '.join(WORLD_PRESETS)}.")] = "tiny",
    index: Index = 0,
    heldout: Heldout = False,
    passages: Annotated[int, typer.Option(help="Passages to print.", min=0)] = 5,
    questions: Annotated[int, typer.Option(help="Questions to print per number of hops.", min=0)] = 2,
    out: Annotated[
        Path | None, typer.Option(help="Write all passages as JSON Lines to this new file.")
    ] = None,
) -> None:
    """Show a fictional world: passages, questions with their answers, fingerprint; or write it to a file."""
    console = Console()
    made = open_world(preset, index, heldout)
    console.print(f"[bold]{made.id}[/bold]: {len(made):,} passages", highlight=False)
    for number in range(min(passages, len(made))):
        page = made.passage(number)
        console.print(f"[dim]{page.id}[/dim] [bold]{page.title}[/bold]: {page.text}", highlight=False)
    for hops in (1, 2, 3, 4) if questions else ():
        for gold in made.questions(hops, questions, np.random.default_rng(index)):
            console.print(
                f"[dim]{hops}-hop[/dim] {gold.question} [green]{gold.answer}[/green]", highlight=False
            )
    console.print(f"fingerprint {made.fingerprint()}", highlight=False)
    if out is not None:
        _write_passages(track(made.passages(), "Writing", total=len(made), console=console), out)
        console.print(f"wrote {len(made):,} passages to {out}", highlight=False)


def search(
    query: Annotated[list[str], typer.Argument(help="One or more queries.")],
    preset: WorldName = "small",
    index: IndexOrNumber = "0",
    heldout: Heldout = False,
    corpus: Annotated[
        Path | None, typer.Option(help="Search this JSONL or JSONL.gz file instead of a world.")
    ] = None,
    top_k: Annotated[int, typer.Option(help="Passages per query.", min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON Lines, one query per line.")] = False,
) -> None:
    """Search a world, a corpus file or an index directory with the embedded BM25 engine."""
    console = Console()
    engine = open_engine(preset, index, heldout, corpus)
    for text, hits in zip(query, engine.search(query, top_k), strict=True):
        if as_json:
            print(json.dumps({"query": text, "passages": [asdict(hit) for hit in hits]}))
            continue
        console.print(f"[bold]{text}[/bold] ({len(hits)} of {len(engine):,} passages)", highlight=False)
        for hit in hits:
            console.print(f"  {hit.score:6.2f} [cyan]{hit.title}[/cyan] {hit.text}", highlight=False)


def open_engine(preset: str, index: str, heldout: bool, corpus: Path | None) -> BM25Engine:
    """Open an index directory, or build the engine of a corpus file or of a world, with a bar on stderr."""
    if not index.isdecimal():
        if corpus is not None:
            raise ValueError("expected one of --corpus and --index DIR")
        return BM25Engine.open(index)
    terse = False
    pages: Iterable[Passage]
    if corpus is None:
        made = open_world(preset, int(index), heldout)
        terse = made.config.rendering == "terse"
        pages = made.passages()
    else:
        pages = read_corpus(corpus)
    # The bar goes to stderr, so that JSON on stdout stays JSON.
    shown = track(pages, "Indexing", console=Console(stderr=True), transient=True)
    return BM25Engine(shown, stem=not terse, all_words_first=terse)


def open_world(preset: str, index: int, heldout: bool) -> World:
    """Return the world that the options name."""
    return World(replace(world_preset(preset), index=index, split="heldout" if heldout else "train"))


def _write_passages(passages: Iterator[Passage] | Iterable[Passage], path: Path) -> None:
    with path.open("x", encoding="utf-8") as file:
        for page in passages:
            file.write(json.dumps({"id": page.id, "title": page.title, "text": page.text}) + "\n")
