"""Play games with asyncio: every game continues as soon as its requests are answered."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import anyio
from anyio.to_thread import run_sync

from ssp_env.game import Game, Outcome
from ssp_env.game.requests import Result
from ssp_env.objects import check_least, faults, is_async
from ssp_env.play.driver import in_order
from ssp_env.play.players import AnyJudge, AnyPlayer
from ssp_env.play.schedule import Ask, Ended, Schedule
from ssp_env.play.services import AnySearch, Call, PlayerErrorRule, Services

DEFAULT_THREADS = 32
"""The most calls in threads at a time: those of judges and one-view agents without a coroutine function."""


class AsyncDriver(AbstractAsyncContextManager["AsyncDriver"]):
    """The asyncio counterpart of `Driver`, with the same arguments, events and outcomes.

    Coroutine functions are awaited; other functions run in threads. Engines, batch agents and judges with
    `judge_batch` are called once at a time, and the requests that arrive during a call form the next batch.
    Agents that take one view and other judges are called once per request, with many calls at a time. Use the
    driver as an asynchronous context manager: leaving the context cancels every call under way, also after an
    exception or a cancellation. A thread cannot be stopped; it is abandoned, and its result is ignored.

    Args:
        games: As for `Driver`, like `concurrency` and `cohort`.
        services: The objects that answer the requests, asynchronous or not.
        timeout: Seconds after which a call counts as failed; None sets no limit.
        threads: The most calls of one-view agents and judges that run in threads at a time. With more than 1,
            such objects are called from several threads at once.

    Raises:
        ValueError: As for `Driver`, or if `timeout` is not above 0 or `threads` is below 1.

    Example:
        >>> async def answer_all(games, services):
        ...     async with AsyncDriver(games, services, timeout=60) as driver:
        ...         async for ended in driver:
        ...             print(ended.game.id, ended.game.outcome.reason)
    """

    def __init__(
        self,
        games: Iterable[Game],
        services: Services,
        *,
        concurrency: int | None = None,
        cohort: int | None = None,
        timeout: float | None = None,
        threads: int = DEFAULT_THREADS,
    ) -> None:
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout must be above 0 seconds, got {timeout}")
        check_least(1, threads=threads)
        self._services = services
        self._schedule = Schedule(games, services.check, concurrency=concurrency, cohort=cohort)
        self._timeout = timeout
        # Requests by lane, then by call. A lane has one call at a time; None holds requests without a lane.
        self._waiting: dict[Hashable, dict[Hashable, list[Ask]]] = {}
        self._busy: set[Hashable] = set()
        self._running: dict[asyncio.Task[Sequence[Result]], tuple[Hashable, Call]] = {}
        self._finished: asyncio.Queue[asyncio.Task[Sequence[Result]]] = asyncio.Queue()
        self._parallel = anyio.CapacityLimiter(threads)
        self._unlimited = anyio.CapacityLimiter(math.inf)

    @property
    def done(self) -> bool:
        """Whether all games are over and were returned by `step`."""
        return self._schedule.done

    @property
    def alive(self) -> int:
        """Number of games in progress."""
        return self._schedule.alive

    async def step(self) -> list[Ended]:
        """Start the calls that can be started, wait until one ends, and return the games that ended.

        Cancelling a step loses nothing: the calls continue, and the next step waits for them. An exception
        loses nothing either: the next step repeats the requests that have no answer yet.

        Raises:
            ValueError: As for `Driver.step`.
            Exception: Whatever a player raised, if `Services.on_player_error` is `raise`.
        """
        self._start_calls()
        if self._running:
            self._take(await self._finished.get())
            while not self._finished.empty():
                self._take(self._finished.get_nowait())
        return self._schedule.ended()

    async def __aiter__(self) -> AsyncIterator[Ended]:
        """Play until all games are over and yield each game when it ends."""
        while not self.done:
            for ended in await self.step():
                yield ended

    async def __aexit__(self, *_: object) -> None:
        """Cancel all calls under way and wait until they are gone."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start_calls(self) -> None:
        # A request that needs no call is answered at once, and its game may then ask for more.
        while True:
            for ask in self._schedule.take():
                self._wait(ask)
            lanes = [lane for lane in self._waiting if lane not in self._busy]
            if not lanes:
                return
            for lane in lanes:
                self._start_lane(lane)

    def _wait(self, ask: Ask) -> None:
        batches = self._waiting.setdefault(self._services.lane(ask), {})
        batches.setdefault(self._services.batch(ask), []).append(ask)

    def _start_lane(self, lane: Hashable) -> None:
        """Start the call that has waited longest, or all calls if the requests need no lane."""
        batches = self._waiting.pop(lane)
        while batches and lane not in self._busy:
            call = self._services.call(batches.pop(next(iter(batches))), prefer_async=True)
            if call.fetch is None:
                self._submit(call, call.accept(None))
                continue
            task = asyncio.get_running_loop().create_task(self._serve(call, call.fetch, lane))
            task.add_done_callback(self._finished.put_nowait)
            self._running[task] = (lane, call)
            if lane is not None:
                self._busy.add(lane)
        if batches:
            self._waiting[lane] = batches

    async def _serve(self, call: Call, fetch: Callable[[], Any], lane: Hashable) -> Sequence[Result]:
        try:
            # A cancellation of this task becomes a failure too, which nobody takes: the driver has ended.
            with faults():
                if is_async(fetch):
                    return call.accept(await self._in_time(fetch()))
                # The time limit starts when a thread is free for the call.
                async with self._parallel if lane is None else nullcontext():
                    threaded = run_sync(fetch, abandon_on_cancel=True, limiter=self._unlimited)
                    return call.accept(await self._in_time(threaded))
        except Exception as error:
            return call.fail(error)

    async def _in_time(self, pending: Awaitable[Any]) -> Any:
        with anyio.move_on_after(self._timeout):
            value = await pending
            # An ordinary function may still return a coroutine.
            return await value if inspect.isawaitable(value) else value
        raise TimeoutError(f"no result within {self._timeout:g} s")

    def _take(self, task: asyncio.Task[Sequence[Result]]) -> None:
        lane, call = self._running.pop(task)
        self._busy.discard(lane)
        try:
            results = task.result()
        except BaseException:
            for ask in call.asks:
                self._wait(ask)
            raise
        self._submit(call, results)

    def _submit(self, call: Call, results: Sequence[Result]) -> None:
        for ask, result in zip(call.asks, results, strict=True):
            self._schedule.submit(ask, result)


async def play_async(
    games: Iterable[Game],
    *,
    proposer: AnyPlayer | None = None,
    solver: AnyPlayer,
    search: AnySearch,
    reader: AnyPlayer | None = None,
    judge: AnyJudge | None = None,
    seed: int = 0,
    concurrency: int | None = None,
    cohort: int | None = None,
    timeout: float | None = None,
    threads: int = DEFAULT_THREADS,
    on_player_error: PlayerErrorRule = "end_game",
    on_outcome: Callable[[Game], Awaitable[None] | None] | None = None,
) -> list[Outcome]:
    """Play games to their end with asyncio, with the same events, outcomes and warnings as `play`.

    The arguments are those of `play`, and these two are those of `AsyncDriver`: `timeout`, the seconds after
    which a call counts as failed, and `threads`, the most calls that run in threads at a time. Players,
    engines and judges may be asynchronous: an engine's coroutine function `asearch` is preferred to `search`,
    and what `on_outcome` returns is awaited if it is an awaitable.

    Returns:
        The outcomes, in the order of `games`.

    Raises:
        ValueError: As for `play` and `AsyncDriver`.
        TypeError: If a service has no method that answers requests.
    """
    services = Services(
        proposer=proposer, solver=solver, search=search, reader=reader, judge=judge, seed=seed,
        on_player_error=on_player_error,
    )  # fmt: skip
    outcomes: dict[int, Outcome | None] = {}
    driver = AsyncDriver(
        games, services, concurrency=concurrency, cohort=cohort, timeout=timeout, threads=threads
    )
    async with driver:
        async for ended in driver:
            outcomes[ended.index] = ended.game.outcome
            if ended.played and on_outcome is not None:
                reported = on_outcome(ended.game)
                if inspect.isawaitable(reported):
                    await reported
    return in_order(outcomes)
