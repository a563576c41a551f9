"""README and first pages agree with the code: reason codes, rewards, options, extras and targets exist."""

import importlib
import re
import shlex
import sys
import typing
from dataclasses import fields

import pytest

from ssp_env import cli
from ssp_env.game import GameConfig
from ssp_env.game.outcome import REASON_CODES, Verdict
from ssp_env.game.rewards import REWARD_SHAPES
from tests.markdown import ROOT, blocks, commands, parse_ssp

README = (ROOT / "README.md").read_text(encoding="utf-8")
STARTING = ROOT / "docs" / "getting-started.md"
STARTED = STARTING.read_text(encoding="utf-8")
GAME = (ROOT / "docs" / "game.md").read_text(encoding="utf-8")


MAKE = [*commands(ROOT / "README.md", "make"), *commands(STARTING, "make")]
COMPARE = list(commands(STARTING, "python -m baselines.comparison"))


@pytest.mark.parametrize("arguments", COMPARE, ids=shlex.join)
def test_the_comparison_parses(arguments):
    typer = pytest.importorskip("typer")
    pytest.importorskip("matplotlib")
    from baselines.comparison.recipes import main

    app = typer.Typer()
    app.command()(main)
    assert typer.main.get_command(app).make_context("compare", arguments).params["seeds"] == [0, 1]


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
            parse_ssp(["train", *shlex.split(value)])


def test_every_kind_of_example_is_there():
    assert len(blocks(ROOT / "README.md", "python")) >= 4
    shown = {arguments[0] for arguments in commands(STARTING, "ssp")}
    assert shown >= {"train", "play", "eval", "world", "search"}
    assert {arguments[0] for arguments in MAKE} == {"train", "test", "smollm2", "gpu-check"}
    assert COMPARE


def test_the_first_shell_block_holds_the_two_commands():
    assert blocks(ROOT / "README.md", "bash")[0].split("\n") == ["make train", "make test", ""]


def test_the_game_is_the_one_that_the_command_plays(monkeypatch, capsys):
    (command,) = re.findall(r"from `ssp (play [^`]*)`", README)
    (game,) = blocks(ROOT / "README.md", "text")
    monkeypatch.setattr(sys, "argv", ["ssp", *shlex.split(command)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    played = " ".join(capsys.readouterr().out.split())
    shown = game.replace("(the answer it was given)", "").splitlines()
    # Who speaks stands once for all its turns, and what is between dots is left out.
    words = [line.removeprefix("proposer_0").removeprefix("solver_0") for line in shown]
    parts = [" ".join(part.split()) for line in words for part in re.split(r"\.\.\.|\bRAG check\b|; ", line)]
    assert ended.value.code == 0 and len(parts) > 10
    assert [part for part in parts if part not in played] == []


def test_an_own_agent_is_compared_as_it_says(tmp_path, monkeypatch, capsys):
    """The block is saved as it stands, and the command beside it is run: importing it plays nothing."""
    (example,) = [block for block in blocks(ROOT / "README.md", "python") if "class Mine" in block]
    (command,) = re.findall(r"`ssp (eval [^`]*my_agents:Mine[^`]*)`", README)
    (tmp_path / "my_agents.py").write_text(example)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ssp", *command.replace("20", "2").split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr().out
    assert ended.value.code == 0 and "of 72" not in printed
    assert all(
        name in printed for name in ("weak (scripted)", "perfect (scripted)", "my_agents:Mine (Python)")
    )


def test_a_newcomer_reads_it_in_five_minutes():
    assert len(README.split()) <= 900


def test_presets_of_make_train_exist():
    presets = pytest.importorskip("baselines.config").PRESETS
    named = re.findall(r"^make train .*PRESET=([\w.-]+)", README + STARTED, flags=re.MULTILINE)
    assert named and set(named) <= set(presets)


def test_installed_extras_exist():
    project = (ROOT / "pyproject.toml").read_text()
    extras = re.findall(r"pip install '\.\[(\w+)\]'", STARTED)
    assert extras and all(re.search(rf"^{extra} = \[", project, flags=re.MULTILINE) for extra in extras)


def test_reason_codes_stand_in_the_order_in_which_rules_are_tried():
    table = GAME.split("## Reason codes")[1].split("\n## ")[0]
    codes = [
        code
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", row)
    ]
    assert tuple(codes) == REASON_CODES
    assert all(f"`{verdict}`" in table for verdict in typing.get_args(Verdict))


def test_reward_shapes_are_listed():
    table = GAME.split("## Rewards")[1].split("\n## ")[0]
    assert all(f"`{shape}`" in table for shape in REWARD_SHAPES if shape != "1-acc")


def test_options_of_the_comparison_with_the_paper_exist():
    presets = pytest.importorskip("baselines.config")
    table = GAME.split("## Choices where")[1].split("\n## ")[0]
    cells = re.findall(r"\|([^|]*)\|$", table, flags=re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}
    known = {field.name for config in (GameConfig, presets.TrainConfig) for field in fields(config)}
    assert named and named <= known
    dotted = {name for cell in cells for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", cell)}
    options = {
        f"solver.{field.name}" for field in fields(importlib.import_module("baselines.grpo").GRPOConfig)
    }
    reinforce = importlib.import_module("baselines.reinforce").ReinforceConfig
    options |= {f"proposer.{field.name}" for field in (*fields(reinforce), *fields(presets.RoleConfig))}
    assert dotted and dotted <= options
