"""`ssp replay`, `ssp rescore`, `ssp export`: what people see of recorded games, and what is refused."""

import json
import re
import sys

import pytest

from ssp_env import cli
from ssp_env.records import Episode, EpisodeWriter, read_episodes
from tests.records.games import refused_game, solved_game


@pytest.fixture
def ssp(monkeypatch, capsys):
    """Run the command line; return its exit message or status, what it printed, and its warnings."""

    def run(*arguments):
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(sys, "argv", ["ssp", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return stop.value.code, re.sub(r"\x1b\[[0-9;]*m", "", printed.out), printed.err

    return run


@pytest.fixture
def recorded(tmp_path):
    path = tmp_path / "games.jsonl"
    with EpisodeWriter(path) as writer:
        writer.write(solved_game(attempts=2))
        writer.write(refused_game())
    return path


def cells(printed):
    """The rows of all tables."""
    rows = [re.split(r"\s*[│┃]\s*", line.strip("│┃ ")) for line in printed.splitlines() if line[:1] in "│┃"]
    return [row for row in rows if row != [""]]


def test_replay_reproduces_games_and_counts_them_by_reason(ssp, recorded):
    status, printed, _ = ssp("replay", recorded)
    assert status == 0
    assert cells(printed)[1:] == [
        ["solved", "1", "1", "0"],
        ["too_few_words", "1", "1", "0"],
        ["all", "2", "2", "0"],
    ]


def test_replay_names_what_differs_and_ends_with_status_1(ssp, recorded):
    lines = recorded.read_text().splitlines()
    data = json.loads(lines[1])
    data["events"][1]["query"] = "another"
    data["game_id"] = data["snapshot"]["game_id"] = "odd"
    recorded.write_text(f"{lines[0]}\n{json.dumps(data)}\n")
    status, printed, _ = ssp("replay", recorded)
    assert status == 1
    assert f"{recorded}:2: game odd differs at event 2: recorded" in printed
    assert '"query": "another"' in printed and '"query": "belin"' in printed
    assert cells(printed)[-1] == ["all", "2", "1", "1"]


def test_replay_prints_a_game_as_play_does(ssp, recorded):
    _, printed, _ = ssp("replay", recorded, "--game", "task-0")
    assert "game task-0: Tavor (2 hops, also Tavor of Ruvia)" in printed
    assert "rewards: proposer_0 0, solver_0 1, solver_1 1" in printed
    message, *_ = ssp("replay", recorded, "--game", "nobody")
    assert message == f"ssp: {recorded}: no game has the id 'nobody'; the ids are under game_id in each line"


def test_a_torn_line_is_left_out_with_a_warning(ssp, recorded):
    recorded.write_text(recorded.read_text() + '{"schema": 2, "pack')
    for command in (["replay"], ["rescore", "--reward", "1-acc"]):
        status, printed, warning = ssp(command[0], recorded, *command[1:])
        assert status == 0 and f"{recorded}:3: " in warning.replace("\n", "")
        assert "torn last line" in warning.replace("\n", " ")
    assert cells(printed)


@pytest.mark.parametrize(
    "command",
    [["replay"], ["export", "--to", "chat", "--out", "rows.jsonl"], ["rescore", "--rule", "min_searches=1"]],
)
def test_a_reward_of_ones_own_is_found_in_the_folder_where_the_command_runs(
    ssp, tmp_path, monkeypatch, command
):
    (tmp_path / f"own_reward_of_{command[0]}.py").write_text("def half(p):\n    return p / 2\n")
    monkeypatch.chdir(tmp_path)
    path = [folder for folder in sys.path if folder]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *path])
    with EpisodeWriter("games.jsonl") as writer:
        writer.write(solved_game(reward=f"own_reward_of_{command[0]}:half"))
    # As in a new process that is installed elsewhere.
    monkeypatch.delitem(sys.modules, f"own_reward_of_{command[0]}")
    monkeypatch.setattr(sys, "path", path)
    name, *options = command
    status, printed, errors = ssp(name, "games.jsonl", *options)
    assert (status, errors) == (0, "")
    assert printed


def test_rescore_shows_what_changes(ssp, recorded):
    status, printed, _ = ssp("rescore", recorded, "--reward", "format_only", "--rule", "min_question_words=0")
    assert status == 0
    rows = cells(printed)
    assert ["too_few_words", "1", "0"] in rows and ["unknown", "0", "1"] in rows
    assert ["too_few_words", "unknown", "1"] in rows
    assert ["proposer_0", "0.000", "1.000"] in rows and ["solver_1", "1.000", "1.000"] in rows
    assert "unknown in 1 games: noise was never asked" in printed


def test_rescored_games_are_written_with_the_rules_that_scored_them(ssp, recorded, tmp_path):
    out = tmp_path / "rescored.jsonl"
    assert (
        ssp("rescore", recorded, "--rule", "min_question_words=40", "--rule", "judge=false", "--out", out)[0]
        == 0
    )
    first, second = read_episodes(out)
    assert (first.outcome["reason"], first.scored_by["config"]["min_question_words"]) == ("too_few_words", 40)
    assert second.snapshot == Episode.of(refused_game()).snapshot
    assert ssp("replay", out)[0] == 0
    message, *_ = ssp("rescore", recorded, "--reward", "1-acc", "--out", out)
    assert f"{out} exists already" in message


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "no new rules or reward: give --reward"),
        (["--reward", "free"], "reward must be one of 1-acc, 1-acc-if-solved, "),
        (["--rule", "min_question_words=-1"], "min_question_words must be at least 0, got -1"),
        (["--rule", "min_question_words"], "--rule expects NAME=VALUE"),
        (["--rule", "charm=3"], "unknown rule 'charm': expected one of "),
        (["--rule", "top_k=true"], "expected a value of type int for the rule top_k, got True"),
        (["--rule", "solver=3"], "expected a value of type Budget for the rule solver, got 3"),
        (["--rule", "solver.retries=many"], "expected a value of type int for the rule retries, got 'many'"),
        (["--rule", "solver.mood=1"], "unknown limit of the solver 'mood': expected one of max_searches, "),
        (["--rule", "protocol.name=x"], "expected a value of type str for the rule protocol, got {"),
    ],
)
def test_rules_that_make_no_sense_are_refused_in_one_message(ssp, recorded, arguments, problem):
    message, *_ = ssp("rescore", recorded, *arguments)
    assert message.startswith("ssp: ") and problem in message


def test_exports_are_written_and_counted(ssp, recorded, tmp_path):
    pytest.importorskip("pyarrow")
    chat, tables, verl = tmp_path / "chat.jsonl", tmp_path / "tables", tmp_path / "verl.parquet"
    assert f"4 conversations written to {chat}" in ssp("export", recorded, "--to", "chat", "--out", chat)[1]
    assert len(chat.read_text().splitlines()) == 4
    printed = ssp("export", recorded, "--to", "parquet", "--out", tables, "--role", "reader")[1]
    assert f"2 games and 1 conversations written to {tables}" in printed
    assert {file.name for file in tables.iterdir()} == {"games.parquet", "trajectories.parquet"}
    assert f"1 questions written to {verl}" in ssp("export", recorded, "--to", "verl", "--out", verl)[1]


def test_exports_refuse_unknown_roles_existing_files_and_records_that_do_not_replay(ssp, recorded, tmp_path):
    out = tmp_path / "out.jsonl"
    to_chat = ("export", recorded, "--to", "chat", "--out", out)
    assert "--role must be one of proposer, solver, reader, got coach" in ssp(*to_chat, "--role", "coach")[0]
    lines = recorded.read_text().splitlines()
    data = json.loads(lines[1])
    data["snapshot"]["inputs"].pop(1)
    recorded.write_text(f"{lines[0]}\n{json.dumps(data)}\n")
    assert ssp(*to_chat, "--strict")[0].startswith(f"ssp: {recorded}:2: game 'task-0' does not replay")
    assert not out.exists()
    out.write_text("mine")
    assert f"{out} exists already" in ssp(*to_chat)[0]


@pytest.mark.parametrize("command", [["replay"], ["rescore", "--reward", "1-acc"]])
def test_a_bad_file_is_named_with_its_line(ssp, tmp_path, command):
    path = tmp_path / "games.jsonl"
    assert ssp(command[0], path, *command[1:])[0] == f"ssp: {path}: cannot be read: No such file or directory"
    path.write_text('{"version": 1, "task": {}}\n')
    message = ssp(command[0], path, *command[1:])[0]
    assert message.startswith(f'ssp: {path}:1: expected a record with "schema": 2, got one without')
