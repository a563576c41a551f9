"""Budgets per seat: limits of one seat do not touch the other, and tokens are counted as sampled."""

from dataclasses import replace

from ssp_env.game import Budget, Game, GameConfig, Reply
from tests.game.doubles import (
    PAGES,
    QUESTION,
    TASK,
    answer,
    ended,
    new_game,
    outcome,
    question,
    search,
    turn_of,
)


def spent(text, tokens):
    return Reply(text, tuple(range(tokens)))


def take(game, seat, reply):
    game.submit(turn_of(game, seat).id, reply)


def solving(**options):
    return Game(replace(TASK, question=QUESTION), GameConfig(attempts=2, **options))


def test_each_seat_has_its_own_limits():
    config = GameConfig(proposer=Budget(3, 5), solver=Budget(7, 2))
    assert Game(TASK, config).requests()[0].view.turns_left == 5
    view = Game(replace(TASK, question=QUESTION), config).requests()[0].view
    assert (view.turns_left, view.searches_left) == (2, 7)


def test_a_view_tells_the_tokens_left():
    game = solving(solver=Budget(max_tokens=10))
    assert turn_of(game, "solver_0").view.tokens_left == 10
    take(game, "solver_0", spent(search("x"), 4))
    game.submit("solver_0/search/0", [PAGES[0]])
    assert turn_of(game, "solver_0").view.tokens_left == 6
    assert turn_of(game, "solver_1").view.tokens_left == 10
    assert new_game().requests()[0].view.tokens_left is None


def test_an_answer_within_the_budget_counts_and_one_beyond_it_does_not():
    game = solving(solver=Budget(max_tokens=10))
    take(game, "solver_0", spent(answer(), 10))
    take(game, "solver_1", spent(answer(), 11))
    assert outcome(game).rewards == {"proposer_0": 0.5, "solver_0": 1.0, "solver_1": 0.0}


def test_a_search_that_leaves_no_token_forfeits():
    game = new_game(max_tokens=4)
    take(game, "proposer_0", spent(search("belin"), 4))
    assert ended(game) == ("invalid", "token_limit")


def test_tokens_add_up_over_the_turns():
    game = new_game(max_tokens=10)
    take(game, "proposer_0", spent(search("belin"), 6))
    game.submit("proposer_0/search/0", [PAGES[0]])
    take(game, "proposer_0", spent(question(), 6))
    assert ended(game) == ("invalid", "token_limit")


def test_a_malformed_turn_beyond_the_budget_forfeits_for_its_tokens():
    game = new_game(max_tokens=4, retries=0)
    take(game, "proposer_0", spent("hm", 5))
    assert ended(game) == ("invalid", "token_limit")


def test_text_without_tokens_costs_none():
    game = solving(solver=Budget(max_tokens=1))
    take(game, "solver_0", answer() + " word" * 100)
    take(game, "solver_1", answer())
    assert outcome(game).rewards["solver_0"] == 1.0
