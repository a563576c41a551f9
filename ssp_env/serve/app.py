"""The HTTP application: `/retrieve` as in Search-R1, `/health`, `/metrics` and an OpenAPI page."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI, HTTPException, Request, Response
from starlette.types import ASGIApp

from ssp_env import __version__
from ssp_env.http.concurrency import OverloadedError
from ssp_env.search.engine import SearchEngine
from ssp_env.serve.access import DEFAULT_TOP_K, BearerToken, Limits, is_loopback, with_local_names
from ssp_env.serve.engine_thread import EngineThread
from ssp_env.serve.messages import JSON, MSGPACK, RetrieveRequest, is_msgpack, read_request, write_reply
from ssp_env.serve.metrics import CountRequests, Metrics, status_endpoints

_log = logging.getLogger("ssp_env.serve")
_BODY = {
    "requestBody": {"required": True, "content": {JSON: {"schema": RetrieveRequest.model_json_schema()}}}
}


def build_app(
    engine: SearchEngine, *, limits: Limits | None = None, token: str | None = None, host: str | None = None
) -> ASGIApp:
    """Offer an engine over HTTP.

    Args:
        engine: The engine, which one thread at a time searches. Its length, if it has one, is shown as the
            size of the corpus.
        limits: The largest requests that are accepted. Larger ones are refused with a status of 4xx; the
            status is 503 if too many queries wait.
        token: Bearer token that all requests but those for `/health` must carry; None lets everybody in.
        host: Address at which the server listens; at loopback, requests that name another host are refused.
    """
    metrics = Metrics()
    thread = EngineThread(engine, on_batch=metrics.batch)
    metrics.watch_waiting(lambda: thread.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        thread.close()

    app = FastAPI(title="ssp-env search", version=__version__, lifespan=lifespan)
    _add_retrieve(app, thread, limits or Limits())
    for path, endpoint in status_endpoints(engine, metrics).items():
        app.get(path)(endpoint)
    guarded: ASGIApp = app if token is None else BearerToken(app, token)
    if host is not None and is_loopback(host):
        guarded = with_local_names(guarded, host)
    return CountRequests(guarded, metrics)


def _add_retrieve(app: FastAPI, thread: EngineThread, limits: Limits) -> None:
    @app.post("/retrieve", openapi_extra=_BODY)
    async def retrieve(request: Request) -> Response:
        """Search: `result` holds, per query, documents or, with `return_scores`, documents and scores."""
        body = await _body(request, limits)
        try:
            asked = read_request(body)
            asked.check(limits)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        try:
            found = await thread.search(asked.texts, asked.topk or DEFAULT_TOP_K)
        except OverloadedError as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from error
        except Exception as error:
            _log.exception("the engine failed")
            raise HTTPException(500, f"the engine failed: {type(error).__name__}") from error
        packed = is_msgpack(body)
        return Response(write_reply(asked, found, packed), media_type=MSGPACK if packed else JSON)


async def _body(request: Request, limits: Limits) -> bytes:
    """Read the body as far as the limits allow, whatever its announced length."""
    body = bytearray()
    # The rest of the body is not read: the connection ends with the refusal.
    close = {"Connection": "close"}
    too_large = HTTPException(413, f"expected a body of at most {limits.max_body_bytes:,} bytes", close)
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.max_body_bytes:
        raise too_large
    try:
        with anyio.fail_after(limits.body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_body_bytes:
                    raise too_large
    except TimeoutError as error:
        raise HTTPException(
            408, f"expected the body within {limits.body_seconds:g} seconds", close
        ) from error
    return bytes(body)
