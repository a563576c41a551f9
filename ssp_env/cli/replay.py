"""`ssp replay`: play recorded games again and compare them with the record."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ssp_env.cli.options import Recorded, Strict, print_text, read_recorded, table
from ssp_env.data.lines import DataFileError
from ssp_env.game import Game
from ssp_env.records import Episode
from ssp_env.records.replay import difference_from, retold
from ssp_env.viewer.terminal import print_game

_DIFFERENCE_CHARACTERS = 600


def replay(
    file: Recorded,
    game: Annotated[
        str, typer.Option("--game", help="Also print the game with this id, as `ssp play` does.")
    ] = "",
    strict: Strict = False,
) -> None:
    """Play recorded games again and check that events and outcomes equal the record to the byte.

    The exit status is 1 if any game differs or a record cannot be read.
    """
    console = Console()
    reproduced: Counter[str] = Counter()
    differing: Counter[str] = Counter()
    found = False
    skipped: list[DataFileError] = []
    for number, episode, (told, difference) in read_recorded(file, _compared, strict=strict, skipped=skipped):
        reason = "unknown" if episode.outcome is None else str(episode.outcome["reason"])
        (differing if difference else reproduced)[reason] += 1
        if difference:
            shown = Text(difference)
            shown.truncate(_DIFFERENCE_CHARACTERS, overflow="ellipsis")
            print_text(console, f"{file}:{number}: game {episode.game_id} differs at {shown.plain}", "red")
        if game and episode.game_id == game:
            found = True
            if told is not None and told.outcome is not None:
                print_game(console, told)
    if game and not found:
        raise ValueError(f"{file}: no game has the id {game!r}; the ids are under game_id in each line")
    total = reproduced.total() + differing.total()
    figures = table(f"{file}: {total} games", "recorded reason", numbers=("games", "reproduced", "different"))
    for reason, games in (reproduced + differing).most_common():
        figures.add_row(reason, str(games), str(reproduced[reason]), str(differing[reason]))
    figures.add_section()
    figures.add_row("all", str(total), str(reproduced.total()), str(differing.total()))
    console.print(figures)
    if skipped:
        print_text(console, f"{len(skipped)} lines were skipped, which are no records that can be read")
    if differing or skipped:
        raise typer.Exit(1)


def _compared(episode: Episode) -> tuple[Game | None, str]:
    """Play a game again; return it, if it replays at all, and how it differs from its record."""
    try:
        told = retold(episode).game
        return told, difference_from(episode, told)
    except ValueError as error:
        return None, str(error)
