"""The audit: rejections by reason, labels held against an oracle, agreement on false labels."""

import numpy as np
import pytest

from ssp_env.game import Failure, Task
from ssp_env.game.audit import audit
from ssp_env.play import play
from ssp_env.worlds import World, world_preset
from tests.game.doubles import (
    HOPELESS,
    PERFECT,
    QUESTION,
    TASK,
    Script,
    Shelf,
    answer,
    new_game,
    propose,
    question,
    read,
    say,
    search,
    turn_of,
)


def valid_game(first=True, second=False):
    """A valid question with two attempts, right or wrong."""
    game = new_game(attempts=2)
    propose(game, search("belin"), search("corun"), search("who knows Tavor"), question())
    read(game)
    say(game, "solver_0", answer("Tavor" if first else "Sarn"))
    say(game, "solver_1", answer("Tavor" if second else "Sarn"))
    return game


def test_without_an_oracle_the_label_is_not_judged():
    assert audit(valid_game()) == {
        "valid": 1.0,
        "error": 0.0,
        "rejected": 0.0,
        "searches_with_answer": 1.0,
        "paid_attempts": 1.0,
    }


@pytest.mark.parametrize(
    ("answers", "label_true"),
    [
        ({"tavor"}, True),
        ({"Tavor", "Tavor of Ruvia"}, True),
        ({"Tavor", "Sarn"}, False),
        ({"Sarn"}, False),
        (set(), False),
    ],
)
def test_a_label_is_true_if_it_is_the_only_right_answer(answers, label_true):
    asked = []

    def oracle(text):
        asked.append(text)
        return answers

    found = audit(valid_game(second=True), oracle)
    assert asked == [QUESTION]
    assert found["label_true"] == float(label_true)
    assert found["false_agreement"] == float(not label_true)
    assert found["false_payments"] == (0.0 if label_true else 2.0)


def test_a_question_the_oracle_does_not_know_is_left_open():
    assert not {"label_true", "false_agreement", "false_payments"} & set(
        audit(valid_game(), lambda text: None)
    )


def test_a_rejection_is_counted_under_its_reason_and_agrees_with_nobody():
    game = new_game()
    propose(game)
    read(game, answer("Sarn"))
    found = audit(game, lambda text: {"Sarn"})
    assert (found["rejected"], found["rejected/not_recovered"], found["valid"]) == (1.0, 1.0, 0.0)
    assert (found["label_true"], found["false_agreement"], found["false_payments"]) == (0.0, 0.0, 0.0)


def test_a_broken_game_is_neither_valid_nor_rejected_and_paid_nobody():
    game = new_game(attempts=2)
    propose(game)
    read(game)
    say(game, "solver_0", answer())
    game.submit(turn_of(game, "solver_1").id, Failure("down"))
    found = audit(game)
    assert (found["valid"], found["error"], found["rejected"], found["paid_attempts"]) == (0.0, 1.0, 0.0, 0.0)


def test_a_game_that_is_not_over_cannot_be_audited():
    with pytest.raises(ValueError, match="game 'task-0' is not over"):
        audit(new_game())


def test_a_generated_world_is_an_oracle():
    world = World(world_preset("tiny"))
    gold = world.questions(2, 1, np.random.default_rng(0))[0]
    lines = (search("x"), search("y"), question(gold.question))
    rules = {"protocol": "terse", "min_question_words": 4, "rag_check": False}
    for name, label_true in ((gold.answer, 1.0), ("nobody", 0.0)):
        game = new_game(Task(name, id="w"), **rules)
        play([game], proposer=Script(*lines), solver=PERFECT, search=Everything())
        assert audit(game, world.answers_to)["label_true"] == label_true


class Everything(Shelf):
    """Finds the same page for every query."""

    def search(self, queries, top_k):
        return [self.pages[:1] for _ in queries]


def test_rates_over_games_are_means_of_audits():
    games = [new_game(TASK, seed) for seed in range(4)]
    for game, solver in zip(games, (PERFECT, PERFECT, HOPELESS, HOPELESS), strict=True):
        play(
            [game],
            proposer=Script(search("belin"), search("corun"), question()),
            solver=solver,
            search=Shelf(),
        )
    assert [audit(game)["valid"] for game in games] == [1.0, 1.0, 0.0, 0.0]
