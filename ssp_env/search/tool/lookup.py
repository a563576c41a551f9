"""Batches of queries against a cache and an engine: each distinct query is asked once, failures are typed."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar, cast

import anyio
from anyio.to_thread import run_sync

from ssp_env.objects import is_async
from ssp_env.passage import Passage
from ssp_env.search.engine import SearchEngine
from ssp_env.search.tool.cache import ResultCache
from ssp_env.search.tool.errors import ToolError
from ssp_env.search.tool.sources import as_passages

Value = TypeVar("Value")


class Lookup:
    """Looks queries up in the cache, asks the engine for the others in one call, and keeps what it says.

    A batch succeeds or fails as a whole: an engine answers a call or it does not.

    Args:
        engine: What is searched. Its coroutine function `asearch` is used by `asearch`, if it has one.
        cache: Where results are kept.
        timeout: Most seconds a call of the engine may take; None is no limit. A thread cannot be stopped: a
            call that is given up goes on unseen.
    """

    def __init__(self, engine: SearchEngine, cache: ResultCache, timeout: float | None) -> None:
        self.engine = engine
        self.cache = cache
        self._timeout = timeout
        self._fingerprint: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Asked for again, as a source without a fingerprint has another name in another process.
        return {**self.__dict__, "_fingerprint": None}

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the passages for every query, in order.

        Raises:
            ToolError: `timeout` or `engine`.
        """
        try:
            known = self._known(_in_time(self._identify, self._timeout), queries, top_k)
            if missing := _missing(queries, known):
                found = _in_time(lambda: self._call(missing, top_k), self._timeout)
                known |= self._checked(found, missing, top_k)
        except Exception as error:
            raise self._failure(error) from error
        return [list(known[query]) for query in queries]

    async def asearch(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return what `search` returns, without holding up the event loop."""
        try:
            with anyio.fail_after(self._timeout):
                identity = self._fingerprint
                if identity is None:
                    identity = await _in_thread(self._identify)
                known = self._known(identity, queries, top_k)
                if missing := _missing(queries, known):
                    known |= self._checked(await self._ask(missing, top_k), missing, top_k)
        except Exception as error:
            raise self._failure(error) from error
        return [list(known[query]) for query in queries]

    def _call(self, queries: list[str], top_k: int) -> Any:
        found: Any = self.engine.search(queries, top_k)
        return asyncio.run(_awaited(found)) if inspect.isawaitable(found) else found

    async def _ask(self, queries: list[str], top_k: int) -> Any:
        for search in (getattr(self.engine, "asearch", None), self.engine.search):
            if is_async(search):
                return await search(queries, top_k)
        return await _in_thread(lambda: self._call(queries, top_k))

    def _identify(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = self.engine.fingerprint()
        return self._fingerprint

    def _known(self, identity: str, queries: Sequence[str], top_k: int) -> dict[str, list[Passage]]:
        return self.cache.known(identity, dict.fromkeys(queries), top_k)

    def _checked(self, found: Any, queries: list[str], top_k: int) -> dict[str, list[Passage]]:
        lists = list(found)
        if len(lists) != len(queries):
            raise ValueError(f"{len(queries)} queries gave {len(lists)} results")
        results = {query: as_passages(hits, top_k) for query, hits in zip(queries, lists)}
        self.cache.keep(self._identify(), results, top_k)
        return results

    def _failure(self, error: Exception) -> ToolError:
        if isinstance(error, TimeoutError):
            limit = "" if self._timeout is None else f" within {self._timeout:g} s"
            return ToolError("timeout", f"no result{limit}" + (f": {error}" if str(error) else ""))
        return ToolError("engine", f"{type(error).__name__}: {error}")


def _missing(queries: Sequence[str], known: dict[str, list[Passage]]) -> list[str]:
    return [query for query in dict.fromkeys(queries) if query not in known]


async def _awaited(found: Awaitable[Value]) -> Value:
    return await found


async def _in_thread(call: Callable[[], Value]) -> Value:
    # A limiter of its own: calls that were given up must not keep others waiting for a thread.
    return await run_sync(call, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(math.inf))


def _in_time(call: Callable[[], Value], timeout: float | None) -> Value:
    if timeout is None:
        return call()
    outcome: SimpleQueue[tuple[Value | None, Exception | None]] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put((call(), None))
        except Exception as error:
            outcome.put((None, error))

    # A daemon, so that an engine that hangs does not keep the program from ending.
    Thread(target=run, daemon=True, name="search").start()
    try:
        value, error = outcome.get(timeout=timeout)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return cast("Value", value)
