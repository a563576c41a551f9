"""`ssp serve`: offer a search engine over HTTP or MCP, or the game as an OpenEnv environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ssp_env.cli.options import (
    Corpus,
    Heldout,
    IndexDirectory,
    Search,
    WorldIndex,
    WorldName,
    open_engine,
    open_searched,
)
from ssp_env.cli.rules import RulesFile, RuleValues, read_rules
from ssp_env.objects import load_object, missing_extra
from ssp_env.play import as_agent
from ssp_env.search.documents import API_KEY_VARIABLE

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ssp_env.search.engine import SearchEngine
    from ssp_env.serve.access import Limits

_STARTUP_FAILED = 3


class Transport(str, Enum):
    """How MCP clients connect."""

    stdio = "stdio"
    http = "http"


class Played(str, Enum):
    """Who the clients of an OpenEnv server play."""

    solver = "solver"
    proposer = "proposer"
    all = "all"


Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is open to the network.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)]
Token = Annotated[
    str | None,
    typer.Option(help="Bearer token that clients must send.", envvar=API_KEY_VARIABLE, show_default=False),
]
MCP = Annotated[
    Transport | None,
    typer.Option(
        help="Serve MCP instead of Search-R1's protocol: over stdio, or over streamable HTTP at /mcp."
    ),
]
OpenEnv = Annotated[
    bool,
    typer.Option("--openenv", help="Serve the game as an OpenEnv environment instead of the search."),
]
RoleName = Annotated[
    Played | None,
    typer.Option(help="Who the clients of --openenv play: solver (the default), proposer or all seats."),
]
Solver = Annotated[
    str | None,
    typer.Option(help="Who answers a client that is the proposer, as module:object.", show_default=False),
]
Answers = Annotated[
    Path | None, typer.Option(help="Answer file for proposers of --openenv.", show_default=False)
]
Questions = Annotated[
    Path | None, typer.Option(help="Question file for solvers of --openenv.", show_default=False)
]
Sessions = Annotated[
    int | None, typer.Option(help="Most games of --openenv at a time; 64 by default.", min=1)
]
MaxQueries = Annotated[int, typer.Option(help="Most queries in a request.", min=1)]
MaxQueryChars = Annotated[int, typer.Option(help="Most characters in a query.", min=1)]
MaxBodyMiB = Annotated[int, typer.Option(help="Largest request in MiB.", min=1)]
MaxTopK = Annotated[int, typer.Option(help="Most passages per query.", min=1)]
MaxHeldMiB = Annotated[int, typer.Option(help="Most MiB in the bodies of all requests under way.", min=1)]
MaxConnections = Annotated[int, typer.Option(help="Most open connections.", min=1)]
Opens = Annotated[
    bool,
    typer.Option(
        "--open", help="Also offer the parts of pages that searches have listed: /open, or a tool of MCP."
    ),
]
RefuseLongQueries = Annotated[
    bool,
    typer.Option("--refuse-long-queries", help="Refuse requests with a longer query; it is cut if not."),
]


def serve(
    world: WorldName = None,
    world_index: WorldIndex = 0,
    heldout: Heldout = False,
    corpus: Corpus = None,
    index: IndexDirectory = None,
    search: Search = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token: Token = None,
    mcp: MCP = None,
    openenv: OpenEnv = False,
    role: RoleName = None,
    solver: Solver = None,
    answers: Answers = None,
    questions: Questions = None,
    rules: RulesFile = None,
    rule: RuleValues = None,
    sessions: Sessions = None,
    max_queries: MaxQueries = 10_000,
    max_query_chars: MaxQueryChars = 10_000,
    max_body_mib: MaxBodyMiB = 16,
    max_top_k: MaxTopK = 100,
    max_held_mib: MaxHeldMiB = 64,
    max_connections: MaxConnections = 500,
    opens: Opens = False,
    refuse_long_queries: RefuseLongQueries = False,
) -> None:
    """Serve a world, a corpus file or an index over HTTP, as Search-R1's server does, or to MCP clients.

    With `--openenv` the game over it is served, as an OpenEnv environment.
    """
    game: dict[str, Any] = {"role": role and role.value, "solver": solver, "answers": answers}
    game |= {"questions": questions, "rules": rules, "rule": rule, "sessions": sessions}
    check_modes(openenv, mcp, opens, game)
    check_extra("openenv" if openenv else "mcp" if mcp else "serve")
    from ssp_env.serve.access import Limits

    limits = Limits(
        max_queries, max_query_chars, max_body_mib * 2**20, max_top_k, max_held_bytes=max_held_mib * 2**20,
        max_connections=max_connections, refuse_long_queries=refuse_long_queries,
    )  # fmt: skip
    where = (world, world_index, heldout, corpus, index, search)
    if mcp is Transport.stdio:
        from ssp_env.serve.mcp_server import build_mcp_server

        build_mcp_server(open_engine(*where), limits=limits, opens=opens).run("stdio")
        return
    _check_access(host, token)
    access = {"limits": limits, "token": token, "host": host}
    if openenv:
        app = openenv_app(where, game, **access)
    else:
        app = _search_app(open_engine(*where), mcp is not None, opens=opens, **access)
    run_app(app, host, port, limits)


def _check_access(host: str, token: str | None) -> None:
    """Check the token of a server that listens on an address, and warn where anybody may use the server.

    Raises:
        ValueError: If the token cannot be one; the message says where it was given.
    """
    from ssp_env.serve.access import check_token, is_loopback

    # click takes an empty variable for one that is unset, which would let everybody in.
    in_environment = os.environ.get(API_KEY_VARIABLE)
    given = in_environment if token is None else token
    if given is not None:
        check_token(given, API_KEY_VARIABLE if given == in_environment else "--token")
    if token is None and not is_loopback(host):
        Console(stderr=True).print(
            f"Anybody who can reach {host} may use the server; set a token (--token) to prevent that.",
            highlight=False,
        )


def _search_app(engine: SearchEngine, over_mcp: bool, **options: Any) -> ASGIApp:
    """Return the application that offers an engine, over MCP or Search-R1's protocol."""
    if over_mcp:
        from ssp_env.serve.mcp_server import build_mcp_app

        return build_mcp_app(engine, **options)
    from ssp_env.serve.app import build_app

    return build_app(engine, **options)


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


def check_modes(openenv: bool, mcp: Transport | None, opens: bool, game: Mapping[str, Any]) -> None:
    """Refuse options of one kind of server that are given to another.

    Raises:
        ValueError: If there are any.
    """
    if openenv and (mcp or opens):
        raise ValueError(f"--openenv and {'--mcp' if mcp else '--open'} exclude each other")
    given = [f"--{name}" for name, value in game.items() if value]
    if given and not openenv:
        raise ValueError(f"{', '.join(given)} belong to the game: add --openenv")


def openenv_app(where: tuple[Any, ...], game: Mapping[str, Any], **options: Any) -> ASGIApp:
    """Return the application of `ssp serve --openenv`.

    Args:
        where: The arguments of `open_searched` that name what is searched.
        game: Role, solver, answers, questions, rules and number of sessions; None for the usual ones.
        **options: Further arguments of `build_openenv_app`.

    Raises:
        ValueError: If no game can be played with these options.
    """
    from ssp_env.integrations.openenv import DEFAULT_SESSIONS, build_openenv_app

    rules = read_rules(game["rules"], game["rule"])
    asked = {"answers": game["answers"], "questions": game["questions"], "rules": rules}
    player = game["solver"] and load_object(game["solver"], "player", as_agent)
    return build_openenv_app(
        open_searched(*where, **asked),
        role=game["role"] or "solver",
        solver=player,
        sessions=game["sessions"] or DEFAULT_SESSIONS,
        **options,
    )


def check_extra(extra: str) -> None:
    """Raise an error that says how to install an extra, if its libraries are missing."""
    needed = {
        "mcp": ("mcp", "uvicorn", "prometheus_client"),
        "openenv": ("openenv", "websockets"),
        "serve": ("fastapi", "uvicorn", "prometheus_client", "msgpack"),
    }
    for module in needed[extra]:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            raise missing_extra(module, extra) from error
