"""Queries that many coroutines ask for at the same time become one call of the engine."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ssp_env.passage import Passage
from ssp_env.search.tool.errors import ToolError
from ssp_env.search.tool.lookup import Lookup


class _Waiting(NamedTuple):
    query: str
    top_k: int
    found: asyncio.Future[list[Passage]]


class Batcher:
    """Gathers queries per event loop: one call at a time, what is asked meanwhile makes up the next.

    Args:
        lookup: Runs the batches.
        max_batch: Most queries in a call, 1 or more.
    """

    def __init__(self, lookup: Lookup, max_batch: int) -> None:
        self._lookup = lookup
        self._max_batch = max_batch
        self._waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, list[_Waiting]] = WeakKeyDictionary()
        self._workers: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[Batcher], tuple[Lookup, int]]:
        return type(self), (self._lookup, self._max_batch)

    async def search(self, query: str, top_k: int) -> list[Passage]:
        """Return the passages for one query.

        Raises:
            ToolError: `timeout` or `engine`; everybody in the same call gets the same.
        """
        loop = asyncio.get_running_loop()
        asked = _Waiting(query, top_k, loop.create_future())
        waiting = self._waiting.setdefault(loop, [])
        waiting.append(asked)
        if loop not in self._workers:
            # A task starts after all that is ready now: whoever asks in this tick is in the first call.
            self._workers[loop] = loop.create_task(self._work(loop, waiting))
        return await asked.found

    async def _work(self, loop: asyncio.AbstractEventLoop, waiting: list[_Waiting]) -> None:
        batch: list[_Waiting] = []
        try:
            while batch := self._take(waiting):
                await self._serve(batch)
        finally:
            # Reached with something left only if the loop shuts down.
            for asked in (*batch, *waiting):
                asked.found.cancel()
            waiting.clear()
            del self._workers[loop]

    def _take(self, waiting: list[_Waiting]) -> list[_Waiting]:
        """Remove the next batch: the oldest query and those with the same `top_k`, without who gave up."""
        alive = [asked for asked in waiting if not asked.found.done()]
        batch = [asked for asked in alive if asked.top_k == alive[0].top_k][: self._max_batch]
        taken = {id(asked) for asked in batch}
        waiting[:] = [asked for asked in alive if id(asked) not in taken]
        return batch

    async def _serve(self, batch: list[_Waiting]) -> None:
        try:
            results = await self._lookup.asearch([asked.query for asked in batch], batch[0].top_k)
        except ToolError as error:
            for asked in batch:
                if not asked.found.done():
                    asked.found.set_exception(ToolError(error.kind, error.detail))
        else:
            for asked, found in zip(batch, results, strict=True):
                if not asked.found.done():
                    asked.found.set_result(found)
