"""The floors and controls of question sets, on a set and a world small enough to count by hand."""

import json

import typer
from typer.testing import CliRunner

from benchmarks import evaluation_sets
from tests.baselines.evaluation.sets import write_files


def test_every_player_is_measured_under_every_control_that_it_can_play_under(tmp_path):
    corpus, questions = write_files(tmp_path)
    results = tmp_path / "results.json"
    options = ["--corpus", corpus, "--questions", questions, "--known", 2, "--out", tmp_path / "out"]
    options += ["--world-player", "weak", "--world-player", "perfect", "--results", results]
    options += ["--sampled", "tests.baselines.evaluation.sets:Reader", "--sample", 3]
    app = typer.Typer()
    app.command()(evaluation_sets.main)
    done = CliRunner().invoke(app, [str(option) for option in options])
    assert done.exit_code == 0, done.output
    data = json.loads(results.read_text())
    rows = {part: {row["player"]: row["sets"] for row in found["players"]} for part, found in data.items()}
    controls = ("search", "closed-book", "gold-passages")
    assert list(rows["questions"]) == [f"TitlePlayer, {control}" for control in controls]
    exact = {player: sets["mayors"]["figures"]["exact_match"] for player, sets in rows["sample"].items()}
    assert {player: (figure["value"], figure["questions"]) for player, figure in exact.items()} == {
        "Reader, search": (1.0, 3),
        "Reader, closed-book": (0.0, 3),
        "Reader, gold-passages": (1.0, 3),
    }
    assert list(rows["worlds"]) == ["weak, search", *(f"perfect, {control}" for control in controls)]
    assert "| perfect, gold-passages | hops 3 | 2 | 1.000" in done.output
    assert (tmp_path / "out" / "worlds" / "closed-book" / "perfect.answers.jsonl").exists()
