"""Tools for asyncio: bounded gathering, and requests of many coroutines joined into batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from ssp_env.objects import foreign_error

Item = TypeVar("Item")
Value = TypeVar("Value")


async def gather(coroutines: Sequence[Coroutine[Any, Any, Value]], concurrency: int) -> list[Value]:
    """Run coroutines, at most `concurrency` at a time; the first failure cancels the others and is raised."""
    slots = asyncio.Semaphore(concurrency)

    async def in_turn(coroutine: Coroutine[Any, Any, Value]) -> Value:
        async with slots:
            return await coroutine

    tasks = [asyncio.ensure_future(in_turn(coroutine)) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for coroutine in coroutines:
            coroutine.close()


class OverloadedError(Exception):
    """More items wait for a batch than are allowed to."""


@dataclass
class _Request(Generic[Item, Value]):
    items: Sequence[Item]
    key: Hashable
    values: asyncio.Future[list[Value]]


@dataclass
class _Queue(Generic[Item, Value]):
    """The requests of one event loop."""

    requests: deque[_Request[Item, Value]] = field(default_factory=deque)
    worker: asyncio.Task[None] | None = None


class Coalescer(Generic[Item, Value]):
    """Joins the requests of many coroutines into batches, per event loop.

    One batch is under way at a time, and the requests that arrive meanwhile make up the next one, so that
    batching delays nobody. A request longer than a batch takes turns with the others. A request that was
    cancelled before its batch started is left out of it. It pickles, without its requests, if `call` does.

    Args:
        call: Coroutine function from a list of items and their common key to one value per item.
        max_batch: Most items in a call.
        max_waiting: Most items waiting at a time; None is no limit.
        split_failures: Whether the requests of a failed batch are called again one by one, so that a
            request fails only by its own fault. If not, all of them fail with the exception of the batch.

    Raises:
        ValueError: If `max_batch` or `max_waiting` is below 1.

    Example:
        >>> async def double(numbers, key):
        ...     print("called with", numbers)
        ...     return [2 * number for number in numbers]
        >>> async def ask_together():
        ...     doubled = Coalescer(double, max_batch=8)
        ...     return await asyncio.gather(doubled.submit([1]), doubled.submit([2, 3]))
        >>> asyncio.run(ask_together())
        called with [1, 2, 3]
        [[2], [4, 6]]
    """

    def __init__(
        self,
        call: Callable[[list[Item], Any], Awaitable[Sequence[Value]]],
        *,
        max_batch: int,
        max_waiting: int | None = None,
        split_failures: bool = False,
    ) -> None:
        if max_batch < 1 or (max_waiting is not None and max_waiting < 1):
            raise ValueError(
                f"max_batch and max_waiting must be at least 1, got {max_batch} and {max_waiting}"
            )
        self._call = call
        self._max_batch, self._max_waiting = max_batch, max_waiting
        self._split_failures = split_failures
        self._waiting = 0
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue[Item, Value]] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[Callable[..., Coalescer[Item, Value]], tuple[Any, ...]]:
        settings: dict[str, Any] = {
            "max_batch": self._max_batch,
            "max_waiting": self._max_waiting,
            "split_failures": self._split_failures,
        }
        return partial(type(self), **settings), (self._call,)

    @property
    def waiting(self) -> int:
        """Number of items that were submitted and have no value yet."""
        return self._waiting

    async def submit(self, items: Sequence[Item], key: Hashable = None) -> list[Value]:
        """Return one value per item, computed together with the items of other requests with the same key.

        Raises:
            OverloadedError: If more than `max_waiting` items would wait.
            Exception: What `call` raises; a `ForeignFault` if that is no exception, a panic for instance.
        """
        if self._max_waiting is not None and self._waiting + len(items) > self._max_waiting:
            raise OverloadedError(
                f"{self._waiting:,} queries wait; {len(items):,} more would exceed {self._max_waiting:,}"
            )
        self._waiting += len(items)
        try:
            values: list[Value] = []
            for start in range(0, len(items), self._max_batch):
                values += await self._enqueue(items[start : start + self._max_batch], key)
            return values
        finally:
            self._waiting -= len(items)

    def _enqueue(self, items: Sequence[Item], key: Hashable) -> asyncio.Future[list[Value]]:
        loop = asyncio.get_running_loop()
        queue = self._queues.setdefault(loop, _Queue())
        request = _Request[Item, Value](items, key, loop.create_future())
        queue.requests.append(request)
        if queue.worker is None or queue.worker.done():
            # A task starts after all that is ready now: the first batch has every request of this tick.
            queue.worker = loop.create_task(self._work(queue))
        return request.values

    async def _work(self, queue: _Queue[Item, Value]) -> None:
        batch: list[_Request[Item, Value]] = []
        try:
            while batch := self._next_batch(queue):
                await self._serve(batch)
        finally:
            # Requests are left here only if the event loop shuts down.
            for request in (*batch, *queue.requests):
                request.values.cancel()
            queue.requests.clear()
            queue.worker = None

    def _next_batch(self, queue: _Queue[Item, Value]) -> list[_Request[Item, Value]]:
        """Remove the oldest request and those that fit into a batch with it; cancelled ones are dropped."""
        batch: list[_Request[Item, Value]] = []
        passed_over: list[_Request[Item, Value]] = []
        size = 0
        while queue.requests and size < self._max_batch:
            request = queue.requests.popleft()
            if request.values.done():
                continue
            fits = size + len(request.items) <= self._max_batch
            if not batch or (fits and request.key == batch[0].key):
                batch.append(request)
                size += len(request.items)
            else:
                passed_over.append(request)
        queue.requests.extendleft(reversed(passed_over))
        return batch

    async def _serve(self, batch: Sequence[_Request[Item, Value]]) -> None:
        try:
            values = iter(await self._values([item for request in batch for item in request.items], batch[0]))
        except BaseException as caught:
            error = foreign_error(caught)
            if self._split_failures and len(batch) > 1:
                for request in batch:
                    if not request.values.done():
                        await self._serve([request])
                return
            for request in batch:
                if not request.values.done():
                    request.values.set_exception(error)
        else:
            for request in batch:
                part = [next(values) for _ in request.items]
                if not request.values.done():
                    request.values.set_result(part)

    async def _values(self, items: list[Item], first: _Request[Item, Value]) -> Sequence[Value]:
        values = await self._call(items, first.key)
        if len(values) != len(items):
            raise RuntimeError(f"expected {len(items)} results of the engine, got {len(values)}")
        return values
