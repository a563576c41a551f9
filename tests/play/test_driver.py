"""The lockstep driver: known outcomes, rounds, batches, and games step by step."""

import weakref

import pytest

from ssp_env.game import Game, GameConfig, Reply, Task
from ssp_env.game.events import EvidenceMixed
from ssp_env.play import Driver, Services, act_all, play
from tests.game.doubles import (
    HOPELESS,
    PERFECT,
    PROPOSAL,
    QUESTION,
    Script,
    Shelf,
    answer,
    question,
    search,
)
from tests.play.players import Batched, Wanderer, make_games, noise_ids, recorded

PROPOSER = Script(*PROPOSAL)


# -- known outcomes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "proposer_reward", "solver_reward"), [(PERFECT, 0.0, 1.0), (HOPELESS, 1.0, 0.0)]
)
def test_known_outcomes(solver, proposer_reward, solver_reward):
    games = make_games(attempts=3)
    for outcome in play(games, proposer=PROPOSER, solver=solver, reader=PERFECT, search=Shelf()):
        assert outcome.verdict == "valid"
        assert outcome.rewards["proposer_0"] == proposer_reward
        assert [outcome.rewards[f"solver_{k}"] for k in range(3)] == [solver_reward] * 3


def test_outcomes_come_in_the_order_of_the_games():
    games = make_games(3)
    scripts = {"g0": PROPOSAL, "g1": (question("short"),), "g2": ("hm", "hm")}

    class ByGame:
        def act(self, view):
            return Script(*scripts[view.game_id]).act(view)

    outcomes = play(games, proposer=ByGame(), solver=PERFECT, search=Shelf())
    assert [outcome.reason for outcome in outcomes] == ["solved", "too_short", "malformed"]
    assert outcomes == [game.outcome for game in games]


def test_every_end_is_reported_once():
    ended = []
    games = make_games(3)
    play(
        games,
        proposer=PROPOSER,
        solver=PERFECT,
        search=Shelf(),
        on_outcome=lambda game: ended.append(game.id),
    )
    assert sorted(ended) == ["g0", "g1", "g2"]


def test_games_already_over_are_left_alone():
    games = make_games(2)
    play(games[:1], proposer=PROPOSER, solver=PERFECT, search=Shelf())
    events = list(games[0].events)
    outcomes = play(games, proposer=PROPOSER, solver=HOPELESS, reader=PERFECT, search=Shelf())
    assert [outcome.reason for outcome in outcomes] == ["solved", "unsolved"]
    assert games[0].events == events


def test_no_games_no_outcomes():
    assert play([], proposer=PROPOSER, solver=PERFECT, search=Shelf()) == []


def test_games_need_distinct_ids():
    with pytest.raises(ValueError, match="distinct ids"):
        play([*make_games(1), *make_games(1)], proposer=PROPOSER, solver=PERFECT, search=Shelf())


# -- lockstep ----------------------------------------------------------------------------------------------


def test_playing_twice_gives_the_same_events():
    first, second = make_games(5, attempts=2), make_games(5, attempts=2)
    for games in (first, second):
        play(games, proposer=Wanderer(), solver=Wanderer(), search=Shelf(), seed=1)
    assert [game.events for game in first] == [game.events for game in second]


def test_agents_and_engines_are_asked_in_batches():
    shelf, proposer, solver = Shelf(), Batched(PROPOSER), Batched(PERFECT)
    play(make_games(6, attempts=2), proposer=proposer, solver=solver, search=shelf)
    assert proposer.sizes == [6, 6, 6, 6]
    assert solver.sizes == [6, 12]
    assert [len(batch) for batch in shelf.batches] == [6, 6, 6]


def test_one_agent_in_both_roles_gets_one_batch_a_round():
    both = Batched(Wanderer())
    games = make_games(4, rag_check=False)
    play(games, proposer=both, solver=both, search=Shelf())
    assert max(both.sizes) == 4
    assert all(game.outcome.verdict == "valid" for game in games)


def test_attempts_wait_for_proposals_so_that_their_batch_is_large():
    solver = Batched(PERFECT)
    games = [
        *make_games(2, rag_check=False),
        Game(Task("Tavor", question=QUESTION, id="known")),
    ]
    play(games, proposer=PROPOSER, solver=solver, search=Shelf())
    assert solver.sizes == [3]


def test_an_agent_must_give_one_reply_per_view():
    class Silent:
        def act_batch(self, views):
            return []

    games = make_games(2)
    play(games, proposer=Silent(), solver=PERFECT, search=Shelf())
    assert [game.events[-1].detail for game in games] == [
        "proposer: ValueError: the agent was asked for 2 replies and gave 0"
    ] * 2


def test_act_all_keeps_tokens():
    class Tokens:
        def act(self, view):
            return Reply("x", (1,), (-0.5,))

    assert act_all(Tokens(), [None]) == [Reply("x", (1,), (-0.5,))]
    assert act_all(Script("plain"), []) == []


# -- games of all kinds ------------------------------------------------------------------------------------


def test_known_questions_and_proposals_play_together():
    games = [*make_games(2), Game(Task("Tavor", question=QUESTION, id="known"))]
    outcomes = play(games, proposer=PROPOSER, solver=PERFECT, search=Shelf())
    assert [outcome.reason for outcome in outcomes] == ["solved"] * 3
    assert not any(isinstance(event, EvidenceMixed) for event in games[2].events)


def test_noise_waits_until_nobody_proposes():
    class Slow:
        """Game g2 finds three pages more than the others, after they have asked their questions."""

        def act(self, view):
            extra = [search("nothing"), search("nobody")] if view.game_id == "g2" else []
            return Script(*PROPOSAL[:2], *extra, question()).act(view)

    games = make_games(3, noise_passages=3)
    play(games, proposer=Slow(), solver=PERFECT, search=Shelf())
    assert noise_ids(games[0]) == noise_ids(games[1]) == {"n0", "n1", "n2"}


# -- step by step ------------------------------------------------------------------------------------------


def services(**others):
    return Services(**{"proposer": PROPOSER, "solver": PERFECT, "search": Shelf(), **others})


def test_a_step_serves_one_round():
    proposer = Batched(PROPOSER)
    games = make_games(3)
    driver = Driver(games, services(proposer=proposer))
    assert driver.step() == []
    assert proposer.sizes == [3]
    assert [len(game.events) for game in games] == [1, 1, 1]
    assert driver.alive == 3 and not driver.done


def test_games_can_be_looked_at_between_steps_and_end_as_with_play():
    games, others = make_games(7, attempts=2), make_games(7, attempts=2)
    driver = Driver(games, services(proposer=Wanderer(), solver=Wanderer()))
    ended = []
    while not driver.done:
        ended += driver.step()
        assert all(Game.restore(game.snapshot()).requests() == game.requests() for game in games)
    play(others, proposer=Wanderer(), solver=Wanderer(), search=Shelf())
    assert recorded(games) == recorded(others)
    assert sorted(end.index for end in ended) == list(range(7))
    assert all(games[end.index] is end.game for end in ended)


def test_a_step_after_the_end_does_nothing():
    driver = Driver(make_games(1), services())
    list(driver)
    assert driver.done
    assert driver.step() == []


def test_stepping_can_stop_and_another_driver_go_on():
    games, others = make_games(5), make_games(5)
    first = Driver(games, services(proposer=Wanderer(), solver=Wanderer()))
    for _ in range(4):
        first.step()
    restored = [Game.restore(game.snapshot()) for game in games]
    play(restored, proposer=Wanderer(), solver=Wanderer(), search=Shelf())
    play(others, proposer=Wanderer(), solver=Wanderer(), search=Shelf())
    assert recorded(restored) == recorded(others)


def test_a_stream_of_games_is_forgotten_as_it_ends():
    alive = weakref.WeakSet()
    most = 0

    def stream():
        nonlocal most
        for index in range(200):
            game = Game(Task("Tavor", id=f"g{index}"), GameConfig())
            alive.add(game)
            most = max(most, len(alive))
            yield game
            del game

    outcomes = play(stream(), proposer=Wanderer(), solver=Wanderer(), search=Shelf(), concurrency=8, cohort=4)
    assert len(outcomes) == 200
    assert most <= 8 + 4 + 1, "one more than the limit: the games that ended in a round leave after it"


def test_outcomes_of_a_stream_come_in_order():
    games = make_games(30)
    outcomes = play(iter(games), proposer=Wanderer(), solver=Wanderer(), search=Shelf(), concurrency=3)
    assert outcomes == [game.outcome for game in games]


def test_games_over_when_they_come_are_not_reported():
    games, reported = make_games(3), []
    play(games[1:2], proposer=PROPOSER, solver=PERFECT, search=Shelf())
    outcomes = play(
        games,
        proposer=PROPOSER,
        solver=PERFECT,
        search=Shelf(),
        on_outcome=lambda game: reported.append(game.id),
    )
    assert len(outcomes) == 3
    assert reported == ["g0", "g2"]


def test_every_reading_goes_to_the_reader():
    reader, solver = Script(answer()), Script(answer())
    play(make_games(2), proposer=PROPOSER, solver=solver, reader=reader, search=Shelf())
    assert {view.phase for view in reader.views} == {"verify"}
    assert {view.phase for view in solver.views} == {"solve"}
