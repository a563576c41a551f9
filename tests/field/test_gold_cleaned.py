"""Golds go through the cleaning that answers go through."""

import pytest

from ssp_env.game import Game, Task


@pytest.mark.parametrize(
    "gold", ["1.676 mm (5 ft 6 1\x812 in)", "\u202b\u05d7\u05d9\u05e4\u05d4\u202c", "<s>", "[INST]", "|>x"]
)
def test_a_gold_that_is_repeated_letter_by_letter_solves(gold):
    game = Game(Task(gold, question="Which one?"))
    game.submit("solver_0/turn/0", f"<answer> {gold} </answer>")
    assert game.outcome.reason == "solved"
