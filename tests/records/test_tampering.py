"""Tampered records are named and skipped, and a tampered snapshot is a ValueError and nothing else."""

import json
import random

import pytest
from typer.testing import CliRunner

from ssp_env.cli import build_app
from ssp_env.game import Game, GameConfig
from ssp_env.records import Episode, EpisodeWriter, rescore
from tests.records.games import refused_game, solved_game
from tests.records.tampering import tampered

GAMES = [solved_game(), refused_game()]
RECORDS = [json.loads(Episode.of(game).to_line()) for game in GAMES]
RECORDS.append(
    json.loads(
        rescore(Episode.of(GAMES[0]), GameConfig(attempts=2, judge=True), lambda asked: True).to_line()
    )
)


def test_a_tampered_snapshot_is_a_value_error_and_nothing_else():
    rng = random.Random(0)
    refused = 0
    for _ in range(3000):
        data = tampered(rng, rng.choice(RECORDS)["snapshot"])
        try:
            Game.restore(data)
        except ValueError:
            refused += 1
    assert refused > 1000


@pytest.mark.parametrize("data", [None, [], "x", 3, {}, {"version": 3}, b"\0", {"version": [[]]}])
def test_what_is_no_snapshot_at_all_is_a_value_error(data):
    with pytest.raises(ValueError):
        Game.restore(data)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"attempts": 10**9}, "attempts must be at most 4,096"),
        ({"attempts": 1e9}, "config.attempts: expected a whole number"),
        ({"top_k": 10**12}, "top_k must be at most 1,000,000,000"),
        ({"reward": "sys:exit"}, "raised SystemExit"),
    ],
)
def test_numbers_of_the_rules_have_upper_bounds(change, problem):
    data = GAMES[0].snapshot()
    with pytest.raises(ValueError, match=problem):
        Game.restore({**data, "config": {**data["config"], **change}})


def test_a_snapshot_of_another_game_is_refused():
    data = json.loads(json.dumps(RECORDS[0]))
    data["game_id"] = "other"
    with pytest.raises(ValueError, match="expected the game_id 'other' in the snapshot too, got"):
        Episode.from_data(data)


@pytest.fixture(scope="module")
def damaged():
    """The text of a file, most of whose lines are tampered with."""
    return "".join(f"{line}\n" for line in lines())


def lines():
    rng = random.Random(1)
    yield json.dumps(RECORDS[0])
    for _ in range(250):
        line = json.dumps(tampered(rng, rng.choice(RECORDS)))
        if rng.random() < 0.2:
            place = rng.randrange(len(line))
            line = line[:place] + rng.choice(["", "\0", "[", '"', "9" * 5000, "{" * 3000]) + line[place + 1 :]
        yield line
    yield json.dumps(RECORDS[1])


@pytest.mark.parametrize(
    "command",
    [
        ["replay"],
        ["rescore", "--rule", "min_searches=0", "--out", "scored.jsonl"],
        ["export", "--to", "chat", "--out", "rows.jsonl", "--role", "solver", "--role", "reader"],
        ["export", "--to", "parquet", "--out", "tables"],
        ["export", "--to", "verl", "--out", "rows.parquet"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_commands_meet_tampered_files_without_a_traceback(tmp_path, monkeypatch, command, damaged):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "games.jsonl").write_text(damaged)
    name, *options = command
    done = CliRunner().invoke(build_app(), [name, "games.jsonl", *options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == (1 if name == "replay" else 0)
    assert done.output.count("the line is skipped") > 100
    renamed = {"scored.jsonl": "b.jsonl", "rows.jsonl": "c.jsonl", "tables": "d", "rows.parquet": "e.parquet"}
    options = [renamed.get(option, option) for option in options]
    strict = CliRunner().invoke(build_app(), [name, "games.jsonl", *options, "--strict"])
    assert strict.exception is not None and "games.jsonl:" in str(strict.exception)


def test_a_file_without_one_usable_record_is_an_error(tmp_path):
    with EpisodeWriter(tmp_path / "games.jsonl") as writer:
        writer.write(GAMES[0])
    text = (tmp_path / "games.jsonl").read_text().replace('"attempts": 1', '"attempts": 1000000000')
    (tmp_path / "games.jsonl").write_text(text)
    done = CliRunner().invoke(build_app(), ["rescore", str(tmp_path / "games.jsonl"), "--reward", "1-acc"])
    assert isinstance(done.exception, ValueError) and "attempts must be at most" in str(done.exception)
