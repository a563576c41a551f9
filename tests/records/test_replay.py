"""Replay: every record comes out to the byte, and the first thing that does not is named."""

import copy
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings

from ssp_env.game import Failure, Reply
from ssp_env.records import Episode, first_difference, retold
from tests.game.doubles import new_game, search
from tests.records.games import finished_games, refused_game, solved_game


@settings(max_examples=150)
@given(finished_games())
def test_any_recorded_game_is_reproduced(game):
    episode = Episode.from_data(json.loads(Episode.of(game).to_line()))
    assert first_difference(episode) == ""
    assert retold(episode).game.snapshot() == game.snapshot()


def test_the_steps_of_a_replay_are_requests_results_and_the_events_they_caused():
    game = solved_game()
    steps = retold(Episode.of(game)).steps
    assert [event for step in steps for event in step.events] == game.events
    assert [step.request.id for step in steps] == [name for name, _ in game.snapshot()["inputs"]]


def changed(change):
    data = copy.deepcopy(json.loads(Episode.of(solved_game()).to_line()))
    change(data)
    return Episode.from_data(data)


def test_the_version_of_the_weights_is_recorded_and_replayed():
    game = new_game(rag_check=False, min_searches=0)
    game.submit("proposer_0/turn/0", Reply(search("belin"), (5,), (), (1,), weights_version="step 3"))
    game.submit("proposer_0/search/0", Failure("down"))
    data = json.loads(Episode.of(game).to_line())
    assert data["events"][0]["reply"]["weights_version"] == "step 3"
    assert retold(Episode.from_data(data)).steps[0].result.weights_version == "step 3"


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda data: data["events"][2].update(seat="solver_9"), "event 3: recorded"),
        (lambda data: data["events"].pop(), "recorded none, replayed"),
        (lambda data: data["events"].append({"type": "Extra"}), 'recorded {"type": "Extra"}, replayed none'),
        (lambda data: data["outcome"]["rewards"].update(solver_0=0.5), "outcome: recorded"),
        (lambda data: data["outcome"]["metrics"].update(turns=5), "outcome: recorded"),
        (
            lambda data: data["snapshot"]["inputs"][0][1]["reply"].update(text="hm"),
            "open are: proposer_0/turn/1",
        ),
        (lambda data: data["snapshot"]["inputs"].pop(1), "a result for 'proposer_0/turn/1' was recorded"),
        (lambda data: data["snapshot"]["inputs"].pop(), ", replayed none"),
        (lambda data: data["snapshot"]["inputs"][0].__setitem__(1, {"verdict": True}), "wants text"),
        (lambda data: data["snapshot"].update(version=99), "snapshot of version"),
        (lambda data: data["snapshot"].pop("task"), "cannot read"),
        (lambda data: data["snapshot"]["config"].update(charm=3), "unknown rule 'charm'"),
    ],
)
def test_whatever_does_not_replay_is_named(change, difference):
    found = first_difference(changed(change))
    assert difference in found


def test_a_number_that_prints_otherwise_is_a_difference():
    episode = Episode.of(refused_game())
    rewards = {seat: int(reward) for seat, reward in episode.outcome["rewards"].items()}
    other = replace(episode, outcome={**episode.outcome, "rewards": rewards})
    assert other == episode and first_difference(other).startswith("outcome")
