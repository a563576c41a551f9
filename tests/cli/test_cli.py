"""`ssp`: every command is there and explains itself, and what the user got wrong is told in one message."""

import json
import re
import sys
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

import ssp_env
from ssp_env import cli
from ssp_env.search.corpus import read_corpus
from ssp_env.worlds import World, world_preset

COMMANDS = ("eval", "export", "index", "play", "replay", "rescore", "search", "serve", "train", "world")


@pytest.fixture
def ssp(monkeypatch, capsys):
    """Run the command line; return its exit message or status, and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ssp", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr()

    return run


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_help_lists_every_command(ssp):
    status, printed = ssp("--help")
    assert status == 0
    assert [name for name in COMMANDS if re.search(rf"\b{name}\b", plain(printed.out))] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(ssp, command):
    status, printed = ssp(command, "--help")
    assert status == 0
    assert f"ssp {command}" in plain(printed.out)


def test_the_version_is_printed(ssp):
    status, printed = ssp("--version")
    assert (status, printed.out) == (0, f"ssp-env {ssp_env.__version__}\n")


def test_an_unknown_command_is_a_usage_error(ssp):
    status, printed = ssp("trian")
    assert status == 2
    assert "trian" in plain(printed.err)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["world", "huge"], "huge"),
        (["search", "a query", "--world", "huge"], "huge"),
        (["play", "--world", "huge"], "huge"),
        (
            ["train", "--preset", "huge"],
            "unknown preset 'huge'; there are: qwen2.5-7b-paper, search-r1, smoke, smollm2, tiny",
        ),
        (["train", "--mode", "judge-only"], "'judge-only'"),
        (["train", "--resume", "nowhere"], "no run in nowhere"),
        (["eval", "nowhere"], "nowhere"),
    ],
)
def test_unknown_names_end_with_one_message(ssp, monkeypatch, tmp_path, arguments, problem):
    monkeypatch.chdir(tmp_path)
    message, printed = ssp(*arguments)
    assert isinstance(message, str) and message.startswith("ssp: ") and problem in message
    assert "Traceback" not in printed.err
    assert not any(tmp_path.iterdir())


def test_a_malformed_corpus_line_is_named_by_file_and_line(ssp, tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"id": "0", "title": "Odense", "text": "A city."}\n{"id": "1", "title": \n')
    for command in (["search", "city"], ["play"]):
        message, _ = ssp(*command, "--corpus", corpus)
        assert message.startswith("ssp: ") and f"{corpus}:2" in message


def test_an_empty_corpus_is_named(ssp, tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.touch()
    message, _ = ssp("search", "city", "--corpus", corpus)
    assert message.startswith("ssp: ") and str(corpus) in message and "empty" in message


def test_an_existing_run_is_refused_and_both_ways_on_are_named(ssp, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "summary.json").write_text("{}")
    message, _ = ssp("train", "--preset", "smoke", "--name", "mine")
    assert "ssp train --resume runs/mine" in message and "--name" in message
    assert [file.name for file in (tmp_path / "runs" / "mine").iterdir()] == ["summary.json"]


@pytest.mark.parametrize(
    ("missing", "extra"),
    [
        ("typer", "typer is not installed. Install it with: pip install 'ssp-env[cli]'"),
        ("torch", "torch is not installed. Install it with: pip install 'ssp-env[train]'"),
    ],
)
def test_a_missing_extra_is_named(ssp, monkeypatch, tmp_path, missing, extra):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] in ("agents", "baselines")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    message, printed = ssp("train", "--preset", "smoke", "--name", "mine")
    assert message == f"ssp: {extra}"
    assert "Traceback" not in printed.err


def test_commands_installed_beside_it_are_found_by_their_entry_points(ssp, monkeypatch):
    entry = EntryPoint("cwd", "os:getcwd", cli.COMMAND_GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [entry] if group == cli.COMMAND_GROUP else [])
    status, printed = ssp("--help")
    assert status == 0
    assert "cwd" in printed.out and not re.search(r"\btrain\b", printed.out.split("Commands")[-1])


# -- world and search ----------------------------------------------------------------------------------


def test_a_world_is_shown_and_written(ssp, tmp_path):
    out = tmp_path / "world.jsonl"
    status, printed = ssp("world", "tiny", "--world-index", 3, "--passages", 2, "--out", out)
    made = World(world_preset("tiny", index=3))
    assert status == 0
    assert made.fingerprint() in printed.out
    assert made.passage(1).text.split(" ; ")[0] in " ".join(printed.out.split())
    assert [(page.id, page.text) for page in read_corpus(out)] == [
        (page.id, page.text) for page in made.passages()
    ]


def test_a_world_does_not_overwrite_a_file(ssp, tmp_path):
    out = tmp_path / "world.jsonl"
    out.write_text("mine")
    message, _ = ssp("world", "tiny", "--out", out)
    assert message.startswith("ssp: ") and str(out) in message
    assert out.read_text() == "mine"


def test_search_prints_one_json_line_per_query_and_nothing_else(ssp):
    page = World(world_preset("tiny")).passage(0)
    status, printed = ssp(
        "search", page.title, "nothing-like-this", "--world", "tiny", "--json", "--top-k", 2
    )
    assert status == 0
    first, second = map(json.loads, printed.out.splitlines())
    assert first["query"] == page.title and first["passages"][0]["title"] == page.title
    assert second == {"query": "nothing-like-this", "passages": []}


def test_search_shows_titles_of_what_it_found(ssp):
    page = World(world_preset("tiny")).passage(0)
    status, printed = ssp("search", page.title, "--world", "tiny", "--top-k", 1)
    assert status == 0
    assert f"{page.title} (1 of" in printed.out


def test_search_escapes_markup_and_cuts_long_passages_but_not_in_json(ssp, tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    text = "[bold]river[/bold] \x1b[2J" + "x" * 10_000
    corpus.write_text(json.dumps({"id": "0", "title": "[red]T", "text": text}) + "\n")
    _, printed = ssp("search", "river", "--corpus", corpus)
    shown = "".join(printed.out.split())
    assert "[red]T[bold]river[/bold]\\x1b[2Jxx" in shown and len(shown) < 700
    assert "(9,523morecharacters;--jsonprintsall)" in shown
    _, printed = ssp("search", "river", "--corpus", corpus, "--json")
    assert json.loads(printed.out)["passages"][0]["text"] == text


@pytest.mark.parametrize("command", [["search", "x"], ["serve"]])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--corpus", "c", "--index", "i"], "--corpus and --index"),
        (["--world", "tiny", "--corpus", "c"], "--world and --corpus"),
        (["--world-index", 3, "--index", "i"], "--world-index and --index"),
        (["--heldout", "--corpus", "c"], "--heldout and --corpus"),
        (
            ["--world", "tiny", "--heldout", "--corpus", "c", "--index", "i"],
            "--world and --corpus and --index",
        ),
    ],
)
def test_only_one_thing_is_searched(ssp, command, options, named):
    message, _ = ssp(*command, *options)
    assert message == f"ssp: expected one of --world, --corpus and --index, got {named}"


def test_a_number_is_no_index_directory(ssp, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    message, _ = ssp("search", "x", "--index", "3")
    assert message.startswith("ssp: ") and "3" in message


def test_a_folder_that_hides_a_package_of_the_commands_is_named(ssp, monkeypatch, tmp_path):
    (tmp_path / "agents").mkdir()
    hiding = SimpleNamespace(submodule_search_locations=[str(tmp_path / "agents")])
    monkeypatch.setattr(cli, "find_spec", lambda name: hiding if name == "agents" else find_spec(name))
    status, _ = ssp("world")
    assert f"the folder {tmp_path / 'agents'} hides the package agents" in status


def test_no_bar_is_drawn_where_there_is_no_terminal(ssp, tmp_path):
    status, printed = ssp("index", "build", "--world", "tiny", "--out", tmp_path / "index")
    assert status == 0 and "\u2501" not in printed.out + printed.err


def test_a_command_whose_library_is_missing_leaves_the_others_alone(ssp, monkeypatch):
    load = EntryPoint.load

    def without(entry):
        if entry.name == "train":
            raise ModuleNotFoundError("No module named 'dacite'", name="dacite")
        return load(entry)

    monkeypatch.setattr(EntryPoint, "load", without)
    assert ssp("world", "--help")[0] == 0
    said = "ssp: dacite is not installed. Install it with: pip install 'ssp-env[train]'"
    assert ssp("train", "--preset", "smollm2")[0] == said
