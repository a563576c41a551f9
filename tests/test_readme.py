"""What the README shows works: its Python runs and prints what it says, its commands and files exist."""

import re
import shlex
import typing
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import fields
from io import StringIO
from pathlib import Path

import pytest

from ssp_env.game import GameConfig
from ssp_env.game.config import REWARD_SHAPES
from ssp_env.game.outcome import REASON_CODES, Verdict

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def _expected_output(example: str) -> list[str]:
    """Comments after `print(...)` and unindented comments on lines of their own say what is printed."""
    return re.findall(r"^(?:.*print\(.*\)  )?# (.*)$", example, flags=re.MULTILINE)


def _commands(program: str) -> Iterator[list[str]]:
    """The arguments of every shell line that runs `program`."""
    for block in _blocks("bash"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            start = shlex.split(program)
            if words[: len(start)] == start:
                yield words[len(start) :]


PYTHON = _blocks("python")
SSP, MAKE, COMPARE = (list(_commands(name)) for name in ("ssp", "make", "python -m baselines.compare"))


@pytest.mark.parametrize("example", PYTHON, ids=range(len(PYTHON)))
def test_python_examples_print_what_they_say(example):
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    assert printed.getvalue().splitlines() == _expected_output(example) != []


@pytest.mark.parametrize("arguments", SSP, ids=shlex.join)
def test_ssp_commands_parse(arguments):
    typer = pytest.importorskip("typer")
    from ssp_env.cli import build_app

    group = typer.main.get_command(build_app())
    name, *rest = arguments
    assert name in group.commands
    assert group.commands[name].make_context(name, rest).params


@pytest.mark.parametrize("arguments", COMPARE, ids=shlex.join)
def test_the_comparison_parses(arguments):
    typer = pytest.importorskip("typer")
    pytest.importorskip("matplotlib")
    from baselines.compare import main

    app = typer.Typer()
    app.command()(main)
    assert typer.main.get_command(app).make_context("compare", arguments).params["seeds"] == [0, 1, 2]


@pytest.mark.parametrize("arguments", MAKE, ids=shlex.join)
def test_make_targets_and_their_variables_exist(arguments):
    makefile = (ROOT / "Makefile").read_text()
    for word in arguments:
        name, is_variable, value = word.partition("=")
        if not is_variable:
            assert re.search(rf"^{name}:", makefile, flags=re.MULTILINE), name
            continue
        assert f"$({name})" in makefile or f",{name})" in makefile, name
        if name == "ARGS":
            test_ssp_commands_parse(["train", *shlex.split(value)])


def test_every_kind_of_example_is_there():
    assert len(PYTHON) >= 4
    assert {arguments[0] for arguments in SSP} == {"train", "play", "eval", "world", "search"}
    assert {arguments[0] for arguments in MAKE} == {"train", "test", "smollm2"}
    assert COMPARE


def test_the_first_shell_block_holds_the_two_commands():
    assert _blocks("bash")[0].split("\n") == ["make train", "make test", ""]


def test_presets_of_make_train_exist():
    presets = pytest.importorskip("baselines.presets").PRESETS
    named = re.findall(r"^make train .*PRESET=(\w+)", README, flags=re.MULTILINE)
    assert named and set(named) <= set(presets)


def test_installed_extras_exist():
    project = (ROOT / "pyproject.toml").read_text()
    extras = re.findall(r"pip install '\.\[(\w+)\]'", README)
    assert extras and all(re.search(rf"^{extra} = \[", project, flags=re.MULTILINE) for extra in extras)


def test_reason_codes_stand_in_the_order_in_which_rules_are_tried():
    table = README.split("### Reason codes")[1].split("\n## ")[0]
    codes = [
        code
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", row)
    ]
    assert tuple(codes) == REASON_CODES
    assert all(f"`{verdict}`" in table for verdict in typing.get_args(Verdict))


def test_reward_shapes_are_listed():
    table = README.split("### Rewards")[1].split("###")[0]
    assert all(f"`{shape}`" in table for shape in REWARD_SHAPES if shape != "1-acc")


def test_options_of_the_comparison_with_the_paper_exist():
    presets = pytest.importorskip("baselines.presets")
    table = README.split("## Choices where")[1].split("\n## ")[0]
    cells = re.findall(r"\|([^|]*)\|$", table, flags=re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}
    known = {field.name for config in (GameConfig, presets.TrainConfig) for field in fields(config)}
    assert named and named <= known


def test_linked_and_named_files_exist():
    links = [link for link in re.findall(r"\[[^\]]*\]\(([^)]+)\)", README) if "://" not in link]
    named = re.findall(r"`((?:ssp_env|agents|baselines)/[\w./]*)`", README)
    assert links and named
    assert [path for path in (*links, *named) if not (ROOT / path).exists()] == []
