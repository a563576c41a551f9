"""Games in notebooks: `show(game)` as the last line of a cell, or all games once the extension is loaded.

`%load_ext ssp_env.viewer.notebook` makes IPython show every `Game` and `Episode` that a cell ends with.

>>> from ssp_env.game import Failure, Game, Task
>>> game = Game(Task("Tavor", id="task-0"))
>>> game.submit("proposer_0/turn/0", Failure("the model is down"))
>>> print(show(game))
game task-0: Tavor (1 hop)
error       at proposer_0/turn/0
outcome     error: proposer: the model is down
            rewards: proposer_0 0, solver_0 0
"""

from __future__ import annotations

from typing import Any

from ssp_env.game import Game
from ssp_env.records import Episode, retold
from ssp_env.viewer.markup import game_html, game_svg
from ssp_env.viewer.text import describe_task, render_events, render_outcome, visible


class ShownGame:
    """A game that notebooks show as HTML and terminals as text.

    Args:
        game: The game.
    """

    def __init__(self, game: Game) -> None:
        self.game = game

    def _repr_html_(self) -> str:
        return game_html(self.game)

    def svg(self) -> str:
        """Return the game as an SVG picture."""
        return game_svg(self.game)

    def __str__(self) -> str:
        game = self.game
        ending = "" if game.outcome is None else render_outcome(game.outcome)
        head = visible(f"game {game.id}: {describe_task(game.task)}") + "\n"
        return (head + render_events(game.events, game.config) + ending).removesuffix("\n")

    __repr__ = __str__


def show(game: Game | Episode) -> ShownGame:
    """Show a game, or a recorded one, which is played again from its record for that.

    Raises:
        TypeError: If it is neither.
        ValueError: If the record does not replay.
    """
    if isinstance(game, Episode):
        return ShownGame(retold(game).game)
    if isinstance(game, Game):
        return ShownGame(game)
    raise TypeError(f"expected a Game or an Episode, got {type(game).__name__}")


def load_ipython_extension(ipython: Any) -> None:
    """Make IPython show games and episodes; `%load_ext ssp_env.viewer.notebook` calls it."""
    formatter = ipython.display_formatter.formatters["text/html"]
    for kind in (Game, Episode):
        formatter.for_type(kind, lambda game: show(game)._repr_html_())
