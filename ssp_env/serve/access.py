"""Which requests a server accepts: limits, a bearer token, and no requests by foreign web pages."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from ipaddress import ip_address

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
        refuse_long_queries: Whether a request with a longer query is refused as a whole. Otherwise such
            queries are cut and counted, so that one of them does not cost the others of its batch.
    """

    max_queries: int = 10_000
    max_query_chars: int = 10_000
    max_body_bytes: int = 16 * 2**20
    max_top_k: int = 100
    body_seconds: float = 30.0
    refuse_long_queries: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, bool) and value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")


OPEN_PATHS = frozenset({"/health"})


def is_loopback(host: str) -> bool:
    """Return whether only its own machine can reach a server at this address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def with_local_names(app: ASGIApp, host: str) -> ASGIApp:
    """Answer 400 to requests that name another host than this machine.

    Otherwise a web page could search through a browser on this machine by making its host name resolve to
    loopback.
    """
    return TrustedHostMiddleware(app, ["localhost", "127.0.0.1", "[::1]", host], www_redirect=False)


class BearerToken:
    """ASGI middleware that answers 401 to all requests without the token, except for `/health`.

    Args:
        app: The application that it protects.
        token: The token, at least one character.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        if not token:
            raise ValueError("expected a token, got an empty string")
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._allows(scope):
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": "Bearer"}
        refusal = JSONResponse({"detail": "expected the server's bearer token"}, 401, headers)
        await refusal(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        given = Headers(scope=scope).get("authorization", "")
        return hmac.compare_digest(given.encode("latin-1"), self._expected)
