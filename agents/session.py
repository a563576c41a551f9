"""Games played in front of people: printed and saved as they end, with a progress bar if that takes long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.progress import ProgressColumn
from rich.progress import Task as ProgressTask
from rich.table import Table
from rich.text import Text

from agents.metering import Meter, metered
from agents.players import Cast
from ssp_env import play as driver
from ssp_env.cli.progress import progress_bar
from ssp_env.game import Game, Task
from ssp_env.game.audit import audit
from ssp_env.objects import is_async
from ssp_env.play import AsyncJudgeFunction, JudgeFunction
from ssp_env.records import EpisodeWriter
from ssp_env.scenario import Scenario
from ssp_env.viewer.terminal import print_game, summary_table

PATIENCE_SECONDS = 2.0


def play_session(
    console: Console,
    cast: Cast,
    scenario: Scenario,
    tasks: Sequence[Task],
    *,
    judge: JudgeFunction | AsyncJudgeFunction | None = None,
    seed: int,
    out: Path | None = None,
    quiet: bool = False,
) -> tuple[Table, bool]:
    """Play one game per task.

    Args:
        console: Where games are printed as they end.
        cast: The players.
        scenario: What the games are played in.
        tasks: One per game.
        judge: Decides answers that fail exact match, if the rules have one.
        seed: Seed of the shuffle of evidence and the draw of noise.
        out: New file that gets each game as it ends, as `ssp_env.records` writes it.
        quiet: Print no games.

    Returns:
        The figures over all games, and whether every game failed and nobody left on purpose.

    Raises:
        FileExistsError: If `out` exists.
    """
    meter = Meter()
    games: list[Game] = []
    # A bar would be drawn over what a person reads.
    bar = nullcontext(_nothing) if cast.people else _progress(Console(stderr=True), len(tasks), meter)
    with _recording(out, scenario) as record, bar as advance:

        def on_outcome(game: Game) -> None:
            games.append(game)
            record(game)
            if not quiet:
                print_game(console, game)
            advance()

        _play(cast, scenario, tasks, judge, seed, meter, on_outcome)
    for failure, count in driver.count_failures(game.outcome for game in games).items():
        console.print(
            f"{count} of {len(games)} games failed: {failure}", style="red", highlight=False, markup=False
        )
    games.sort(key=lambda game: int(game.id))
    failed = all(game.outcome is not None and game.outcome.verdict == "error" for game in games)
    has_failed = failed and not any(person.has_left for person in cast.people)
    return summary_table(games, meter.seconds, meter.tokens, _cut_prompts(cast)), has_failed


def _play(
    cast: Cast,
    scenario: Scenario,
    tasks: Sequence[Task],
    judge: JudgeFunction | AsyncJudgeFunction | None,
    seed: int,
    meter: Meter,
    on_outcome: Callable[[Game], None],
) -> None:
    """Play with whatever driver suits the players.

    What a local player raises is a mistake and stops everything. An endpoint may fail at any time, and a
    person may leave: that ends their games, which are kept.
    """
    games = scenario.games(tasks, seed)
    given: dict[str, Any] = {
        "search": scenario.search, "judge": judge, "seed": seed, "on_outcome": on_outcome,
    }  # fmt: skip
    # One wrapper per player, so that a player of several roles still gets one batch.
    wrapped = {id(player): metered(player, meter) for player in cast.players.values()}
    with ExitStack() as stack:
        if cast.people:
            wrapped = {number: _blocking(player, stack) for number, player in wrapped.items()}
        given |= {role: wrapped[id(player)] for role, player in cast.players.items()}
        if cast.people:
            # One game after the other, which is how people play.
            going_on = takewhile(lambda _: not any(person.has_left for person in cast.people), games)
            driver.play(going_on, **given, concurrency=1, cohort=1)
        elif any(map(driver.is_async_agent, wrapped.values())) or is_async(judge):
            anyio.run(partial(driver.play_async, games, **given))
        else:
            driver.play(games, **given, on_player_error="raise")


def _cut_prompts(cast: Cast) -> int:
    """Count the prompts that players of language models had to shorten."""
    talks = {
        id(talk): talk for player in cast.players.values() if (talk := getattr(player, "conversations", None))
    }
    return sum(talk.cut_prompts for talk in talks.values())


def _nothing() -> None:
    return None


def _blocking(player: Any, stack: ExitStack) -> Any:
    return stack.enter_context(driver.blocking(player)) if driver.is_async_agent(player) else player


@contextmanager
def _recording(path: Path | None, scenario: Scenario) -> Iterator[Callable[[Game], None]]:
    """Append games with their audits to a new file; what is written survives an interruption."""
    if path is None:
        yield lambda game: None
        return
    with EpisodeWriter(path) as writer:

        def record(game: Game) -> None:
            writer.write(game, scenario.engine.fingerprint(), {"audit": audit(game, scenario.oracle)})

        yield record


@contextmanager
def _progress(console: Console, games: int, meter: Meter) -> Iterator[Callable[[], None]]:
    """Show a progress bar once the games have taken `PATIENCE_SECONDS`."""
    bar = progress_bar(_Turns(meter), console=console)
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
    """The turns and tokens so far, which move even while no game ends."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def render(self, task: ProgressTask) -> Text:
        return Text(f"{self._meter.turns} turns, {self._meter.tokens} tokens", style="dim")
