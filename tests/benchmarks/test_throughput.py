"""The throughput benchmark runs, and measures what it says; never how long anything takes."""

import re

import pytest
from typer import Typer
from typer.testing import CliRunner

from benchmarks import other_libraries, throughput
from benchmarks.tape import SEARCHES, Scene, TapeEngine
from ssp_env.play import play


@pytest.fixture(scope="module")
def scene():
    return Scene.open(200)


def run(*arguments):
    app = Typer()
    app.command()(throughput.main)
    result = CliRunner().invoke(app, ["--passages=200", "--games=2", "--repeats=1", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_tape_plays_whole_games_and_searches_every_query_once(scene):
    searched = []

    class Counting:
        def search(self, queries, top_k):
            searched.extend(queries)
            return scene.engine.search(queries, top_k)

        sample = scene.engine.sample

    player, games = scene.player(), scene.games(5)
    engine = TapeEngine(Counting())
    for _ in range(2):
        outcomes = play(scene.games(5), proposer=player, solver=player, search=engine)
        assert [outcome.reason for outcome in outcomes] == ["solved"] * 5
    assert player.turns == 2 * len(games) * (2 * SEARCHES + 3)
    assert sorted(searched) == sorted(set(searched)) == sorted(engine.found)


def test_figures_need_solved_games(scene, monkeypatch):
    class Silent:
        turns = 1

        def act(self, view):
            return "hm"

    monkeypatch.setattr(Scene, "player", lambda scene: Silent())
    with pytest.raises(RuntimeError, match=r"expected every game to be solved, got \['malformed'\]"):
        throughput.own_time(scene, TapeEngine(scene.engine), 2)


def test_the_command_prints_every_table():
    output = run("--no-others")
    assert re.search(r"own time per turn.*\d+ us", output)
    assert re.search(r"one BM25 query.*\d+ us", output)
    assert "Scripted games per second" in output
    assert "1,000,000" in output
    assert "textarena" not in output


def test_what_is_not_installed_is_named_with_the_way_to_get_it(monkeypatch):
    def missing(*_):
        raise ImportError("no such module")

    def pettingzoo(make):
        make()
        return 100.0

    monkeypatch.setattr(throughput, "textarena_turn_time", missing)
    monkeypatch.setattr(throughput, "tic_tac_toe", missing)
    monkeypatch.setattr(throughput, "pettingzoo_turns_per_second", pettingzoo)
    assert run().count("ssp-env[benchmark]") == 2


def test_the_figure_of_pettingzoo_is_what_it_prints(monkeypatch):
    monkeypatch.setattr("pettingzoo.test.performance_benchmark", lambda env: print("12.5 turns per second"))
    assert other_libraries.pettingzoo_turns_per_second(object) == 12.5
    monkeypatch.setattr("pettingzoo.test.performance_benchmark", lambda env: print("fast"))
    with pytest.raises(RuntimeError, match="PettingZoo printed 'fast"):
        other_libraries.pettingzoo_turns_per_second(object)
