"""An event loop of asyncio whose clock jumps: waiting costs nothing, and hours pass in seconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    """Never waits: where nothing is ready, the time until the next timer has passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; jump ahead if that is nothing.

        Raises:
            RuntimeError: If nothing will ever be: everybody waits for somebody else.
        """
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("all tasks wait and no timer runs: the simulation stands still")
        if not ready and timeout is not None:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which `asyncio.sleep` takes no time; threads would, so do not use any.

    >>> run(asyncio.sleep(3600, "an hour later"))
    'an hour later'
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the seconds that have been simulated."""
        return self._jumping.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a virtual clock.

    Raises:
        RuntimeError: If all tasks wait for each other.
    """
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()
