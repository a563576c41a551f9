"""Snapshots: at every step of any game, the game comes back whole, and a copy shares nothing with it."""

import json
import pickle
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.game import Game, GameConfig, Read, Turn
from tests.game.doubles import PAGES, TASK, answer, new_game, propose, read, say, search, turn_of
from tests.game.random_games import fresh_games, results


def state(game):
    """Everything a driver or a reader of events can tell about a game."""
    return (
        game.id,
        game.phase,
        game.question,
        game.seats,
        game.config,
        game.task,
        game.requests(),
        game.events,
        game.evidence,
        game.outcome,
    )


@settings(max_examples=150)
@given(fresh_games(), st.data())
def test_any_game_survives_json_at_every_step_and_goes_on_alike(game, data):
    copy = game
    while game.requests():
        request = data.draw(st.sampled_from(game.requests()))
        result = data.draw(results(request))
        game.submit(request.id, result)
        if copy is not game:
            copy.submit(request.id, result)
        assert state(copy) == state(game)
        assert copy.snapshot() == game.snapshot()
        copy = Game.restore(json.loads(json.dumps(game.snapshot())))
        assert state(copy) == state(game)


@settings(max_examples=150)
@given(fresh_games(), st.data())
def test_any_game_ends_and_its_outcome_agrees_with_its_events(game, data):
    limit = (game.config.solver.max_turns * 2 + 2) * (game.config.attempts + 1) + 4
    steps = 0
    while game.requests():
        assert game.outcome is None
        assert len({request.id for request in game.requests()}) == len(game.requests())
        for request in game.requests():
            if isinstance(request, Turn | Read):
                assert request.view.turns_left >= 1
                assert request.view.searches_left >= 0
        request = data.draw(st.sampled_from(game.requests()))
        game.submit(request.id, data.draw(results(request)))
        steps += 1
        assert steps <= limit
    outcome = game.outcome
    assert game.phase == "done"
    assert set(outcome.rewards) == set(game.seats)
    names = [type(event).__name__ for event in game.events]
    assert (outcome.verdict == "error") == ("GameBroken" in names) == (outcome.failure is not None)
    assert outcome.metrics["turns"] == names.count("TurnTaken")
    if outcome.verdict == "valid":
        right = [outcome.rewards[seat] for seat in game.seats[1:]]
        assert outcome.success_rate == sum(right) / len(right)
        assert 0.0 <= outcome.rewards["proposer_0"] <= 1.0
    else:
        assert outcome.success_rate is None
        assert all(outcome.rewards[seat] == 0.0 for seat in game.seats[1:])
        penalty = game.config.invalid_reward if outcome.verdict == "invalid" else 0.0
        assert outcome.rewards["proposer_0"] == penalty


@settings(max_examples=50)
@given(fresh_games(), st.data())
def test_forks_at_every_step_have_the_same_future_and_leave_the_game_alone(game, data):
    while game.requests():
        before = state(game)
        texts = [json.dumps(game.snapshot())]
        first, second = game.fork(2)
        same, other = (Game.restore(json.loads(text)) for text in texts * 2)
        while first.requests():
            request = data.draw(st.sampled_from(first.requests()))
            result = data.draw(results(request))
            for copy in (first, second, same):
                copy.submit(request.id, result)
            assert state(first) == state(second) == state(same)
        assert first.outcome is not None
        assert state(game) == state(other) == before
        assert json.dumps(game.snapshot()) == texts[0]
        request = data.draw(st.sampled_from(game.requests()))
        game.submit(request.id, data.draw(results(request)))


def test_forks_share_the_past_and_nothing_else():
    game = new_game(rag_check=False)
    propose(game)
    say(game, "solver_0", search("belin"))
    first, second = game.fork(2)
    assert state(first) == state(second) == state(game)
    say(first, "solver_0", answer())
    say(second, "solver_0", search("corun"), answer("x"))
    assert first.outcome.reason == "solved"
    assert second.outcome.reason == "unsolved"
    assert game.outcome is None
    assert len(game.events) == len(first.events) - 2
    assert turn_of(game, "solver_0").view.searches_left == game.config.solver.max_searches - 1


def test_a_fork_before_the_shuffle_shuffles_alike():
    game = new_game(seed=11, noise_passages=0)
    propose(game, search("belin"), search("corun"), search("sarn"), search("nobody"))
    fork = game.fork(1)[0]
    for copy in (game, fork):
        propose(copy, "<question> " + "word " * 10 + "? </question>")
    assert game.requests() == fork.requests()
    assert game.events[-1] == fork.events[-1]


def test_a_generator_shared_by_games_does_not_disturb_their_snapshots():
    rng = np.random.default_rng(5)
    first, second = Game(TASK, GameConfig(), rng, "a"), Game(TASK, GameConfig(), rng, "b")
    rng.random(7)
    for game in (first, second):
        propose(game)
        assert Game.restore(game.snapshot()).events == game.events


def test_every_game_draws_its_own_seed_from_a_generator():
    def seeds(start):
        rng = np.random.default_rng(start)
        return [Game(TASK, GameConfig(), rng).snapshot()["seed"] for _ in range(3)]

    assert len(set(seeds(5) + seeds(6))) == 6
    assert seeds(5) == seeds(5)
    assert Game(TASK, GameConfig(), np.int64(7)).snapshot()["seed"] == 7


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.Philox])
def test_any_generator_of_numpy_gives_json(bits):
    game = Game(TASK, GameConfig(), np.random.Generator(bits(3)))
    propose(game)
    assert Game.restore(json.loads(json.dumps(game.snapshot()))).events == game.events


def test_tokens_come_back_as_they_were_sampled():
    from ssp_env.game import Reply

    game = new_game()
    reply = Reply(search("belin"), (5, 6), (-0.25, -1.5), (1, 2, 3))
    game.submit(turn_of(game, "proposer_0").id, reply)
    copy = Game.restore(json.loads(json.dumps(game.snapshot())))
    assert copy.events[0].reply == reply


def test_a_finished_game_is_restored_finished():
    game = new_game(noise_passages=0)
    propose(game)
    read(game)
    say(game, "solver_0", answer())
    copy = Game.restore(game.snapshot())
    assert copy.outcome == game.outcome
    assert copy.requests() == ()


def test_a_snapshot_is_not_changed_by_the_game_going_on():
    game = new_game()
    before = game.snapshot()
    text = json.dumps(before)
    propose(game)
    assert json.dumps(before) == text


@pytest.mark.parametrize("version", [2, 4, None])
def test_another_version_is_refused(version):
    with pytest.raises(ValueError, match=f"expected a game snapshot of version 3, got {version}"):
        Game.restore({**new_game().snapshot(), "version": version})


def test_passages_keep_their_scores():
    game = new_game()
    game.submit(turn_of(game, "proposer_0").id, search("belin"))
    page = type(PAGES[0])("x", "Title", "Text", 1.25)
    game.submit(game.requests()[0].id, [page])
    assert Game.restore(json.loads(json.dumps(game.snapshot()))).evidence == [page]


def test_games_pickle_and_copy_in_the_middle_and_go_on_alike():
    game = new_game()
    propose(game)
    copies = [pickle.loads(pickle.dumps(game)), deepcopy(game)]
    for each in (game, *copies):
        read(each)
        say(each, "solver_0", answer())
    for each in copies:
        assert each.events == game.events
        assert each.outcome == game.outcome
        assert each.outcome is not game.outcome
