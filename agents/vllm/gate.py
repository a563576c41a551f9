"""Turns pass together, an update of the weights passes alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class UpdateGate:
    """Keeps requests and updates of the weights apart; used on one event loop.

    A request that is under way when an update begins ends on the old weights, one that comes meanwhile waits
    and begins on the new ones: what was sampled has one version, which is known when the request is sent.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._inside = 0
        self._updating = False

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Hold while a request is under way."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._updating)
            self._inside += 1
        try:
            yield
        finally:
            # No await between here and the notification may be cancelled away.
            self._inside -= 1
            if not self._inside:
                await asyncio.shield(asyncio.ensure_future(self._tell()))

    @asynccontextmanager
    async def update(self) -> AsyncIterator[None]:
        """Wait for the requests under way, then hold while the weights change."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._updating)
            self._updating = True
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._inside)
            yield
        finally:
            self._updating = False
            await asyncio.shield(asyncio.ensure_future(self._tell()))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
