"""The rules of a game on the command line: a TOML file, and single rules that override it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ssp_env.objects import add_current_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RulesFile = Annotated[
    Path | None,
    typer.Option(
        "--rules",
        help="TOML file of rules: fields of GameConfig, fields of Budget for all seats, and tables "
        "[proposer] and [solver] with fields of Budget for one role.",
    ),
]
RuleValues = Annotated[
    list[str] | None,
    typer.Option(
        "--rule",
        metavar="NAME=VALUE",
        help="One rule, which overrides --rules; for instance min_searches=3, solver.max_turns=8 or "
        "reward='4p(1-p)'. May be repeated.",
    ),
]


Attempts = Annotated[int | None, typer.Option(help="Solver attempts per question.", min=1)]
TopK = Annotated[int | None, typer.Option(help="Passages per search.", min=1)]
MaxTurns = Annotated[int | None, typer.Option(help="Turns of each player in a game.", min=1)]
RAGCheck = Annotated[
    bool | None,
    typer.Option("--rag-check/--no-rag-check", help="Whether questions must pass the RAG check."),
]


def read_rules(file: Path | None, assignments: Sequence[str] | None, **options: Any) -> dict[str, Any]:
    """Return the rules that a command was given; names and values are checked where they are applied.

    Args:
        file: TOML file.
        assignments: Texts such as `min_searches=3`, which override the file.
        options: Rules that have an option of their own, which override both; None if it was not given.

    Raises:
        ValueError: If the file cannot be read or is not valid TOML, or an assignment has another form.

    >>> read_rules(None, ["solver.max_turns=8", "reward=4p(1-p)"], top_k=2, attempts=None)
    {'solver': {'max_turns': 8}, 'reward': '4p(1-p)', 'top_k': 2}
    """
    rules: dict[str, Any] = {} if file is None else _read(file)
    read_assignments("--rule", assignments, rules, "min_searches=3")
    rules |= {name: value for name, value in options.items() if value is not None}
    if ":" in str(rules.get("reward", "")):
        add_current_folder()
    return rules


def read_assignments(
    option: str, assignments: Sequence[str] | None, into: dict[str, Any], example: str
) -> dict[str, Any]:
    """Add values such as `solver.max_turns=8` to nested mappings, in place, and return them.

    Args:
        option: The option that the texts were given with, for errors.
        assignments: Texts of the form NAME=VALUE; dots in the name lead into nested mappings.
        into: The mappings.
        example: A right text, for errors.

    Raises:
        ValueError: If a text has another form, or leads into something that is no mapping.
    """
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"{option} expects NAME=VALUE, such as {example}, got {assignment!r}")
        *tables, last = name.strip().split(".")
        target = into
        for table in tables:
            inner = target.setdefault(table, {})
            if not isinstance(inner, dict):
                raise ValueError(f"{option} {assignment!r}: expected a table under {table}, got {inner!r}")
            target = inner
        target[last] = _value(value.strip())
    return into


def given_on_command_line(context: typer.Context, parameter: str) -> bool:
    """Return whether the option of a parameter was given, so that its value is not the default."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name != "DEFAULT"


def _value(text: str) -> Any:
    """Read a TOML value; anything else is text, so that strings need no quotes of TOML within the shell's."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def read_toml(file: Path, what: str) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        file: The file.
        what: What it holds, for errors.

    Raises:
        ValueError: If it cannot be read or is not valid TOML.
    """
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ValueError(
            f"expected a TOML file with {what}, but {file} cannot be read: {error.strerror}"
        ) from error
    except RecursionError as error:
        raise ValueError(f"{what} in {file} are nested too deeply to be read") from error
    except ValueError as error:
        raise ValueError(f"{what} in {file} are not valid TOML: {error}") from error


def _read(file: Path) -> dict[str, Any]:
    rules = read_toml(file, "the rules")
    if isinstance(rules.get("rules"), dict):
        raise ValueError(
            f"expected the rules at the top level of {file}, got a table [rules]: leave out its heading; the "
            "only tables are [proposer] and [solver]"
        )
    return rules
