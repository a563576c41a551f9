"""The environment's own time, games per second, and both beside other libraries.

Run with `python -m benchmarks.throughput`. It needs `ssp-env[cli]`; with `ssp-env[benchmark]` it
measures TextArena and a classic PettingZoo environment too. Compare only ratios within one run,
because machines and their load differ.
"""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agents.scripted import ScriptedPlayer
from baselines.rollouts.tasks import WorldSource
from benchmarks.other_libraries import (
    NEEDS,
    pettingzoo_turns_per_second,
    textarena_turn_time,
    tic_tac_toe,
)
from benchmarks.tape import Scene, TapeEngine
from ssp_env import __version__, search_self_play_v0
from ssp_env.cli.progress import tracked, waiting
from ssp_env.game import Game, GameConfig, Task, View
from ssp_env.game.config import TERSE_RULES
from ssp_env.game.events import TurnTaken
from ssp_env.play import play, play_async

CONCURRENCY = (1, 16, 256)
LATENCY_SECONDS = 0.01
TURN_CHARACTERS = (250_000, 500_000, 1_000_000, 2_000_000, 4_000_000)
TEXT_LIMIT = 256


def main(
    passages: Annotated[int, typer.Option(help="Size of the world that is searched.", min=200)] = 10_000,
    games: Annotated[int, typer.Option(help="Games per measurement.", min=1)] = 256,
    repeats: Annotated[int, typer.Option(help="Measurements; medians are shown.", min=1)] = 7,
    others: Annotated[bool, typer.Option(help="Measure other libraries too.")] = True,
) -> None:
    """Measure, and print tables."""
    console = Console()
    versions = f"ssp-env {__version__}, tantivy {version('tantivy')}, NumPy {version('numpy')}"
    console.print(f"{versions}, Python {platform.python_version()}, {sys.platform}", highlight=False)
    scene = Scene.open(passages)
    _print_own_time(console, scene, games, repeats)
    _print_games_per_second(console, games)
    _print_long_turns(console, scene, repeats)
    if others:
        _print_other_libraries(console, scene, games, repeats)


# -- the environment's own time ----------------------------------------------------------------------------


def own_time(scene: Scene, engine: TapeEngine, games: int) -> float:
    """Return the CPU seconds of one turn, with players and search results from memory."""
    player = scene.player()
    started = process_time()
    opened = scene.games(games)
    outcomes = play(opened, proposer=player, solver=player, search=engine, on_player_error="raise")
    spent = process_time() - started
    if not all(outcome.reason == "solved" for outcome in outcomes):
        raise RuntimeError(f"expected every game to be solved, got {sorted({o.reason for o in outcomes})}")
    return spent / player.turns


def query_time(scene: Scene, queries: Sequence[str], top_k: int = 3) -> float:
    """Return the CPU seconds of one query in a batch of its own."""
    started = process_time()
    for query in queries:
        scene.engine.search([query], top_k)
    return (process_time() - started) / len(queries)


def _print_own_time(console: Console, scene: Scene, games: int, repeats: int) -> None:
    engine = TapeEngine(scene.engine)
    own_time(scene, engine, games)  # fills the tape
    queries = list(engine.found)
    pairs = [
        (own_time(scene, engine, games), query_time(scene, queries))
        for _ in tracked(range(repeats), "the environment's own time", is_still=True)
    ]
    own, query = median(mine for mine, _ in pairs), median(theirs for _, theirs in pairs)
    ratio = median(mine / theirs for mine, theirs in pairs)
    table = Table(title=f"The environment's own time: {games} games over {len(scene.engine):,} passages")
    for heading in ("figure", "value", "meaning"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    table.add_row(
        "own time per turn",
        f"{own * 1e6:.0f} us",
        "CPU time of games and driver, opening the games included; players and search from memory",
    )
    table.add_row(
        "one BM25 query", f"{query * 1e6:.0f} us", "CPU time of one query of those games, asked alone"
    )
    table.add_row("ratio", f"{ratio:.2f}", f"median of {repeats} pairs, measured in turn; below 1 is the aim")
    console.print(table)


# -- games per second --------------------------------------------------------------------------------------


class _Waiting:
    """A player that takes as long as a remote model would."""

    def __init__(self, player: ScriptedPlayer) -> None:
        self._player = player

    def act(self, view: View) -> str:
        sleep(LATENCY_SECONDS)
        return self._player.act(view)


class _AsyncPlayer:
    """A player that acts in a coroutine, with a latency if one is given."""

    def __init__(self, player: ScriptedPlayer, latency: float = 0.0) -> None:
        self._player = player
        self._latency = latency

    async def act(self, view: View) -> str:
        if self._latency:
            await asyncio.sleep(self._latency)
        return self._player.act(view)


def _terse_games(count: int) -> tuple[list[Game], dict[str, object]]:
    tasks, scenarios = WorldSource().draw(np.random.default_rng(0), count)
    opened = [Game(task, TERSE_RULES, rng=index) for index, task in enumerate(tasks)]
    return opened, {key: scenario.engine for key, scenario in scenarios.items()}


def games_per_second(count: int, run: Callable[..., object], player: object, concurrency: int) -> float:
    """Return scripted games per second of wall clock over tiny worlds, players and search included."""
    opened, engines = _terse_games(count)
    started = perf_counter()
    run(opened, proposer=player, solver=player, search=engines, cohort=64, concurrency=concurrency)
    spent = perf_counter() - started
    if any(game.outcome is None or game.outcome.verdict == "error" for game in opened):
        raise RuntimeError("expected every game to end without an error")
    return count / spent


def _run_async(games: Sequence[Game], **options: object) -> object:
    return asyncio.run(play_async(games, **options))  # type: ignore[arg-type]


def _print_games_per_second(console: Console, games: int) -> None:
    scripted = ScriptedPlayer(proposer="perfect", solver="perfect")
    few = min(games, 16)
    rows: list[tuple[str, Callable[..., object], object, Callable[[int], int]]] = [
        ("play, players that answer at once", play, scripted, lambda _: games),
        ("play_async, the same with coroutines", _run_async, _AsyncPlayer(scripted), lambda _: games),
        ("play, players that take 10 ms", play, _Waiting(scripted), lambda _: few),
        (
            "play_async, the same with coroutines",
            _run_async,
            _AsyncPlayer(scripted, LATENCY_SECONDS),
            lambda concurrency: max(few, min(games, 2 * concurrency)),
        ),
        (
            "play_async, the same in 32 threads",
            _run_async,
            _Waiting(scripted),
            lambda concurrency: max(few, min(games, 2 * concurrency)),
        ),
    ]
    table = Table(
        title="Scripted games per second over tiny worlds, BM25 search included, by games at a time"
    )
    table.add_column("driver and players")
    for concurrency in CONCURRENCY:
        table.add_column(str(concurrency), justify="right")
    for name, run, player, count in tracked(rows, "games per second", is_still=True):
        rates = [games_per_second(count(number), run, player, number) for number in CONCURRENCY]
        table.add_row(name, *(f"{rate:.0f}" for rate in rates))
    console.print(table)


# -- long turns --------------------------------------------------------------------------------------------


class _Talker:
    """A player that writes a long text and then searches."""

    def __init__(self, characters: int) -> None:
        self._text = "so " * (characters // 3) + "<search> a town </search>"

    def act(self, view: View) -> str:
        return self._text


def long_turn_time(scene: Scene, engine: TapeEngine, characters: int) -> float:
    """Return the CPU seconds per turn of a proposer that writes this many characters in every turn."""
    game = Game(Task("Nobody", id="0"), GameConfig())
    talker = _Talker(characters)
    started = process_time()
    play([game], proposer=talker, solver=talker, search=engine, on_player_error="raise")
    spent = process_time() - started
    return spent / sum(isinstance(event, TurnTaken) for event in game.events)


def _print_long_turns(console: Console, scene: Scene, repeats: int) -> None:
    engine = TapeEngine(scene.engine)
    long_turn_time(scene, engine, 1000)  # fills the tape
    table = Table(title="Turns of many characters: own time grows in proportion if the last column is level")
    for heading in ("characters per turn", "ms per turn", "ns per character"):
        table.add_column(heading, justify="right")
    for characters in tracked(TURN_CHARACTERS, "long turns", is_still=True):
        spent = median(long_turn_time(scene, engine, characters) for _ in range(repeats))
        table.add_row(f"{characters:,}", f"{spent * 1e3:.2f}", f"{spent / characters * 1e9:.2f}")
    console.print(table)


# -- other libraries ---------------------------------------------------------------------------------------


def _print_other_libraries(console: Console, scene: Scene, games: int, repeats: int) -> None:
    table = Table(title="Turns per second beside other libraries, measured in turn in this run")
    for heading in ("environment", "turns/s", "ratio to ours", "meaning"):
        table.add_column(heading, justify="right" if "/s" in heading or "ratio" in heading else "left")
    with waiting("other libraries", is_still=True):
        _compare_with_textarena(table, scene, games, repeats)
        _compare_with_pettingzoo(table)
    console.print(table)


def _compare_with_textarena(table: Table, scene: Scene, games: int, repeats: int) -> None:
    engine = TapeEngine(scene.engine)
    own_time(scene, engine, games)  # fills the tape
    try:
        pairs = [(own_time(scene, engine, games), textarena_turn_time(games)) for _ in range(repeats)]
    except ImportError:
        table.add_row("textarena, TicTacToe-v0", "", "", escape(NEEDS))
        return
    own, other = median(mine for mine, _ in pairs), median(theirs for _, theirs in pairs)
    ratio = median(mine / theirs for mine, theirs in pairs)
    meaning = "CPU time; three passages a search, players and search from memory"
    table.add_row("ssp-env, play", f"{1 / own:,.0f}", "1.00", meaning)
    name = f"textarena {version('textarena')}, TicTacToe-v0"
    table.add_row(name, f"{1 / other:,.0f}", f"{ratio:.2f}", "CPU time; its two-player loop, scripted moves")


def _compare_with_pettingzoo(table: Table) -> None:
    ours = pettingzoo_turns_per_second(lambda: search_self_play_v0.env(max_action_chars=TEXT_LIMIT))
    zoo = f"pettingzoo {version('pettingzoo')}"
    meaning = f"wall clock; PettingZoo's performance_benchmark, random texts up to {TEXT_LIMIT} characters"
    table.add_row("ssp-env, search_self_play_v0", f"{ours:,.0f}", "1.00", meaning)
    try:
        rate = pettingzoo_turns_per_second(tic_tac_toe)
        meaning = "wall clock; PettingZoo's performance_benchmark, random moves"
        table.add_row(f"{zoo}, tictactoe_v3", f"{rate:,.0f}", f"{rate / ours:.2f}", meaning)
    except ImportError:
        table.add_row(f"{zoo}, tictactoe_v3", "", "", escape(NEEDS))


if __name__ == "__main__":
    typer.run(main)
