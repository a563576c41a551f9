"""Which requests a server accepts: limits, a bearer token, and no requests by foreign web pages."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

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
