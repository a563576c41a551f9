"""Code and commands in the Markdown pages of the project."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def expected_output(example: str) -> list[str]:
    """Comments after `print(...)` and unindented comments on lines of their own say what is printed."""
    return re.findall(r"^(?:.*print\(.*\)  )?# (.*)$", example, flags=re.MULTILINE)


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The arguments of every shell line that runs `program`."""
    start = shlex.split(program)
    for block in blocks(page, "bash"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[: len(start)] == start:
                yield words[len(start) :]


@cache
def ssp() -> Any:
    """The command `ssp` with all that it is made of."""
    typer = pytest.importorskip("typer")
    from ssp_env.cli import build_app

    return typer.main.get_command(build_app())


def parse_ssp(arguments: list[str]) -> None:
    """Fail unless `ssp` takes these arguments; nothing is run."""
    command = ssp()
    while hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands
        command = command.commands[name]
    assert command.make_context(name, arguments).params
