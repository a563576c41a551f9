"""Which requests a server accepts: limits on bodies, a bearer token, and no requests by foreign web pages."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DEFAULT_TOP_K = 3


@dataclass(frozen=True)
class Limits:
    """The largest requests that a server accepts.

    Attributes:
        max_queries: Most queries in a request.
        max_query_chars: Most characters in a query.
        max_body_bytes: Most bytes in the body of a request.
        max_top_k: Most passages per query.
        body_seconds: Longest time in which the body of a request arrives.
        max_held_bytes: Most bytes in the bodies of all requests under way together, the first 64 KiB of each
            left out; `max_body_bytes` if that is more.
        max_connections: Most open connections; requests on further ones get status 503.
        head_seconds: Longest time in which the head of a request arrives, from the connection on.
        write_seconds: Longest time in which a client that reads takes nothing of a reply.
        refuse_long_queries: Whether a request with a longer query is refused as a whole. Otherwise such
            queries are cut and counted, so that one of them does not cost the others of its batch.

    Raises:
        ValueError: If a number is not above 0.
    """

    max_queries: int = 10_000
    max_query_chars: int = 10_000
    max_body_bytes: int = 16 * 2**20
    max_top_k: int = 100
    body_seconds: float = 30.0
    max_held_bytes: int = 64 * 2**20
    max_connections: int = 500
    head_seconds: float = 10.0
    write_seconds: float = 60.0
    refuse_long_queries: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, bool) and value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")


OPEN_PATHS = frozenset({"/health"})
_ASKED = ("http", "websocket")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SENT_WITHOUT_ASKING = frozenset({"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
_ALWAYS_READ = 1 << 16
"""Bytes of a body that are read however much others hold, so that large bodies do not shut out small ones."""


def is_loopback(host: str) -> bool:
    """Return whether only its own machine can reach a server at this address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class LocalPagesOnly:
    """ASGI middleware that keeps web pages of other machines from a server at loopback.

    A page can send requests through a browser on this machine. The status is 403 if the header `Origin` names
    a page of another machine, 415 if `Content-Type` is one of those that a page may send without asking
    whether it may, and 400 if `Host` names another machine, as it does when a page has made its own name
    resolve to loopback.

    Args:
        app: The application that it protects.
        host: Address of the server.
        checks_itself: Path at which the application makes these checks itself.
    """

    def __init__(self, app: ASGIApp, host: str, checks_itself: str | None = None) -> None:
        self._unchecked, self._checks_itself = app, checks_itself
        self._names = {*_LOCAL_NAMES, host}
        self._app = TrustedHostMiddleware(app, [*_LOCAL_NAMES, host], www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in _ASKED or scope["path"] == self._checks_itself:
            await self._unchecked(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "origin" in headers and not self._is_local(headers["origin"]):
            refusal = JSONResponse({"detail": "expected no request of a page of another machine"}, 403)
            await refusal(scope, receive, send)
        elif (kind := _media_type(headers)) in _SENT_WITHOUT_ASKING:
            detail = f"expected Content-Type: application/json or application/msgpack, got {kind}"
            await JSONResponse({"detail": detail}, 415)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_local(self, origin: str) -> bool:
        try:
            name = urlsplit(origin).hostname or ""
        except ValueError:
            return False
        return name in self._names or f"[{name}]" in self._names


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


class BearerToken:
    """ASGI middleware that answers 401 to all requests and WebSockets without the token, except `/health`.

    Args:
        app: The application that it protects.
        token: The token.

    Raises:
        ValueError: If the token is empty or no header can carry it.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        check_token(token)
        self._app = app
        self._expected = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in _ASKED or scope["path"] in OPEN_PATHS or self._allows(scope):
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": "Bearer"}
        refusal = JSONResponse({"detail": "expected the server's bearer token"}, 401, headers)
        await refusal(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        # The name of a scheme is case-insensitive (RFC 9110, 11.1).
        is_right = hmac.compare_digest(given.strip().encode("latin-1"), self._expected)
        return is_right and scheme.lower() == "bearer"


def check_token(token: str, what: str = "the token") -> None:
    """Refuse what cannot be a token; the message does not repeat it.

    Raises:
        ValueError: If it is empty, or not of printable ASCII characters without spaces.

    >>> check_token("", "SSP_SEARCH_API_KEY")
    Traceback (most recent call last):
    ValueError: expected SSP_SEARCH_API_KEY to hold a token, got an empty one: unset it to let everybody in
    """
    if not token.strip():
        raise ValueError(f"expected {what} to hold a token, got an empty one: unset it to let everybody in")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise ValueError(f"expected {what} to be printable ASCII without spaces")


# -- bodies: read whole before the application sees them ---------------------------------------------------


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


# -- all of it ---------------------------------------------------------------------------------------------


def protected(
    app: ASGIApp, limits: Limits, token: str | None, host: str | None, checks_itself: str | None = None
) -> ASGIApp:
    """Return an application behind all of these checks; who may not ask has no body read.

    Args:
        app: The application.
        limits: Size, time and sum of bodies.
        token: Bearer token; None lets everybody in.
        host: Address of the server; at loopback, web pages of other machines are kept out.
        checks_itself: As for `LocalPagesOnly`.

    Raises:
        ValueError: If `token` cannot be a token.
    """
    app = LimitBodies(app, limits)
    if token is not None:
        app = BearerToken(app, token)
    return app if host is None or not is_loopback(host) else LocalPagesOnly(app, host, checks_itself)
