"""`ssp serve`: offer a search engine to other programs over HTTP or MCP."""

from __future__ import annotations

import os
import sys
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ssp_env.cli.options import Corpus, Heldout, IndexDirectory, Search, WorldIndex, WorldName, open_engine
from ssp_env.objects import missing_extra
from ssp_env.search.documents import API_KEY_VARIABLE

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ssp_env.serve.access import Limits

_STARTUP_FAILED = 3


class Transport(str, Enum):
    """How MCP clients connect."""

    stdio = "stdio"
    http = "http"


def serve(
    world: WorldName = None,
    world_index: WorldIndex = 0,
    heldout: Heldout = False,
    corpus: Corpus = None,
    index: IndexDirectory = None,
    search: Search = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is open to the network.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)
    ] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            help="Bearer token that clients must send.", envvar=API_KEY_VARIABLE, show_default=False
        ),
    ] = None,
    mcp: Annotated[
        Transport | None,
        typer.Option(
            help="Serve MCP instead of Search-R1's protocol: over stdio, or over streamable HTTP at /mcp."
        ),
    ] = None,
    max_queries: Annotated[int, typer.Option(help="Most queries in a request.", min=1)] = 10_000,
    max_query_chars: Annotated[int, typer.Option(help="Most characters in a query.", min=1)] = 10_000,
    max_body_mib: Annotated[int, typer.Option(help="Largest request in MiB.", min=1)] = 16,
    max_top_k: Annotated[int, typer.Option(help="Most passages per query.", min=1)] = 100,
    max_held_mib: Annotated[
        int, typer.Option(help="Most MiB in the bodies of all requests under way.", min=1)
    ] = 64,
    max_connections: Annotated[int, typer.Option(help="Most open connections.", min=1)] = 500,
    opens: Annotated[
        bool,
        typer.Option(
            "--open", help="Also offer the parts of pages that searches have listed: /open, or a tool of MCP."
        ),
    ] = False,
    refuse_long_queries: Annotated[
        bool,
        typer.Option("--refuse-long-queries", help="Refuse requests with a longer query; it is cut if not."),
    ] = False,
) -> None:
    """Serve a world, a corpus file or an index over HTTP, as Search-R1's server does, or to MCP clients."""
    check_extra("mcp" if mcp else "serve")
    from ssp_env.serve.access import Limits, check_token, is_loopback

    # With MCP over stdio, stdout carries the protocol.
    console = Console(stderr=True)
    limits = Limits(
        max_queries,
        max_query_chars,
        max_body_mib * 2**20,
        max_top_k,
        max_held_bytes=max_held_mib * 2**20,
        max_connections=max_connections,
        refuse_long_queries=refuse_long_queries,
    )
    if mcp is not Transport.stdio:
        # click takes an empty variable for one that is unset, which would let everybody in.
        in_environment = os.environ.get(API_KEY_VARIABLE)
        given = in_environment if token is None else token
        if given is not None:
            check_token(given, API_KEY_VARIABLE if given == in_environment else "--token")
    engine = open_engine(world, world_index, heldout, corpus, index, search)
    if token is None and mcp is not Transport.stdio and not is_loopback(host):
        console.print(
            f"Anybody who can reach {host} may search; set a token (--token) to prevent that.",
            highlight=False,
        )
    if mcp is None:
        from ssp_env.serve.app import build_app

        run_app(build_app(engine, limits=limits, token=token, host=host, opens=opens), host, port, limits)
        return
    from ssp_env.serve.mcp_server import build_mcp_app, build_mcp_server

    if mcp is Transport.stdio:
        build_mcp_server(engine, limits=limits, opens=opens).run("stdio")
    else:
        run_app(build_mcp_app(engine, host=host, limits=limits, token=token, opens=opens), host, port, limits)


def run_app(app: ASGIApp, host: str, port: int, limits: Limits | None = None) -> None:
    """Serve until SIGINT or SIGTERM; requests under way then get up to 30 seconds to finish.

    Args:
        app: The application.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        limits: Number of connections, and seconds for the head of a request.

    Raises:
        KeyboardInterrupt: If SIGINT ended the server.
        SystemExit: If the address cannot be used; the status is 3, as in uvicorn.
    """
    from uvicorn import Server

    from ssp_env.serve.connections import server_config

    # uvicorn.run does the same, but treats SIGINT as a normal end.
    server = Server(server_config(app, limits, host=host, port=port))
    server.run()
    if not server.started:
        sys.exit(_STARTUP_FAILED)


def check_extra(extra: str) -> None:
    """Raise what says how to install an extra whose libraries are missing."""
    needed = {
        "mcp": ("mcp", "uvicorn", "prometheus_client"),
        "serve": ("fastapi", "uvicorn", "prometheus_client", "msgpack"),
    }
    for module in needed[extra]:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            raise missing_extra(module, extra) from error
