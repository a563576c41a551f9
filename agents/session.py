"""Games played in front of people: printed and saved as they end, with a progress bar if that takes long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Task as ProgressTask
from rich.table import Table
from rich.text import Text

from agents.players import Cast
from agents.setting import Setting
from ssp_env import play as driver
from ssp_env.game import Game, GameConfig, Reply, View
from ssp_env.game_report import print_game, summary_table
from ssp_env.play import AnyAgent
from ssp_env.records import EpisodeWriter
from ssp_env.search.engine import SearchEngine

PATIENCE_SECONDS = 2.0


@dataclass
class Meter:
    """What the players did so far.

    Attributes:
        turns: Turns taken and readings given.
        tokens: Tokens they sampled.
        seconds: Time they took.
    """

    turns: int = 0
    tokens: int = 0
    seconds: float = 0.0


class MeteredPlayer:
    """Hands views on to a player and meters its turns."""

    def __init__(self, player: AnyAgent, meter: Meter) -> None:
        self._player = player
        self._meter = meter

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return the player's replies."""
        started = perf_counter()
        replies = driver.act_all(self._player, views)
        self._meter.seconds += perf_counter() - started
        self._meter.turns += len(replies)
        self._meter.tokens += sum(len(reply.token_ids) for reply in replies)
        return replies


def play_session(
    console: Console,
    cast: Cast,
    setting: Setting,
    config: GameConfig,
    *,
    seed: int,
    out: Path | None = None,
    quiet: bool = False,
) -> Table:
    """Play one game per task of the setting.

    Args:
        console: Where games are printed as they end.
        cast: The players.
        setting: Engine and tasks.
        config: Rules.
        seed: Of the shuffle of evidence and the draw of noise.
        out: New file that gets each game as it ends, as `ssp_env.records` writes it.
        quiet: Print no games.

    Returns:
        The figures over all games.

    Raises:
        FileExistsError: If `out` exists.
    """
    meter = Meter()
    # One wrapper per player, so that a player of several roles still gets one batch.
    wrapped = {id(player): MeteredPlayer(player, meter) for player in cast.players.values()}
    players = {role: wrapped[id(player)] for role, player in cast.players.items()}
    games = [Game(task, config, rng=seed + number) for number, task in enumerate(setting.tasks)]
    with _recording(out, setting.engine) as record, _progress(console, len(games), meter) as advance:

        def on_outcome(game: Game) -> None:
            record(game)
            if not quiet:
                print_game(console, game)
            advance()

        driver.play(
            games,
            proposer=players["proposer"],
            solver=players["solver"],
            reader=players.get("reader"),
            search=setting.engine,
            seed=seed,
            on_player_error="raise",
            on_outcome=on_outcome,
        )
    return summary_table(games, meter.seconds, meter.tokens)


@contextmanager
def _recording(path: Path | None, engine: SearchEngine) -> Iterator[Callable[[Game], None]]:
    """Append games to a new file; what is written survives an interruption."""
    if path is None:
        yield lambda game: None
        return
    with EpisodeWriter(path) as writer:
        yield lambda game: writer.write(game, engine.fingerprint())


@contextmanager
def _progress(console: Console, games: int, meter: Meter) -> Iterator[Callable[[], None]]:
    """Show a bar once the games have taken longer than anybody likes to look at nothing."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, TimeElapsedColumn(), _Turns(meter), console=console, transient=True)
    task = bar.add_task("games over", total=games)
    patience = threading.Timer(PATIENCE_SECONDS, bar.start)
    patience.daemon = True
    patience.start()
    try:
        yield lambda: bar.advance(task)
    finally:
        patience.cancel()
        patience.join()
        bar.stop()


class _Turns(ProgressColumn):
    """How many turns were taken, which moves while no game ends."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def render(self, task: ProgressTask) -> Text:
        return Text(f"{self._meter.turns} turns, {self._meter.tokens} tokens", style="dim")
