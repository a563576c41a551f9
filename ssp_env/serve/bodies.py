"""Bodies of requests: read whole before the application sees them, with limits on size, time and sum."""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssp_env.serve.access import Limits

_ALWAYS_READ = 1 << 16
"""Bytes of a body that are read however much others hold, so that large bodies do not shut out small ones."""


class Refusal(Exception):
    """A body that is not read to its end.

    Attributes:
        status: Status of the reply.
        detail: What was expected.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class LimitBodies:
    """ASGI middleware that reads the body of every request, and refuses those that exceed a limit.

    The status is 413 if a body is too large, 408 if it does not arrive in time, and 503 if the bodies of all
    requests that are not answered yet would be too much together. The connection ends with a refusal.

    Args:
        app: The application.
        limits: The limits.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body and pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        try:
            first = await self._read(Headers(scope=scope), receive, body)
            await self._app(scope, _replayed(first, receive), send)
        except Refusal as refusal:
            headers = {"Connection": "close"} | ({"Retry-After": "1"} if refusal.status == 503 else {})
            reply = JSONResponse({"detail": refusal.detail}, refusal.status, headers)
            await reply(scope, receive, send)
        finally:
            self._held -= max(0, len(body) - _ALWAYS_READ)

    async def _read(self, headers: Headers, receive: Receive, body: bytearray) -> Message:
        """Read into `body`, as far as the limits allow, whatever length is announced."""
        largest = self._limits.max_body_bytes
        too_large = Refusal(413, f"expected a body of at most {largest:,} bytes")
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > largest:
            raise too_large
        try:
            with anyio.fail_after(self._limits.body_seconds):
                while (message := await receive())["type"] == "http.request":
                    self._take(message.get("body", b""), body)
                    if len(body) > largest:
                        raise too_large
                    if not message.get("more_body", False):
                        return {"type": "http.request", "body": bytes(body), "more_body": False}
        except TimeoutError:
            raise Refusal(408, f"expected the body within {self._limits.body_seconds:g} seconds") from None
        return message

    def _take(self, chunk: bytes, body: bytearray) -> None:
        """Count a chunk and add it, so that what is counted is given back by the length of the body."""
        more = max(0, len(body) + len(chunk) - _ALWAYS_READ) - max(0, len(body) - _ALWAYS_READ)
        most = max(self._limits.max_held_bytes, self._limits.max_body_bytes)
        if more and self._held + more > most:
            raise Refusal(503, f"the bodies of requests under way would exceed {most:,} bytes")
        self._held += more
        body += chunk


def _replayed(first: Message, receive: Receive) -> Receive:
    """Give the message that was read, and then what comes."""
    waiting = [first]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
