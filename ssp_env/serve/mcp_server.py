"""The search tool for MCP clients."""

# Annotations are evaluated here: those of the tool hold the limits of one server, which have no global name.
import logging
from functools import partial
from typing import Annotated, Any

from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.types import ASGIApp

from ssp_env import __version__
from ssp_env.game import PROTOCOLS
from ssp_env.game.passage import Passage
from ssp_env.game.protocol.notices import ENGLISH_NOTICES, Notice
from ssp_env.objects import kind_of
from ssp_env.search.adapters import as_store
from ssp_env.search.engine import SearchEngine
from ssp_env.search.tool.calls import ToolError, harmless, harmless_text
from ssp_env.serve.access import DEFAULT_TOP_K, Limits, protected
from ssp_env.serve.engine_thread import EngineThread, ListedPages
from ssp_env.serve.metrics import CountRequests, Metrics, status_endpoints

try:
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError as MCPToolError

    SDK_VERSION = 2
except ImportError:
    from mcp.server.fastmcp import FastMCP as MCPServer  # type: ignore[attr-defined, no-redef]
    from mcp.server.fastmcp.exceptions import ToolError as MCPToolError  # type: ignore[import-not-found, no-redef]

    SDK_VERSION = 1

_log = logging.getLogger("ssp_env.serve")

MCP_PATH = "/mcp"
INSTRUCTIONS = "Search a fixed collection of passages. Every result is a passage with its title, best first."


class SearchResult(BaseModel):
    """A passage that was found."""

    id: str
    title: str
    text: str
    score: float


def build_mcp_server(
    engine: SearchEngine,
    *,
    limits: Limits | None = None,
    thread: EngineThread | None = None,
    opens: bool = False,
) -> MCPServer[Any]:
    """Offer an engine as the MCP tool `search`, and the parts of the pages that it lists as the tool `open`.

    Tags, markup, control and hidden characters in passages are spelled out or removed, as their reader is a
    model.

    Args:
        engine: The engine, which one thread at a time searches.
        limits: Longest query and most results of a call.
        thread: Calls the engine; a new one if None.
        opens: Whether there is the tool `open`.

    Raises:
        ValueError: If pages are to be opened that the engine cannot open.
    """
    listed = ListedPages(partial(harmless_text, protocol=PROTOCOLS["default"]))
    allowed = limits or Limits()
    searching = thread or EngineThread(engine)
    server = _named_server()
    query_field = Field(description="What to search for.", max_length=allowed.max_query_chars)
    top_k_field = Field(description="Most passages to return.", ge=1, le=allowed.max_top_k)

    async def search(
        query: Annotated[str, query_field], top_k: Annotated[int, top_k_field] = DEFAULT_TOP_K
    ) -> list[SearchResult]:
        """Search for passages that answer a query."""
        try:
            [found] = await searching.search([query], top_k)
        except Exception as error:
            _log.exception("the engine failed")
            # The model must not read the message of a failing engine.
            raise MCPToolError(ToolError("engine", kind_of(error)).text) from None
        listed.add(found)
        return [_shown(passage) for passage in found] or _nothing("no_results")

    server.tool()(search)
    if opens:
        as_store(engine, "the server")
        _add_open(server, searching, listed)
    return server


def _add_open(server: MCPServer[Any], thread: EngineThread, listed: ListedPages) -> None:
    page_field = Field(description="The page, as a result of a search names it.", max_length=10_000)
    part_field = Field(description="Which of its parts to show, counted from 1.", ge=1)

    async def open_page(
        page: Annotated[str, page_field], part: Annotated[int | None, part_field] = None
    ) -> list[SearchResult]:
        """Show one part of a page that a search has listed; guide.md#2/9 is part 2 of the page guide.md."""
        wanted = listed.find(page if part is None else f"{page}#{part}")
        try:
            [passage] = [None] if wanted is None else await thread.get_passages([wanted])
        except Exception as error:
            _log.exception("the engine failed")
            raise MCPToolError(ToolError("engine", kind_of(error)).text) from None
        return _nothing("not_listed") if passage is None else [_shown(passage)]

    server.tool(name="open")(open_page)


def _shown(passage: Passage) -> SearchResult:
    hit = harmless(passage, PROTOCOLS["default"])
    return SearchResult(id=hit.id, title=hit.title, text=hit.text, score=hit.score)


def _nothing(notice: Notice) -> list[SearchResult]:
    """An empty list with words, without which it would say nothing to a model."""
    said = TextContent(type="text", text=ENGLISH_NOTICES[notice])
    empty: Any = CallToolResult.model_validate({"content": [said], "structuredContent": {"result": []}})
    return empty  # type: ignore[no-any-return]


def _named_server() -> MCPServer[Any]:
    if SDK_VERSION >= 2:
        return MCPServer("ssp-search", version=__version__, instructions=INSTRUCTIONS)
    server: Any = MCPServer("ssp-search", instructions=INSTRUCTIONS)
    # The first version has no argument for it, and would tell its own.
    server._mcp_server.version = __version__
    return server  # type: ignore[no-any-return]


def build_mcp_app(
    engine: SearchEngine,
    *,
    host: str,
    limits: Limits | None = None,
    token: str | None = None,
    opens: bool = False,
) -> ASGIApp:
    """Return the ASGI application: MCP over streamable HTTP at `/mcp`, `/health` and `/metrics`.

    Args:
        engine: As for `ssp_env.serve.app.build_app`, like `token`.
        host: Address of the server; at loopback, requests that name another host are refused, and those of
            web pages of other machines.
        limits: Longest query and most results of a call, and size of bodies.
        token: Bearer token.
        opens: Whether there is the tool `open`.

    Raises:
        ValueError: If `token` cannot be a token, or pages are to be opened that the engine cannot open.
    """
    metrics, allowed = Metrics(), limits or Limits()
    thread = EngineThread(engine, on_batch=metrics.batch)
    metrics.watch_waiting(lambda: thread.waiting)
    server = build_mcp_server(engine, limits=allowed, thread=thread, opens=opens)
    app = _streamable_http_app(server, host)
    for path, endpoint in status_endpoints(engine, metrics).items():
        app.add_route(path, endpoint)
    return CountRequests(protected(app, allowed, token, host, checks_itself=MCP_PATH), metrics)


def _streamable_http_app(server: Any, host: str) -> Starlette:
    if SDK_VERSION >= 2:
        return server.streamable_http_app(host=host)  # type: ignore[no-any-return]
    # The first version decides by the host given to the constructor, which is loopback.
    if host not in ("127.0.0.1", "localhost", "::1"):
        server.settings.transport_security = None
    return server.streamable_http_app()  # type: ignore[no-any-return]
