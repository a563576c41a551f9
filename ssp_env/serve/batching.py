"""Searches of concurrent requests made together, off the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ssp_env.passage import Passage
from ssp_env.search.engine import SearchEngine


class OverloadedError(Exception):
    """More queries wait than the server takes on."""


@dataclass
class _Waiting:
    queries: Sequence[str]
    top_k: int
    found: asyncio.Future[list[list[Passage]]]


class Batcher:
    """Searches one batch at a time, in a thread of its own; what arrives meanwhile becomes the next batch.

    Batching therefore delays nobody, and engines need not be thread-safe. A search longer than a batch takes
    turns with the others. A batch that fails is searched again request by request, so that only those fail
    that the engine cannot serve.

    Args:
        engine: The engine.
        max_batch: Most queries in one call of the engine.
        max_waiting: Most queries waiting at a time.
        on_batch: Called with the number of queries before every call of the engine.
    """

    def __init__(
        self,
        engine: SearchEngine,
        *,
        max_batch: int = 256,
        max_waiting: int = 100_000,
        on_batch: Callable[[int], object] | None = None,
    ) -> None:
        if max_batch < 1 or max_waiting < 1:
            raise ValueError(
                f"max_batch and max_waiting must be at least 1, got {max_batch} and {max_waiting}"
            )
        self._engine = engine
        self._max_batch, self._max_waiting = max_batch, max_waiting
        self._on_batch = on_batch
        self._queue: deque[_Waiting] = deque()
        self._taken_on = 0
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")

    @property
    def waiting(self) -> int:
        """Queries that were asked and not answered yet."""
        return self._taken_on

    async def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Search, together with what others ask for.

        Raises:
            OverloadedError: If too many queries wait already.
            Exception: What the engine raises.
        """
        if self._taken_on + len(queries) > self._max_waiting:
            raise OverloadedError(
                f"{self._taken_on:,} queries wait; {len(queries):,} more would exceed {self._max_waiting:,}"
            )
        self._taken_on += len(queries)
        try:
            found: list[list[Passage]] = []
            for start in range(0, len(queries), self._max_batch):
                found += await self._enqueue(queries[start : start + self._max_batch], top_k)
            return found
        finally:
            self._taken_on -= len(queries)

    def close(self) -> None:
        """End the thread after the batch that it searches."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _enqueue(self, queries: Sequence[str], top_k: int) -> asyncio.Future[list[list[Passage]]]:
        waiting = _Waiting(queries, top_k, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return waiting.found

    async def _work(self) -> None:
        while self._queue:
            batch = self._next_batch()
            try:
                found = await self._call([query for one in batch for query in one.queries], batch[0].top_k)
            except Exception as error:
                await self._search_apart(batch, error)
                continue
            rankings = iter(found)
            for one in batch:
                _settle(one, [next(rankings) for _ in one.queries])

    def _next_batch(self) -> list[_Waiting]:
        """Take the longest waiting search and those that can go with it."""
        batch: list[_Waiting] = []
        later: list[_Waiting] = []
        size = 0
        while self._queue and size < self._max_batch:
            one = self._queue.popleft()
            if one.found.done():  # its request was cancelled
                continue
            if batch and (one.top_k != batch[0].top_k or size + len(one.queries) > self._max_batch):
                later.append(one)
                continue
            batch.append(one)
            size += len(one.queries)
        self._queue.extendleft(reversed(later))
        return batch

    async def _search_apart(self, batch: Sequence[_Waiting], error: Exception) -> None:
        for one in batch:
            try:
                if len(batch) == 1:
                    raise error
                _settle(one, await self._call(one.queries, one.top_k))
            except Exception as problem:
                _settle(one, problem)

    async def _call(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        if not queries:
            return []
        if self._on_batch:
            self._on_batch(len(queries))
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._thread, self._engine.search, queries, top_k)
        if len(found) != len(queries):
            raise RuntimeError(f"expected {len(queries)} results of the engine, got {len(found)}")
        return found


def _settle(one: _Waiting, result: list[list[Passage]] | Exception) -> None:
    if one.found.done():
        return
    if isinstance(result, Exception):
        one.found.set_exception(result)
    else:
        one.found.set_result(result)
