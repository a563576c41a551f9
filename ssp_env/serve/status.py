"""What a server says about itself: `/health` and `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sized

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ssp_env import __version__
from ssp_env.search.engine import SearchEngine
from ssp_env.serve.metrics import CONTENT_TYPE, Metrics

Endpoint = Callable[[Request], Awaitable[Response]]


def status_endpoints(engine: SearchEngine, metrics: Metrics) -> dict[str, Endpoint]:
    """Return the functions that answer, by path.

    Args:
        engine: What is searched. Its length, if it has one, is shown as corpus size.
        metrics: What has been counted.
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
