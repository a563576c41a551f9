"""`ssp export`: write recorded games as training data, or for tools that show them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal, cast

import typer
from rich.console import Console

from ssp_env.cli.options import Recorded, Strict, print_text, read_recorded
from ssp_env.game.view import ROLES, Role, ToolRole
from ssp_env.records import Episode
from ssp_env.records.exchange import write_atif, write_inspect
from ssp_env.records.export import (
    TRAINED_ROLES,
    chat_rows,
    game_rows,
    games_schema,
    trajectories_schema,
    trajectory_rows,
    verl_rows,
    verl_schema,
    write_jsonl,
    write_parquet,
)
from ssp_env.records.replay import retold

Format = Annotated[
    Literal["chat", "parquet", "verl", "inspect", "atif"],
    typer.Option(
        "--to",
        help="chat: JSON Lines with `messages`, one row per conversation. parquet: a folder with "
        "games.parquet and trajectories.parquet. verl: Parquet of valid questions in verl's columns. "
        "inspect: a log for `inspect view`. atif: a folder with an ATIF trajectory per game.",
        show_default=False,
    ),
]
Out = Annotated[
    Path, typer.Option(help="New file, or new folder for `parquet` and `atif`.", show_default=False)
]
RoleNames = Annotated[
    list[str] | None,
    typer.Option(
        help=f"Role whose conversations are written: {', '.join(ROLES)}; may be repeated. Default: "
        f"{' and '.join(TRAINED_ROLES)}; all of them for atif.",
        show_default=False,
    ),
]
ResultRole = Annotated[
    Literal["tool", "user"],
    typer.Option(help="Role of search results; `user` for chat templates that know no `tool`."),
]
DataSource = Annotated[str, typer.Option(help="Name of the data source in verl rows.")]


def export(
    file: Recorded,
    to: Format,
    out: Out,
    role: RoleNames = None,
    tool_role: ResultRole = "tool",
    data_source: DataSource = "ssp_env",
    strict: Strict = False,
) -> None:
    """Write recorded games as training data; conversations of games that ended as `error` are left out."""
    roles = cast(list[Role], role or list(TRAINED_ROLES))
    if unknown := set(roles) - set(ROLES):
        raise ValueError(f"--role must be one of {', '.join(ROLES)}, got {', '.join(sorted(unknown))}")
    console = Console()
    if to in ("inspect", "atif"):
        said = _exchange(file, to, out, roles if role else None, tool_role, strict)
        print_text(console, f"{said} written to {out}")
        return
    if to == "chat":
        count = write_jsonl(chat_rows(_episodes(file, strict), roles, tool_role), out)
        print_text(console, f"{count} conversations written to {out}")
        return
    if to == "verl":
        count = write_parquet(verl_rows(_episodes(file, strict), data_source), out, verl_schema())
        print_text(console, f"{count} questions written to {out}")
        return
    games, trajectories = games_schema(), trajectories_schema()
    out.mkdir(parents=True, exist_ok=True)
    counts = (
        write_parquet(game_rows(_episodes(file, strict)), out / "games.parquet", games),
        write_parquet(
            trajectory_rows(_episodes(file, strict, quiet=True), roles, tool_role),
            out / "trajectories.parquet",
            trajectories,
        ),
    )
    print_text(console, f"{counts[0]} games and {counts[1]} conversations written to {out}")


def _exchange(
    file: Path, to: str, out: Path, roles: list[Role] | None, tool_role: ToolRole, strict: bool
) -> str:
    """Write games for other tools, and say what was written."""
    episodes = _episodes(file, strict)
    if to == "atif":
        return f"{write_atif(episodes, out, roles or ROLES)} games"
    created = datetime.fromtimestamp(file.stat().st_mtime, timezone.utc)
    chosen = roles or TRAINED_ROLES
    count = write_inspect(episodes, out, created=created, roles=chosen, tool_role=tool_role)
    return f"{count} samples"


def _episodes(file: Path, strict: bool, quiet: bool = False) -> Iterator[Episode]:
    """Stream recorded games that replay."""
    for _, episode, _ in read_recorded(file, retold, strict=strict, quiet=quiet):
        yield episode
