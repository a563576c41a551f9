"""`ssp search`: search a world, a corpus file or an index directory."""

from __future__ import annotations

import json
from collections.abc import Sized
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ssp_env.cli.options import Corpus, Heldout, IndexDirectory, Search, WorldIndex, WorldName, open_engine
from ssp_env.game.passage import Passage
from ssp_env.viewer.text import visible

PASSAGE_CHARACTERS = 500


def search(
    query: Annotated[list[str], typer.Argument(help="One or more queries.")],
    world: WorldName = None,
    world_index: WorldIndex = 0,
    heldout: Heldout = False,
    corpus: Corpus = None,
    index: IndexDirectory = None,
    search_with: Search = None,
    top_k: Annotated[int, typer.Option(help="Passages per query.", min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON Lines, one query per line.")] = False,
) -> None:
    """Search a world, a corpus or an index, with BM25 or another engine."""
    console = Console()
    engine = open_engine(world, world_index, heldout, corpus, index, search_with)
    for text, passages in zip(query, engine.search(query, top_k), strict=True):
        if as_json:
            print(json.dumps({"query": text, "passages": [asdict(passage) for passage in passages]}))
            continue
        total = f" of {len(engine):,}" if isinstance(engine, Sized) else ""
        found = f" ({len(passages)}{total} passages)"
        console.print(Text.assemble((visible(text), "bold"), found))
        for passage in passages:
            console.print(_line(passage))


def _line(passage: Passage) -> Text:
    text, more = passage.text[:PASSAGE_CHARACTERS], len(passage.text) - PASSAGE_CHARACTERS
    cut = f"… ({more:,} more characters; --json prints all)" if more > 0 else ""
    title = (visible(passage.title), "cyan")
    return Text.assemble(f"  {passage.score:6.2f} ", title, " ", visible(text), (cut, "dim"))
