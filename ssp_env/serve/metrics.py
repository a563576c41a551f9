"""The state of a server: `/health`, and `/metrics` in the text format of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sized

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssp_env import __version__
from ssp_env.search.engine import SearchEngine

CONTENT_TYPE = CONTENT_TYPE_LATEST
_PATHS = frozenset({"/retrieve", "/open", "/mcp", "/health", "/metrics"})
_BATCHES = tuple(2**power for power in range(13))


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "ssp_requests", "Requests answered.", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "ssp_request_seconds", "Seconds until a request was answered.", ["path"], registry=self._registry
        )
        self._batches = Histogram(
            "ssp_engine_batch_queries",
            "Queries per call of the engine.",
            buckets=_BATCHES,
            registry=self._registry,
        )
        self._cut_queries = Counter(
            "ssp_cut_queries", "Queries that were cut to the greatest length.", registry=self._registry
        )

    def watch_waiting(self, waiting: Callable[[], int]) -> None:
        """Report the number of queries that have no result yet."""
        gauge = Gauge("ssp_waiting_queries", "Queries asked and not answered yet.", registry=self._registry)
        gauge.set_function(waiting)

    def batch(self, queries: int) -> None:
        """Count a call of the engine."""
        self._batches.observe(queries)

    def cut(self, queries: int) -> None:
        """Count queries that were cut."""
        self._cut_queries.inc(queries)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request; paths that the server does not have are counted together."""
        path = path if path in _PATHS else "other"
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return the page that Prometheus reads."""
        return generate_latest(self._registry)


class CountRequests:
    """ASGI middleware that counts requests by path and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count its status; 500 if there was no reply."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._metrics.request(scope["path"], status, time.perf_counter() - started)


Endpoint = Callable[[Request], Awaitable[Response]]


def status_endpoints(engine: SearchEngine, metrics: Metrics) -> dict[str, Endpoint]:
    """Return the handlers of `/health` and `/metrics`, by path.

    Args:
        engine: The engine. Its length, if it has one, is shown as corpus size.
        metrics: The counters.
    """
    shown = {
        "status": "ok",
        "fingerprint": engine.fingerprint(),
        "passages": len(engine) if isinstance(engine, Sized) else None,
        "version": __version__,
    }

    async def health(request: Request) -> Response:
        """Say that the server runs and what it searches."""
        return JSONResponse(shown)

    async def show_metrics(request: Request) -> Response:
        """Count requests, queries and batches, for Prometheus."""
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return {"/health": health, "/metrics": show_metrics}
