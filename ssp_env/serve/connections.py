"""Connections of a server: their number, slow heads, slow readers, and clients that close their side."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ssp_env.serve.access import Limits

_GRACE_SECONDS = 30


def server_config(app: ASGIApp, limits: Limits | None = None, **options: Any) -> uvicorn.Config:
    """Return the configuration of a server whose connections are limited.

    Args:
        app: The application.
        limits: Number of connections, and seconds for a head and for a reader.
        **options: Further options of uvicorn: `host`, `port`, `log_level`, ...
    """
    allowed = limits or Limits()

    class Connection(LimitedConnection):
        limits = allowed

    settings: dict[str, Any] = {
        "http": Connection,
        "access_log": False,
        "timeout_graceful_shutdown": _GRACE_SECONDS,
        # uvicorn answers 503 from the connection on that reaches this number.
        "limit_concurrency": allowed.max_connections + 1,
    }
    return uvicorn.Config(app, **{**settings, **options})


class LimitedConnection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """A connection of uvicorn with the limits that uvicorn does not have.

    A client that has sent its request and then closed its side gets the answer.
    """

    limits = Limits()

    def connection_made(self, transport: Any) -> None:
        """Take a connection; one too many even for a refusal is cut at once."""
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._is_half_closed = False
        super().connection_made(transport)
        if len(self.connections) > 3 * self.limits.max_connections // 2:
            transport.abort()
            return
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request; its head must be complete in time."""
        super().data_received(data)
        if self._is_busy() or self.transport.get_protocol() is not self:
            # Where another protocol has taken over, a WebSocket has begun.
            self._stop_head_timer()
        elif self._head_timer is None and not self.transport.is_closing():
            self._time_head()

    def eof_received(self) -> bool:
        """Keep the connection for the answer to a request that has arrived as a whole."""
        waits = self._is_busy() and not self.cycle.more_body and not self.cycle.response_started
        self._is_half_closed = bool(waits)
        return self._is_half_closed

    def on_response_complete(self) -> None:
        """Go on to the next request, or close where none can come."""
        super().on_response_complete()
        if self._is_half_closed and not self._is_busy():
            self.transport.close()

    def pause_writing(self) -> None:
        """Wait for the client to read, but not for ever."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _time_head(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.head_seconds, self.transport.close)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_timers(self) -> None:
        self._stop_head_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
