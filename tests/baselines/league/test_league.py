"""`ssp league`: every proposer against every solver, kept as it goes, in tables and pictures."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from agents.scripted import ScriptedSolver
from baselines.league.command import _step_of, models_of
from baselines.league.rounds import RoundRobin
from ssp_env.records import read_episodes
from ssp_env.scenario import open_scenario

SOLVERS = ("perfect", "one_hop", "hopeless")
CALLS = []


class Counting(ScriptedSolver):
    """Counts its turns, to see what is played again."""

    def act(self, view):
        CALLS.append(view.game_id)
        return super().act(view)


class Broken:
    """Raises in every game but those of one world."""

    def act(self, view):
        raise RuntimeError("out of order")


counting, broken = Counting("perfect"), Broken()


def robin(folder, *, hops=(1, 2), tasks=6, **options):
    scenario = open_scenario("tiny", split="heldout", hops=hops, rules={"attempts": 2})
    drawn = scenario.draw_tasks(tasks, 0)
    return RoundRobin({"": scenario}, drawn, "perfect", folder, **options)


def test_shares_are_those_of_games_played_apart(tmp_path):
    games = robin(tmp_path).play(["strong", "weak"], SOLVERS)
    assert games.points.shape == (2, 3, 6) and (games.valid == 1).all()
    assert (games.shares[:, 0] == 1).all() and (games.shares[:, 2] == 0).all()
    # Who stops after one hop is right where one was asked for.
    asked = [one.outcome["question"] for one in read_episodes(tmp_path / "proposals/strong.jsonl")]
    assert games.points[0, 1].tolist() == [float(question.count(" of ") == 1) for question in asked]


def test_all_solvers_answer_the_same_questions_and_the_same_seed_gives_the_same_games(tmp_path):
    for folder in ("first", "second"):
        robin(tmp_path / folder).play(["strong"], ["perfect", "weak"])
    asked = []
    for solver in ("perfect", "weak"):
        files = [tmp_path / folder / f"solutions/{solver}.jsonl" for folder in ("first", "second")]
        assert files[0].read_bytes() == files[1].read_bytes()
        asked.append({e.game_id: e.snapshot["task"]["question"] for e in read_episodes(files[0])})
    assert asked[0] == asked[1] != {}


def test_an_interrupted_league_plays_only_what_is_missing(tmp_path):
    name = f"{__name__}:counting"
    whole = robin(tmp_path).play(["strong"], [name])
    path = next((tmp_path / "solutions").iterdir())
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:4]) + lines[4][:30])
    CALLS.clear()
    again = robin(tmp_path).play(["strong"], [name])
    np.testing.assert_array_equal(again.points, whole.points)
    assert len(set(CALLS)) == len(lines) - 4
    with pytest.raises(ValueError, match="played under other rules, by other players or over other passages"):
        robin(tmp_path, temperature=0.5).play(["strong"], [name])


def test_a_player_that_breaks_loses_its_own_games_alone(tmp_path):
    games = robin(tmp_path).play(["strong"], ["perfect", f"{__name__}:broken"])
    assert (games.points[0, 0] == 1).all() and np.isnan(games.points[0, 1]).all()


def test_invalid_questions_give_the_point_to_the_solver(tmp_path):
    scenario = open_scenario("tiny", rules={"min_question_words": 50})
    games = RoundRobin({"": scenario}, scenario.draw_tasks(3, 0), "perfect", tmp_path).play(
        ["strong"], ["hopeless"]
    )
    assert (games.valid == 0).all() and (games.points == 1).all() and np.isnan(games.success).all()


def test_players_take_part_once_and_read_one_style(tmp_path):
    with pytest.raises(ValueError, match="each player takes part once in a role, got weak twice"):
        robin(tmp_path).play(["strong"], ["weak", "weak"])


def test_the_command_writes_tables_and_pictures(tmp_path, capsys):
    typer = pytest.importorskip("typer")
    from ssp_env.cli import build_app

    out = tmp_path / "league"
    command = typer.main.get_command(build_app())
    arguments = ["league", "--proposer", "strong", "--solver", "perfect", "--solver", "hopeless"]
    command.main([*arguments, "--games", "6", "--worlds", "2", "--out", str(out)], standalone_mode=False)
    printed = capsys.readouterr().out
    tables = [line for line in printed.splitlines() if line[:1] in "┃│"]
    assert "1.00" in printed and "perfect" in printed and max(map(len, tables)) <= 80
    data = json.loads((out / "league.json").read_text())
    assert data["version"] == 1 and np.shape(data["points"]) == (1, 2, 6)
    assert data["ratings"][0]["name"] == "perfect"
    rows = list(csv.reader((out / "cross_play.csv").read_text().splitlines()))
    assert rows == [["proposer", "valid", "perfect", "hopeless"], ["strong", "1.0000", "1.0000", "0.0000"]]
    assert (out / "league.png").stat().st_size > 10_000 and b"<svg" in (out / "league.svg").read_bytes()[:500]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a league needs at least one proposer"),
        (["--proposer", "strong"], "a league needs at least one solver"),
        (["one_hop"], "one_hop is no proposer: name it with --solver alone"),
        (["--run", "nowhere"], "expected at least two models in nowhere/models, found 0"),
        (["--proposer", "strong", "--solver", "weak", "--reader", ""], "a league needs one reader for all"),
    ],
)
def test_what_cannot_be_played_is_refused_before_the_first_game(arguments, message):
    typer = pytest.importorskip("typer")
    from ssp_env.cli import build_app

    with pytest.raises(ValueError, match=message):
        typer.main.get_command(build_app()).main(["league", *arguments], standalone_mode=False)


def test_models_of_a_run_come_in_the_order_of_their_steps(tmp_path):
    for step in (100, 20, 1000):
        (tmp_path / "models" / f"{step:06d}").mkdir(parents=True)
    assert [name[-6:] for name in models_of(tmp_path)] == ["000020", "000100", "001000"]
    (tmp_path / "warm-start").mkdir()
    assert [Path(name).name for name in models_of(tmp_path)][:2] == ["warm-start", "000020"]
    assert [_step_of(name) for name in models_of(tmp_path)] == ["0", "20", "100", "1000"]
