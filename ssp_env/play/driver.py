"""Play games round by round: each round serves all open requests of one kind together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ssp_env.game import Game, Noise, Open, Outcome, Read, Search, Turn
from ssp_env.game.requests import Result
from ssp_env.objects import faults
from ssp_env.play.players import AnyPlayer, JudgeFunction
from ssp_env.play.schedule import Ask, Ended, Schedule
from ssp_env.play.services import AnySearch, Call, PlayerErrorRule, Services


class Driver:
    """Plays games one round at a time.

    Between rounds a caller may look at the games, snapshot them or stop. An exception that ends a round loses
    nothing: the requests that were not answered are served again in the next round.

    Args:
        games: Games with distinct ids; games that are already over are not played. A collection is checked
            before any game is played; an iterator is read as games end.
        services: The objects that answer the requests; none of them may be asynchronous.
        concurrency: The most games served at a time; None serves a whole cohort at a time. Games that wait
            for the rest of their cohort are not counted, so that up to `concurrency` plus `cohort` games are
            in progress.
        cohort: Number of consecutive games whose evidence is noise for each other; None means all games of a
            collection, and `DEFAULT_COHORT` games of an iterator.

    Raises:
        ValueError: If two games share an id, a game needs a service that is missing (an engine for its
            corpus, a proposer, a judge) or a number is below 1.
        TypeError: If a service is asynchronous.

    Example:
        >>> from ssp_env.game import Task
        >>> from ssp_env.game.passage import Passage
        >>> from ssp_env.search.bm25 import BM25Engine
        >>> class Mute:
        ...     def act(self, view):
        ...         return "hm"
        >>> engine = BM25Engine([Passage("0", "Tavor", "Tavor lives in Corun.")])
        >>> services = Services(proposer=Mute(), solver=Mute(), search=engine)
        >>> driver = Driver([Game(Task("Tavor", id="a")), Game(Task("Corun", id="b"))], services)
        >>> driver.step(), driver.alive
        ([], 2)
        >>> [(ended.game.id, ended.game.outcome.reason) for ended in driver]
        [('a', 'malformed'), ('b', 'malformed')]
    """

    def __init__(
        self,
        games: Iterable[Game],
        services: Services,
        *,
        concurrency: int | None = None,
        cohort: int | None = None,
    ) -> None:
        if names := services.asynchronous():
            raise TypeError(
                "asynchronous services need play_async (or ssp_env.play.blocking, if they are players); "
                f"these services are asynchronous: {', '.join(names)}"
            )
        self._services = services
        self._schedule = Schedule(games, services.check, concurrency=concurrency, cohort=cohort)
        self._asks: list[Ask] = []

    @property
    def done(self) -> bool:
        """Whether all games are over and were returned by `step`."""
        return self._schedule.done

    @property
    def alive(self) -> int:
        """Number of games in progress."""
        return self._schedule.alive

    def step(self) -> list[Ended]:
        """Serve one round and return the games that ended in it, in the order of the games.

        Raises:
            ValueError: If a game of an iterator has the id of another game or lacks a service that it needs.
            Exception: Whatever a player raised, if `Services.on_player_error` is `raise`.
        """
        self._asks += self._schedule.take()
        batches: dict[Any, list[Ask]] = {}
        for ask in _round(self._asks):
            batches.setdefault(self._services.batch(ask), []).append(ask)
        served: set[Ask] = set()
        try:
            for asks in batches.values():
                call = self._services.call(asks)
                for ask, result in zip(call.asks, _results(call), strict=True):
                    served.add(ask)
                    self._schedule.submit(ask, result)
        finally:
            self._asks = [ask for ask in self._asks if ask not in served]
        return self._schedule.ended()

    def __iter__(self) -> Iterator[Ended]:
        """Play until all games are over and yield each game when it ends."""
        while not self.done:
            yield from self.step()


def play(
    games: Iterable[Game],
    *,
    proposer: AnyPlayer | None = None,
    solver: AnyPlayer,
    search: AnySearch,
    reader: AnyPlayer | None = None,
    judge: JudgeFunction | None = None,
    seed: int = 0,
    concurrency: int | None = None,
    cohort: int | None = None,
    on_player_error: PlayerErrorRule = "end_game",
    on_outcome: Callable[[Game], None] | None = None,
) -> list[Outcome]:
    """Play games to their end in lockstep rounds; `play_async` does the same with asyncio.

    Every round serves all open requests of one kind together: one search per corpus, one batch per agent.
    Events and outcomes do not depend on `concurrency`. Noise is drawn from the evidence of the other games of
    a cohort over the same corpus; if that is too little, more is sampled from the corpus (paper section 3.3).

    If a call of an engine, a player, a reader or a judge raises, the games that the call was for end as
    `error`, with no reward for any seat; other games do not change. The first failure of each kind is logged
    as a warning (`logging.getLogger("ssp_env.play")`), and at the end the number of failures of each kind.

    Args:
        games: Games with distinct ids; games that are already over are not played.
        proposer: Plays `proposer_0`. This and every other player is an agent or anything else that `as_agent`
            takes. None if every game starts with its question.
        solver: Plays every `solver_k`.
        search: One engine for all games, or engines by `Task.corpus`, of any kind that `as_engine` takes.
        reader: Gives every reading of the RAG check; if None, the solver does (paper algorithm 1).
        judge: Decides answers that fail exact match; needed by games with `GameConfig(judge=True)`. A judge
            with a method `judge_batch` is asked for many verdicts at once.
        seed: Seed of the noise draw, 0 or more.
        concurrency: As for `Driver`.
        cohort: As for `Driver`.
        on_player_error: What happens if a proposer or solver raises an exception or returns something that is
            no reply: `end_game` ends the games that the call was for as `error`, `raise` passes the exception
            on to the caller, as training does. Failures of engines, judges and a reader that is not the
            solver always end the games as `error`.
        on_outcome: Called with each game when it ends; afterwards the driver keeps no reference to the game.

    Returns:
        The outcomes, in the order of `games`.

    Raises:
        ValueError: If two games share an id, a game needs a service that is missing (an engine for its
            corpus, a proposer, a judge) or a number is out of range.
        TypeError: If a service is asynchronous or has no method that answers requests.
    """
    services = Services(
        proposer=proposer, solver=solver, search=search, reader=reader, judge=judge, seed=seed,
        on_player_error=on_player_error,
    )  # fmt: skip
    outcomes: dict[int, Outcome | None] = {}
    for ended in Driver(games, services, concurrency=concurrency, cohort=cohort):
        outcomes[ended.index] = ended.game.outcome
        if ended.played and on_outcome is not None:
            on_outcome(ended.game)
    return in_order(outcomes)


def in_order(outcomes: Mapping[int, Outcome | None]) -> list[Outcome]:
    """Return outcomes in the order of their games."""
    return [outcome for _, outcome in sorted(outcomes.items()) if outcome is not None]


def _round(asks: Sequence[Ask]) -> list[Ask]:
    """Return the requests to serve first, in the order of the games.

    Kinds are served in this order: searches, the proposers' turns, noise, other turns and readings, verdicts.
    Searches come first because they are quick, and batches of turns grow in the meantime.
    """
    ranks = [_rank(ask) for ask in asks]
    first = min(ranks, default=0)
    chosen = [ask for ask, rank in zip(asks, ranks, strict=True) if rank == first]
    return sorted(chosen, key=lambda ask: (ask.index, ask.position))


def _rank(ask: Ask) -> int:
    request = ask.request
    if isinstance(request, Turn | Read):
        return 1 if ask.game.phase == "propose" else 3
    return 0 if isinstance(request, Search | Open) else 2 if isinstance(request, Noise) else 4


def _results(call: Call) -> Sequence[Result]:
    try:
        with faults():
            value = None if call.fetch is None else call.fetch()
            if inspect.iscoroutine(value):
                value.close()
                raise TypeError("got a coroutine: asynchronous services need play_async")
            return call.accept(value)
    except Exception as error:
        return call.fail(error)
