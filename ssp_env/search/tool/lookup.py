"""Searching for a batch of queries: from a cache, and then in one call of the engine with a time limit."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar, cast

import anyio
from anyio.to_thread import run_sync
from cachetools import LRUCache

from ssp_env.game.passage import Passage, checked_passage
from ssp_env.objects import awaited, describe, faults, foreign_error, is_async
from ssp_env.search.adapters import as_passages
from ssp_env.search.engine import SearchEngine
from ssp_env.search.tool.calls import ToolError

Value = TypeVar("Value")


class ResultCache:
    """Results by the engine's fingerprint, the query and `top_k`; tools and threads may share it.

    The least recently used results are dropped first. Failed searches are not kept. Every caller gets a new
    list, so that nobody changes the cache. A pickled cache comes back empty.

    Args:
        size: Most results to keep, 0 or more; with 0 nothing is kept.

    Attributes:
        hits: Queries answered from the cache so far.
        misses: Queries that were not in it.

    Raises:
        ValueError: If `size` is negative.
    """

    def __init__(self, size: int = 1024) -> None:
        if size < 0:
            raise ValueError(f"size must be 0 or more, got {size}")
        self.size = size
        self.hits = self.misses = 0
        self._kept: LRUCache[tuple[str, str, int], tuple[Passage, ...]] = LRUCache(size)
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[ResultCache], tuple[int]]:
        return type(self), (self.size,)

    def __len__(self) -> int:
        """Return the number of results kept."""
        return len(self._kept)

    def known(self, fingerprint: str, queries: Iterable[str], top_k: int) -> dict[str, list[Passage]]:
        """Return the results that the cache has, by query."""
        known = {}
        with self._lock:
            for query in queries:
                passages = self._kept.get((fingerprint, query, top_k))
                if passages is None:
                    self.misses += 1
                else:
                    known[query] = list(passages)
                    self.hits += 1
        return known

    def keep(self, fingerprint: str, results: Mapping[str, Iterable[Passage]], top_k: int) -> None:
        """Store results by query."""
        with self._lock:
            if self.size:
                for query, found in results.items():
                    self._kept[fingerprint, query, top_k] = tuple(found)


class Lookup:
    """Searches for the queries that are not in the cache in one call of the engine, and caches the results.

    A call that fails, fails for every query in it; a result that is malformed, for its own query alone.

    Args:
        engine: The engine. `asearch` calls its coroutine function `asearch` if it has one.
        cache: Where results are kept.
        timeout: Most seconds a call of the engine may take; None is no limit. Threads cannot be stopped: a
            call that took too long runs on in its thread, and its result is ignored.
    """

    def __init__(self, engine: SearchEngine, cache: ResultCache, timeout: float | None) -> None:
        self.engine = engine
        self.cache = cache
        self._timeout = timeout
        self._fingerprint: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Not pickled: a source without a fingerprint of its own gets a new one in every process.
        return {**self.__dict__, "_fingerprint": None}

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage] | ToolError]:
        """Return the passages for every query, in order, or an error in the place of malformed ones.

        Raises:
            ToolError: `timeout` or `engine`.
        """
        known: dict[str, list[Passage] | ToolError]
        try:
            with faults():
                known = self._known(_in_time(self._identify, self._timeout), queries, top_k)
                if missing := _missing(queries, known):
                    found = _in_time(lambda: self._call(missing, top_k), self._timeout)
                    known |= self._checked(found, missing, top_k)
        except Exception as error:
            raise self._failure(error) from error
        return [_own(known[query]) for query in queries]

    async def asearch(self, queries: Sequence[str], top_k: int) -> list[list[Passage] | ToolError]:
        """Return what `search` returns, without holding up the event loop."""
        known: dict[str, list[Passage] | ToolError]
        try:
            with anyio.fail_after(self._timeout):
                identity = self._fingerprint
                if identity is None:
                    identity = await _in_thread(self._identify)
                known = self._known(identity, queries, top_k)
                if missing := _missing(queries, known):
                    known |= self._checked(await self._ask(missing, top_k), missing, top_k)
        except BaseException as error:
            raise self._failure(foreign_error(error)) from error
        return [_own(known[query]) for query in queries]

    def open(self, passage_id: str) -> list[Passage] | ToolError:
        """Return the passage of an id, none if the engine has none, or an error."""
        try:
            with faults():
                return _in_time(lambda: self._get(passage_id), self._timeout)
        except Exception as error:
            return self._failure(error)

    async def aopen(self, passage_id: str) -> list[Passage] | ToolError:
        """Return what `open` returns, without holding up the event loop."""
        return await _in_thread(lambda: self.open(passage_id))

    def _get(self, passage_id: str) -> list[Passage]:
        engine: Any = self.engine
        [found] = engine.get_passages([passage_id])
        return [] if found is None else [checked_passage(found)]

    def _call(self, queries: list[str], top_k: int) -> Any:
        with faults():
            found: Any = self.engine.search(queries, top_k)
            return asyncio.run(awaited(found)) if inspect.isawaitable(found) else found

    async def _ask(self, queries: list[str], top_k: int) -> Any:
        for search in (getattr(self.engine, "asearch", None), self.engine.search):
            if is_async(search):
                return await search(queries, top_k)
        return await _in_thread(lambda: self._call(queries, top_k))

    def _identify(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = self.engine.fingerprint()
        return self._fingerprint

    def _known(
        self, identity: str, queries: Sequence[str], top_k: int
    ) -> dict[str, list[Passage] | ToolError]:
        return {**self.cache.known(identity, dict.fromkeys(queries), top_k)}

    def _checked(self, found: Any, queries: list[str], top_k: int) -> dict[str, list[Passage] | ToolError]:
        lists = list(found)
        if len(lists) != len(queries):
            raise ValueError(f"{len(queries)} queries gave {len(lists)} results")
        results = {query: self._read(hits, top_k) for query, hits in zip(queries, lists)}
        good = {query: hits for query, hits in results.items() if not isinstance(hits, ToolError)}
        self.cache.keep(self._identify(), good, top_k)
        return results

    def _read(self, hits: Any, top_k: int) -> list[Passage] | ToolError:
        try:
            return as_passages(hits, top_k)
        except Exception as error:
            return self._failure(error)

    def _failure(self, error: Exception) -> ToolError:
        if isinstance(error, TimeoutError):
            limit = "" if self._timeout is None else f" within {self._timeout:g} s"
            said = describe(error).partition(": ")[2]
            return ToolError("timeout", f"no result{limit}" + (f": {said}" if said else ""))
        return ToolError("engine", describe(error))


def _own(found: list[Passage] | ToolError) -> list[Passage] | ToolError:
    """Return a list or an exception that nobody shares."""
    return list(found) if isinstance(found, list) else ToolError(found.kind, found.detail)


def _missing(queries: Sequence[str], known: Mapping[str, object]) -> list[str]:
    return [query for query in dict.fromkeys(queries) if query not in known]


async def _in_thread(call: Callable[[], Value]) -> Value:
    # A limiter for this call alone: calls that took too long must not keep others waiting for a thread.
    return await run_sync(call, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(math.inf))


def _in_time(call: Callable[[], Value], timeout: float | None) -> Value:
    if timeout is None:
        return call()
    outcome: SimpleQueue[tuple[Value | None, Exception | None]] = SimpleQueue()

    def run() -> None:
        try:
            with faults():
                outcome.put((call(), None))
        except Exception as error:
            outcome.put((None, error))

    # A daemon thread does not keep the program from ending if the engine hangs.
    Thread(target=run, daemon=True, name="search").start()
    try:
        value, error = outcome.get(timeout=timeout)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return cast("Value", value)
