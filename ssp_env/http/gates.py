"""How many requests may be under way, and how many sent per second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ssp_env.http.retries import RetryPolicy

_MOST_GATES = 4096


@dataclass(frozen=True, kw_only=True)
class Limits(RetryPolicy):
    """How hard a service may be used, besides how often a request is tried.

    Attributes:
        requests_per_second: Most requests sent per second; no limit when None.
        concurrency: Most requests under way at a time.
        max_bytes: Longest reply read.
    """

    requests_per_second: float | None = None
    concurrency: int = 8
    max_bytes: int = 4_000_000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("concurrency", "max_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.requests_per_second is not None and not self.requests_per_second > 0:
            raise ValueError(f"requests_per_second must be above 0, got {self.requests_per_second}")


class Gate:
    """Lets requests pass at the allowed rate and concurrency; used on one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._inside = 0
        self._next = 0.0

    @asynccontextmanager
    async def passed(self, deadline: float) -> AsyncIterator[None]:
        """Hold a slot from the next moment at which a request may be sent.

        Raises:
            TimeoutError: If that is after `deadline`, on the clock of the loop, before it is waited for.
        """
        clock = asyncio.get_running_loop().time
        self._inside += 1
        try:
            async with self._slots:
                moment = max(self._next, clock())
                if moment > deadline:
                    raise TimeoutError("the allowed rate of requests leaves no time for this one")
                if self._limits.requests_per_second is not None:
                    self._next = moment + 1 / self._limits.requests_per_second
                await asyncio.sleep(max(0.0, moment - clock()))
                yield
        finally:
            self._inside -= 1

    def is_idle(self) -> bool:
        """Whether nobody is inside or has to wait for the next moment."""
        return not self._inside and self._next <= asyncio.get_running_loop().time()


class Gates:
    """A gate per host."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._gates: dict[str, Gate] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def of(self, host: str) -> Gate:
        """Return the gate of a host, for the running loop."""
        if self._loop is not asyncio.get_running_loop():  # a forked process has another
            self._loop, self._gates = asyncio.get_running_loop(), {}
        if len(self._gates) >= _MOST_GATES:
            self._gates = {name: gate for name, gate in self._gates.items() if not gate.is_idle()}
        return self._gates.setdefault(host, Gate(self._limits))
