"""The floor for questions about real text."""

import pytest

from agents.scripted.titles import TitlePlayer
from ssp_env.game import GameConfig, Message, View
from ssp_env.game.passage import Passage
from ssp_env.game.prompts import english

RULES = GameConfig()
FOUND = [Passage("1", "Oslo", "..."), Passage("2", "Musa (film)", "..."), Passage("3", "Bergen", "...")]


def view(phase, messages, searches_left=4):
    return View("g", "solver_0", phase, tuple(messages), 5, searches_left)


def test_it_searches_the_question_once_and_answers_with_a_title_that_is_not_in_it():
    opening = english.solver(RULES, "Who was born in Oslo?")
    said = TitlePlayer().act(view("solve", opening))
    assert said == "<search> Who was born in Oslo? </search>"
    from ssp_env.game import PROTOCOLS

    shown = Message("tool", PROTOCOLS["default"].observe(FOUND))
    told = [*opening, Message("assistant", said), shown]
    assert TitlePlayer().act(view("solve", told)) == "<answer> Musa </answer>"


@pytest.mark.parametrize(("passages", "answer"), [(FOUND, "Musa"), ([], "unknown")])
def test_it_reads_what_it_is_given(passages, answer):
    opening = english.reader(RULES, "Who was born in Oslo?", passages)
    assert TitlePlayer().act(view("verify", opening, 0)) == f"<answer> {answer} </answer>"
