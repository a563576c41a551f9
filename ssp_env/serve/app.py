"""The HTTP application: `/retrieve` as in Search-R1, `/health`, `/metrics` and an OpenAPI page."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import Annotated, Any

import msgpack
from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, Field, ValidationError, model_validator
from starlette.types import ASGIApp

from ssp_env import __version__
from ssp_env.game.passage import Passage
from ssp_env.http.concurrency import OverloadedError
from ssp_env.objects import kind_of
from ssp_env.search.adapters import as_store
from ssp_env.search.documents import to_document
from ssp_env.search.engine import SearchEngine
from ssp_env.serve.access import DEFAULT_TOP_K, Limits, protected
from ssp_env.serve.engine_thread import EngineThread, ListedPages
from ssp_env.serve.metrics import CountRequests, Metrics, status_endpoints

_log = logging.getLogger("ssp_env.serve")
JSON, MSGPACK = "application/json", "application/msgpack"


class RetrieveRequest(BaseModel):
    """A search: `queries` as in Search-R1 or one `query` as in SkyRL-Gym; other keys are ignored.

    Clients of rLLM and ZeroSearch say `top_k` or `k` for `topk`; of several, the first in this order counts:
    `topk`, `top_k`, `k`. They expect scores unless they say otherwise, and the one ranking of a `query` as
    `results`.
    """

    queries: list[str] | None = None
    query: str | None = None
    topk: Annotated[int, Field(ge=1)] | None = Field(None, description=f"Default: {DEFAULT_TOP_K}.")
    top_k: Annotated[int, Field(ge=1)] | None = Field(None, description="The same, as rLLM calls it.")
    k: Annotated[int, Field(ge=1)] | None = Field(None, description="The same.")
    return_scores: bool | None = Field(None, description="Default: only with `top_k` or `k`.")

    @model_validator(mode="after")
    def _one_kind_of_query(self) -> RetrieveRequest:
        if (self.queries is None) == (self.query is None):
            raise ValueError('expected either the list "queries" or the string "query"')
        return self

    @property
    def texts(self) -> list[str]:
        """The queries, however they were sent."""
        return self.queries if self.query is None else [self.query]  # type: ignore[return-value]

    @property
    def is_of_rllm(self) -> bool:
        """Whether the request is one of rLLM's clients or of those that speak like them."""
        return self.topk is None and (self.top_k or self.k) is not None

    @property
    def passages(self) -> int:
        """How many passages are asked for per query."""
        return self.topk or self.top_k or self.k or DEFAULT_TOP_K

    @property
    def scored(self) -> bool:
        """Whether scores are asked for."""
        return self.is_of_rllm if self.return_scores is None else self.return_scores

    def check(self, limits: Limits) -> None:
        """Refuse a request that exceeds a limit.

        Raises:
            ValueError: If it does; the message says which limit, and what it is.
        """
        top_k = self.passages
        if len(self.texts) > limits.max_queries:
            raise ValueError(f"expected at most {limits.max_queries:,} queries, got {len(self.texts):,}")
        if top_k > limits.max_top_k:
            raise ValueError(f"expected topk to be at most {limits.max_top_k}, got {top_k}")
        longest = max(map(len, self.texts), default=0)
        if limits.refuse_long_queries and longest > limits.max_query_chars:
            raise ValueError(
                f"expected queries of at most {limits.max_query_chars:,} characters, got {longest:,}"
            )


class OpenRequest(BaseModel):
    """Passages to open, by their ids, of pages that searches of this server have listed."""

    ids: list[str]


def is_msgpack(body: bytes) -> bool:
    """Whether a body is msgpack, whose maps begin with a byte that JSON never begins with."""
    return bool(body) and (0x80 <= body[0] <= 0x8F or body[0] in (0xDE, 0xDF))


def read_request(body: bytes) -> RetrieveRequest:
    """Decode and check a request in JSON or msgpack.

    Raises:
        ValueError: If it is neither, or is not a search; the message does not repeat long input.
    """
    try:
        if is_msgpack(body):
            return RetrieveRequest.model_validate(msgpack.unpackb(body))
        return RetrieveRequest.model_validate_json(body)
    except ValidationError as error:
        raise ValueError(_problems(error)) from None
    except (ValueError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise ValueError(f"body: expected a msgpack map ({type(error).__name__})") from None


def _problems(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False, include_context=False)[:3]
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}" for problem in problems
    )


def write_reply(request: RetrieveRequest, rankings: Sequence[Sequence[Passage]], packed: bool) -> bytes:
    """Encode a reply; `result` is flat for a msgpack `query`, as GEM reads it, and else nested.

    A `query` as rLLM sends it gets the ranking as `results` beside it.
    """
    result: list[Any] = [[_item(passage, request.scored) for passage in hits] for hits in rankings]
    if not packed:
        reply: dict[str, Any] = {"result": result}
        if request.is_of_rllm and request.query is not None:
            reply = {"query": request.query, "results": result[0], "num_results": len(result[0]), **reply}
        return json.dumps(reply, separators=(",", ":")).encode()
    flat = request.query is not None
    encoded: bytes = msgpack.packb({"result": result[0] if flat else result}, unicode_errors="replace")
    return encoded


def _item(passage: Passage, scored: bool) -> dict[str, Any]:
    document = to_document(passage)
    return {"document": document, "score": passage.score} if scored else document


_BODY = {
    "requestBody": {"required": True, "content": {JSON: {"schema": RetrieveRequest.model_json_schema()}}}
}

_OPEN_BODY = {
    "requestBody": {"required": True, "content": {JSON: {"schema": OpenRequest.model_json_schema()}}}
}


def build_app(
    engine: SearchEngine,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    host: str | None = None,
    opens: bool = False,
) -> ASGIApp:
    """Offer an engine over HTTP.

    Args:
        engine: The engine, which one thread at a time searches. Its length, if it has one, is shown as the
            size of the corpus.
        limits: The largest requests that are accepted. Larger ones are refused with a status of 4xx, but for
            queries that are too long, which are cut; the status is 503 if too many queries wait.
        token: Bearer token that all requests but those for `/health` must carry; None lets everybody in.
        host: Address at which the server listens; at loopback, requests that name another host are refused,
            and those of web pages of other machines.
        opens: Whether `/open` gives out passages by their ids, of pages that a search has listed.

    Raises:
        ValueError: If `token` cannot be a token, or pages are to be opened that the engine cannot open.
    """
    metrics, allowed = Metrics(), limits or Limits()
    thread = EngineThread(engine, on_batch=metrics.batch)
    metrics.watch_waiting(lambda: thread.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        thread.close()

    app = FastAPI(title="ssp-env search", version=__version__, lifespan=lifespan)
    listed = None
    if opens:
        as_store(engine, "the server")
        listed = ListedPages()
        _add_open(app, thread, allowed, listed)
    _add_retrieve(app, thread, allowed, metrics, listed)
    for path, endpoint in status_endpoints(engine, metrics).items():
        app.get(path)(endpoint)
    return CountRequests(protected(app, allowed, token, host), metrics)


def _add_open(app: FastAPI, thread: EngineThread, limits: Limits, listed: ListedPages) -> None:
    @app.post("/open", openapi_extra=_OPEN_BODY)
    async def open_pages(request: Request) -> Response:
        """Open: `result` holds, per id, a document, or null if no search has listed its page."""
        body = await request.body()
        try:
            ids = OpenRequest.model_validate_json(body).ids
            if len(ids) > limits.max_queries:
                raise ValueError(f"expected at most {limits.max_queries:,} ids, got {len(ids):,}")
        except ValidationError as error:
            raise HTTPException(422, _problems(error)) from None
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        found = {identifier: listed.find(identifier) for identifier in ids}
        wanted = [identifier for identifier in found.values() if identifier is not None]
        try:
            passages = dict(zip(wanted, await thread.get_passages(wanted), strict=True))
        except Exception as error:
            _log.exception("the engine failed")
            raise HTTPException(500, f"the engine failed: {kind_of(error)}") from error
        opened = [passages.get(found[identifier] or "") for identifier in ids]
        result = [None if passage is None else to_document(passage) for passage in opened]
        return Response(json.dumps({"result": result}, separators=(",", ":")), media_type=JSON)


def _add_retrieve(
    app: FastAPI, thread: EngineThread, limits: Limits, metrics: Metrics, listed: ListedPages | None
) -> None:
    @app.post("/retrieve", openapi_extra=_BODY)
    async def retrieve(request: Request) -> Response:
        """Search: `result` holds, per query, documents or, with `return_scores`, documents and scores."""
        body = await request.body()
        try:
            asked = read_request(body)
            asked.check(limits)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        try:
            found = await thread.search(_cut(asked.texts, limits.max_query_chars, metrics), asked.passages)
        except OverloadedError as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from error
        except Exception as error:
            _log.exception("the engine failed")
            raise HTTPException(500, f"the engine failed: {kind_of(error)}") from error
        if listed is not None:
            listed.add(chain.from_iterable(found))
        packed = is_msgpack(body)
        return Response(write_reply(asked, found, packed), media_type=MSGPACK if packed else JSON)


def _cut(queries: list[str], longest: int, metrics: Metrics) -> list[str]:
    """Cut queries that are too long, and count them."""
    if cut := sum(len(query) > longest for query in queries):
        metrics.cut(cut)
    return [query[:longest] for query in queries]
