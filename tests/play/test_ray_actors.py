"""Games on a real Ray: the same as in one process, also when actors die, and read as there is room."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs Ray: make parity")

import ray

from agents.scripted import scripted
from ssp_env.game import Game, Task, View
from ssp_env.play import play
from ssp_env.play.ray_actors import play_on_actors
from ssp_env.scenario import open_scenario
from tests.markdown import ROOT

pytestmark = pytest.mark.filterwarnings("default")
WORLD = {"world": "tiny", "index": 3}


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    path = os.pathsep.join([str(ROOT), *(os.path.abspath(entry) for entry in sys.path if entry)])
    environment = {"env_vars": {"PYTHONPATH": path, "RAY_AUTH_MODE": "disabled"}}
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    ray.init(
        num_cpus=4,
        include_dashboard=False,
        runtime_env=environment,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        object_store_memory=100_000_000,
    )
    yield
    ray.shutdown()


def players(number: int) -> Mapping[str, Any]:
    """What every actor plays with."""
    search = open_scenario("tiny", index=3).engine
    return {
        "proposer": scripted("proposer", "perfect", 1),
        "solver": scripted("solver", "weak", 1),
        "search": search,
    }


def games(count: int = 10) -> Iterator[Game]:
    scenario = open_scenario("tiny", index=3, hops=[2], rules={"attempts": 2})
    yield from scenario.games(scenario.draw_tasks(count), seed=5)


def snapshots(played: list[Game]) -> list[dict[str, Any]]:
    return [game.snapshot() for game in played]


def in_one_process(cohort: int) -> list[dict[str, Any]]:
    played = list(games())
    play(played, **players(0), cohort=cohort)
    return snapshots(played)


def on_actors(setup: Any, **options: Any) -> list[Game]:
    ended = sorted(
        play_on_actors(games(), setup, cohort=3, options={"num_cpus": 1}, **options),
        key=lambda one: one.index,
    )
    assert [one.index for one in ended] == list(range(10))
    return [one.game for one in ended]


def test_games_are_those_of_one_process(cluster: None):
    expected = in_one_process(3)
    assert snapshots(on_actors(players, actors=2)) == expected != in_one_process(10)


class Mortal:
    """A solver that ends its process the first times that it is asked about a game."""

    def __init__(self, folder: Path, game_id: str, deaths: int) -> None:
        self.folder, self.game_id, self.deaths = folder, game_id, deaths
        self.solver = scripted("solver", "weak", 1)

    def act(self, view: View) -> str:
        if view.game_id == self.game_id and len(list(self.folder.iterdir())) < self.deaths:
            (self.folder / str(os.getpid())).touch()
            os._exit(1)
        return self.solver.act(view)


def test_what_a_dead_actor_had_is_played_again(cluster: None, tmp_path: Path):
    victim = next(games()).id

    def setup(number: int) -> Mapping[str, Any]:
        return {**players(number), "solver": Mortal(tmp_path, victim, 1)}

    assert snapshots(on_actors(setup, actors=2)) == in_one_process(3)
    assert len(list(tmp_path.iterdir())) == 1


def test_games_that_kill_every_actor_end_as_error_and_nobody_is_paid(cluster: None, tmp_path: Path):
    victim = next(games()).id

    def setup(number: int) -> Mapping[str, Any]:
        return {**players(number), "solver": Mortal(tmp_path, victim, 9)}

    played = on_actors(setup, actors=2, tries=2, in_hand=1)
    assert len(list(tmp_path.iterdir())) == 2
    broken = [game for game in played if game.outcome.verdict == "error"]
    assert broken == played[:3]
    assert "2 Ray actors died" in broken[0].outcome.failure
    assert not any(reward for game in broken for reward in game.outcome.rewards.values())
    assert snapshots(played[3:]) == in_one_process(3)[3:]


def test_an_error_of_the_setup_reaches_the_caller(cluster: None):
    def setup(number: int) -> Mapping[str, Any]:
        raise FileNotFoundError(f"no model for actor {number}")

    with pytest.raises(FileNotFoundError, match="no model for actor"):
        on_actors(setup, actors=1)


def test_no_more_games_are_read_than_there_is_room_for(cluster: None):
    read = []

    def counted() -> Iterator[Game]:
        for game in games():
            read.append(game.id)
            yield game

    ended = play_on_actors(counted(), players, actors=1, cohort=1, in_hand=2, options={"num_cpus": 1})
    next(ended)
    assert len(read) <= 3
    ended.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["actors", "cohort", "in_hand", "tries"])
def test_numbers_below_one_are_refused(name: str):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        next(play_on_actors([Game(Task("x"))], players, **{"actors": 1, name: 0}))
