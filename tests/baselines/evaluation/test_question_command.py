"""`ssp eval` on question sets: what it prints, writes and refuses."""

import csv
import json
import re
from weakref import WeakSet

import pytest
import typer
from typer.testing import CliRunner

from baselines.evaluation.command import evaluate
from baselines.evaluation.preparation import make_players
from tests.baselines.evaluation.sets import RECORDS, write_files, write_lines

PLAYERS = "tests.baselines.evaluation.sets:Reader"
JUDGE = "import re\n\n\ndef lenient(asked):\n    return asked.candidate == 'nobody'\n"


def run(*arguments):
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})


def message_of(*arguments):
    result = run(*arguments)
    assert result.exit_code != 0
    return str(result.exception)


@pytest.fixture
def files(tmp_path):
    corpus, questions = write_files(tmp_path)
    return ["--questions", questions, "--corpus", corpus]


def table_rows(output):
    return [re.split(r"  +", line.strip()) for line in output.splitlines()]


def test_any_player_is_measured_on_held_out_worlds_by_hops():
    result = run("perfect", "guess", "--known", 4, "--hops", 3)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    assert ["3", "1.000", "0.510 .. 1.000", "4", "1.000", "1.000", "1.000", "3.000", "0"] in table_rows(
        result.output
    )


def test_files_are_written_and_twice_the_same(files, tmp_path):
    outputs = []
    for name in ("one", "two"):
        options = [
            option
            for kind in ("json", "csv", "markdown")
            for option in (f"--{kind}", tmp_path / "new" / f"{name}.{kind}")
        ]
        result = run(PLAYERS, *files, "--by", "type", *options)
        assert result.exit_code == 0, result.output
        assert max(map(len, result.output.splitlines())) <= 80
        outputs.append(
            [(tmp_path / "new" / f"{name}.{kind}").read_text() for kind in ("json", "csv", "markdown")]
        )
    assert outputs[0] == outputs[1]
    data = json.loads(outputs[0][0])
    (player,) = data["players"]
    figure = player["sets"]["mayors"]["figures"]["exact_match"]
    assert (figure["value"], figure["questions"], figure["scorer"]) == (1.0, 8, "exact_match")
    assert set(player["by"]["type"]) == {"even", "odd"}
    assert (data["control"], data["temperature"], data["attempts"], data["top_k"]) == ("search", 0.0, 1, 3)
    assert data["engine"] and data["judge"].startswith("none")
    rows = list(csv.DictReader(outputs[0][1].splitlines()))
    assert {"group": "type", "value": "odd", "figure": "exact_match", "mean": "1.0"}.items() <= next(
        row for row in rows if row["value"] == "odd" and row["figure"] == "exact_match"
    ).items()
    assert f"| {PLAYERS} | mayors | 8 | 1.000 [0.676, 1.000] |" in outputs[0][2]


def test_saved_answers_are_shown_compared_and_not_played(files, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert run(PLAYERS, *files, "--out", out).exit_code == 0
    title = "agents.scripted.titles:TitlePlayer"
    result = run(title, *files, "--out", out, "--against", *out.glob("tests*.answers.jsonl"))
    assert result.exit_code == 0, result.output
    mine, other = (
        out / "agents.scripted.titles-TitlePlayer.answers.jsonl",
        next(out.glob("tests*.answers.jsonl")),
    )
    assert [
        "mayors",
        "EM",
        "0.000",
        "1.000",
        "-1.000",
        "-1.000 .. -1.000",
        "0.000",
        "0:8 0.008",
    ] in table_rows(result.output)
    monkeypatch.setattr("baselines.evaluation.run.Evaluation.run", None)
    table = tmp_path / "again.json"
    again = run(mine, "--against", other, "--by", "type", "--json", table)
    assert again.exit_code == 0, again.output
    assert "0:8 0.008" in again.output
    (player,) = json.loads(table.read_text())["players"]
    assert player["against"]["mayors"]["exact_match"]["mcnemar"] == {
        "only_first": 0, "only_second": 8, "p_value": 0.0078125,
    }  # fmt: skip
    assert "leave out --seed" in message_of(mine, "--seed", 3)
    assert "not both" in message_of(mine, PLAYERS)


def test_an_evaluation_that_was_stopped_says_how_much_is_there(files, tmp_path):
    out = tmp_path / "out"
    assert run(PLAYERS, *files, "--out", out).exit_code == 0
    (path,) = out.glob("*.answers.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    assert "3 of 8 answers are there" in run(path).output


def test_a_judge_is_never_silent(files, tmp_path, monkeypatch):
    (tmp_path / "my_judging.py").write_text(JUDGE)
    monkeypatch.syspath_prepend(tmp_path)
    table = tmp_path / "t.json"
    judged = ["--judge", "my_judging:lenient", "--json", table, "--out", tmp_path / "o"]
    result = run(PLAYERS, *files, "--control", "closed-book", *judged)
    assert result.exit_code == 0, result.output
    assert "judge: exact match, else" in result.output.replace("\n", " ")
    assert "my_judging:lenient" in result.output
    figures = json.loads(table.read_text())["players"][0]["sets"]["mayors"]["figures"]
    assert figures["judge"]["value"] == 1.0 and figures["exact_match"]["value"] == 0.0
    assert figures["judge"]["scorer"] == "exact match, else judge my_judging:lenient"
    assert len((tmp_path / "o" / "verdicts.jsonl").read_text().splitlines()) == 8


def test_several_attempts_print_pass_at_k(files):
    result = run(PLAYERS, *files, "--attempts", 2)
    assert ["mayors", "EM", "2", "1.000", "1.000"] in table_rows(result.output)
    assert "2 attempts each" in result.output and "temperature 0.7" in result.output


def test_the_folder_of_the_seven_sets_says_what_is_missing(files, tmp_path):
    sets = tmp_path / "sets"
    (sets / "nq").mkdir(parents=True)
    write_lines(sets / "nq" / "test.jsonl", RECORDS)
    write_lines(sets / "popqa.jsonl", RECORDS)
    write_lines(sets / "triviaqa.jsonl", RECORDS)
    result = run(PLAYERS, "--sets", sets, *files[2:], "--known", 3)
    assert result.exit_code == 0, result.output
    assert "4 of the seven question sets are not in" in result.output
    rows = table_rows(result.output)
    assert [row[0] for row in rows if row[1:2] == ["1.000"]] == [
        "NQ",
        "TriviaQA",
        "PopQA",
        "general",
        "mean of 3 sets",
    ]


def test_a_control_needs_no_corpus_where_the_questions_bring_theirs(files):
    result = run(PLAYERS, *files[:2], "--control", "closed-book")
    assert result.exit_code == 0, result.output
    assert "mayors" in result.output


def test_what_cannot_be_reported_is_refused_before_anything_is_played(files, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert run(PLAYERS, *files, "--out", out).exit_code == 0
    (saved,) = out.glob("*.answers.jsonl")
    saved.write_text(saved.read_text().replace('"mayors"', '"others"'))
    monkeypatch.setattr("baselines.evaluation.run.Evaluation.run", None)
    assert "judge must be a function" in message_of(PLAYERS, *files, "--judge", "json:JSONDecoder")
    assert "the fields are type" in message_of(PLAYERS, *files, "--by", "hops")
    said = message_of(PLAYERS, *files, "--against", saved)
    assert "answers none of these questions: it is of others, asked are those of mayors" in said


@pytest.mark.parametrize("games", [[], ["--games", 2]])
def test_every_player_is_made_before_the_first_one_plays(games, tmp_path, monkeypatch):
    (tmp_path / "my_players.py").write_text("class Mine:\n    def __init__(self):\n        1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("baselines.evaluation.run.Evaluation.run", None)
    monkeypatch.setattr("baselines.evaluation.agent_measurement.Measurement.run", None)
    options = games or ["--hops", 1, "--known", 2]
    for name, said in (
        ("my_players:Mine", "Mine() raised ZeroDivisionError: division by zero"),
        ("my_players:Main", "no attribute 'Main'; did you mean 'Mine'?"),
        ("no_such:Mine", "player 'no_such:Mine': there is no module no_such"),
        ("json:JSONDecoder", "got JSONDecoder"),
        ("prefect", "did you mean 'perfect'?"),
    ):
        assert said in message_of("weak", "perfect", name, *options)
    if games:
        assert "no_such" in message_of("weak", "perfect", *options, "--judge", "no_such:judge")
        assert "no_such" in message_of("weak", "perfect", *options, "--reader", "no_such:reader")


def test_models_are_let_go_until_it_is_their_turn(monkeypatch):
    """All of them together may not fit into memory; other players are made once."""
    made, there = [], WeakSet()

    class Model:
        pass

    def make(name):
        made.append(name)
        there.add(model := Model())
        return model

    monkeypatch.setattr("baselines.evaluation.preparation.holds_weights", lambda name: name[:4] != "chat")
    names = ["runs/one", "chat:a", "runs/two", "vllm:runs/three"]
    kept = make_players(names, make)
    assert list(kept) == ["chat:a", "runs/one"] and len(there) == 2
    assert made == ["runs/two", "chat:a", "runs/one"]


def test_ctrl_c_says_how_to_go_on(files, tmp_path, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("baselines.evaluation.run.play", stop)
    result = run(PLAYERS, *files, "--out", tmp_path / "out")
    assert result.exit_code == 130 and "stopped; the same command goes on" in result.output


def test_where_everything_fails_the_status_says_so(files, tmp_path, monkeypatch):
    (tmp_path / "my_broken.py").write_text("def player(view):\n    raise OSError('no model')\n")
    monkeypatch.syspath_prepend(tmp_path)
    result = run("my_broken:player", *files)
    assert result.exit_code == 1
    assert "8 failed of solver" in result.output and "OSError: no model" in result.output


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (["perfect", "perfect"], "expected different players, got perfect more than once"),
        (["perfect", "--control", "open"], "--control must be one of search, closed-book, gold-passages"),
        (["perfect", "--questions", "x.jsonl"], "x.jsonl: cannot be read: No such file or directory"),
        (["perfect", "--index", "x"], "add --questions FILE or --sets FOLDER"),
        (["perfect", "--known", "0"], "--known must be at least 1"),
        (["perfect", "--known", "1", "--by", "colour"], "the fields are hops, world"),
        (["perfect", "--world", "small", "--known", "1"], "worlds only: choose the world 'tiny'"),
        (["no.answers.jsonl"], "no.answers.jsonl: cannot be read"),
        (
            ["perfect", "--games", "1", "--questions", "x", "--questions", "y"],
            "expected one --questions file",
        ),
    ],
)
def test_errors_name_the_fix(arguments, fix):
    assert fix in message_of(*arguments)


def test_questions_without_something_to_search_in_are_refused(files):
    assert "add --corpus or --index" in message_of("perfect", *files[:2])
    assert "of different names, got mayors" in message_of(PLAYERS, *files, *files[:2])
