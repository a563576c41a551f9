"""`ssp replay`: play recorded games again and compare them with the record."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ssp_env.cli.options import Recorded, print_text, read_recorded, table
from ssp_env.records.replay import difference_from, retold
from ssp_env.viewer.terminal import print_game

_DIFFERENCE_CHARACTERS = 600


def replay(
    file: Recorded,
    game: Annotated[
        str, typer.Option("--game", help="Also print the game with this id, as `ssp play` does.")
    ] = "",
) -> None:
    """Play recorded games again and check that events and outcomes equal the record to the byte.

    The exit status is 1 if any game differs.
    """
    console = Console()
    reproduced: Counter[str] = Counter()
    differing: Counter[str] = Counter()
    found = False
    for number, episode in read_recorded(file):
        reason = "unknown" if episode.outcome is None else str(episode.outcome["reason"])
        try:
            told = retold(episode).game
            difference = difference_from(episode, told)
        except ValueError as error:
            told, difference = None, str(error)
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
    if differing:
        raise typer.Exit(1)
