"""The search tool for MCP clients."""

# Annotations are evaluated here: those of the tool hold the limits of one server, which have no global name.
from typing import Annotated, Any

from pydantic import BaseModel, Field
from starlette.types import ASGIApp

from ssp_env.search.engine import SearchEngine
from ssp_env.serve.batching import Batcher
from ssp_env.serve.messages import DEFAULT_TOP_K, Limits

try:
    from mcp.server import MCPServer

    SDK_VERSION = 2
except ImportError:
    from mcp.server.fastmcp import FastMCP as MCPServer  # type: ignore[attr-defined, no-redef]

    SDK_VERSION = 1

INSTRUCTIONS = "Search a fixed collection of passages. Every result is a passage with its title, best first."


class SearchResult(BaseModel):
    """A passage that was found."""

    id: str
    title: str
    text: str
    score: float


def build_mcp_server(engine: SearchEngine, *, limits: Limits | None = None) -> MCPServer[Any]:
    """Offer an engine as the MCP tool `search`.

    Args:
        engine: What is searched, by one thread at a time.
        limits: Longest query and most results that a call may ask for.
    """
    allowed = limits or Limits()
    batcher = Batcher(engine)
    server: MCPServer[Any] = MCPServer("ssp-search", instructions=INSTRUCTIONS)
    query_field = Field(description="What to search for.", max_length=allowed.max_query_chars)
    top_k_field = Field(description="Most passages to return.", ge=1, le=allowed.max_top_k)

    async def search(
        query: Annotated[str, query_field], top_k: Annotated[int, top_k_field] = DEFAULT_TOP_K
    ) -> list[SearchResult]:
        """Search for passages that answer a query."""
        [found] = await batcher.search([query], top_k)
        return [SearchResult(id=hit.id, title=hit.title, text=hit.text, score=hit.score) for hit in found]

    server.tool()(search)
    return server


def streamable_http_app(server: Any, host: str) -> ASGIApp:
    """Return the ASGI application that serves MCP over streamable HTTP at `/mcp`.

    Args:
        server: From `build_mcp_server`.
        host: Address that is listened at; at loopback, requests that name another host are refused.
    """
    if SDK_VERSION >= 2:
        app: ASGIApp = server.streamable_http_app(host=host)
        return app
    # The first version decides by the host given to the constructor, which is loopback.
    if host not in ("127.0.0.1", "localhost", "::1"):
        server.settings.transport_security = None
    app = server.streamable_http_app()
    return app
