"""The search of a server: concurrent requests share calls off the event loop; listed pages are remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cachetools import LRUCache

from ssp_env.game.passage import PartId, Passage, checked_passage, listed_part
from ssp_env.http.concurrency import Coalescer
from ssp_env.objects import faults
from ssp_env.search.engine import SearchEngine

_MOST_LISTED = 100_000


class EngineThread:
    """Calls an engine in a single thread, so that engines need not be thread-safe.

    Requests that arrive during a call share the next one. A batch that fails is searched again request by
    request, so that only the requests fail that the engine cannot serve.

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
        on_batch: Callable[[int], object] = lambda queries: None,
    ) -> None:
        self._engine = engine
        self._on_batch = on_batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._requests = Coalescer(
            self._call, max_batch=max_batch, max_waiting=max_waiting, split_failures=True
        )

    @property
    def waiting(self) -> int:
        """Number of queries that have no result yet."""
        return self._requests.waiting

    async def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the passages for every query.

        Raises:
            OverloadedError: If too many queries wait already.
            Exception: What the engine raises; a `ForeignFault` if that is no exception, a panic for instance.
        """
        return await self._requests.submit(queries, top_k)

    async def get_passages(self, ids: Sequence[str]) -> list[Passage | None]:
        """Return the passage of each id, None where there is none.

        Raises:
            Exception: What the engine raises, as `search` does.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._get, list(ids))

    def close(self) -> None:
        """End the thread after the call that is under way."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _call(self, queries: list[str], top_k: int) -> list[list[Passage]]:
        self._on_batch(len(queries))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._search, queries, top_k)

    def _get(self, ids: list[str]) -> list[Passage | None]:
        store: Any = self._engine
        with faults():
            return [passage and checked_passage(passage) for passage in store.get_passages(ids)]

    def _search(self, queries: list[str], top_k: int) -> list[list[Passage]]:
        # A panic, a cancellation or a StopIteration would be lost on its way to the event loop.
        with faults():
            return [
                [checked_passage(passage) for passage in hits] for hits in self._engine.search(queries, top_k)
            ]


class ListedPages:
    """Remembers the pages that were listed last, 100,000 of them, by their ids as clients were shown them.

    Args:
        shown: How an id is written for clients.
    """

    def __init__(self, shown: Callable[[str], str] = str) -> None:
        self._shown = shown
        self._pages: LRUCache[str, PartId] = LRUCache(_MOST_LISTED)

    def add(self, passages: Iterable[Passage]) -> None:
        """Remember the pages of passages that a search has found."""
        for passage in passages:
            part = PartId.parse(passage.id)
            self._pages[self._shown(part.page)] = part

    def find(self, reference: str) -> str | None:
        """Return the id of the passage that a client means, None if no search has listed its page."""
        part = listed_part(reference, self._pages)
        return None if part is None else str(part)
