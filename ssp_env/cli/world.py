"""`ssp world`: show a generated world, or write its passages to a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from ssp_env.cli.options import Heldout, WorldIndex, open_world
from ssp_env.cli.progress import tracked
from ssp_env.game.passage import Passage
from ssp_env.worlds import MAX_HOPS, WORLD_PRESETS


def world(
    preset: Annotated[str, typer.Argument(help=f"World preset: {', '.join(WORLD_PRESETS)}.")] = "tiny",
    world_index: WorldIndex = 0,
    heldout: Heldout = False,
    passages: Annotated[int, typer.Option(help="Passages to print.", min=0)] = 5,
    questions: Annotated[int, typer.Option(help="Questions to print per number of hops.", min=0)] = 2,
    out: Annotated[
        Path | None, typer.Option(help="Write all passages as JSON Lines to this new file.")
    ] = None,
) -> None:
    """Show passages, questions with answers and the fingerprint of a world, and write passages to a file."""
    console = Console()
    made = open_world(preset, world_index, heldout)
    console.print(f"[bold]{made.id}[/bold]: {len(made):,} passages", highlight=False)
    for number in range(min(passages, len(made))):
        passage = made.passage(number)
        console.print(
            f"[dim]{passage.id}[/dim] [bold]{passage.title}[/bold]: {passage.text}", highlight=False
        )
    for hops in range(1, MAX_HOPS + 1) if questions else ():
        for gold in made.questions(hops, questions, np.random.default_rng(world_index)):
            console.print(
                f"[dim]{hops}-hop[/dim] {gold.question} [green]{gold.answer}[/green]", highlight=False
            )
    console.print(f"fingerprint {made.fingerprint()}", highlight=False)
    if out is not None:
        _write_passages(tracked(made.passages(), "writing passages", len(made)), out)
        console.print(f"wrote {len(made):,} passages to {out}", highlight=False)


def _write_passages(passages: Iterable[Passage], path: Path) -> None:
    with path.open("x", encoding="utf-8") as file:
        for passage in passages:
            record = {"id": passage.id, "title": passage.title, "text": passage.text}
            file.write(json.dumps(record) + "\n")
