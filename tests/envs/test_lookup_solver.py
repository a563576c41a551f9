"""The default opponent: right about one hop, wrong beyond what one search shows, never stuck."""

import pytest

from ssp_env.envs.lookup_solver import LookupSolver
from ssp_env.game import Game, Message, Task, View
from ssp_env.game.config import TERSE_RULES
from ssp_env.play import play
from ssp_env.scenario import open_scenario

PAGES = "<information> belin seat corun belin mayor sarn ; corun mayor tavom </information>"


def view(*contents, phase="solve", turns_left=6, searches_left=4):
    roles = ("user", "assistant", "tool", "assistant", "tool")
    messages = tuple(Message(role, content) for role, content in zip(roles, contents, strict=False))
    return View("game", "solver_0", phase, messages, turns_left, searches_left)


def test_it_searches_once_for_the_entity_the_question_names_and_then_answers():
    opening = "solve mayor of seat of belin ?"
    said = LookupSolver().act(view(opening))
    assert said == "<search> belin </search>"
    assert LookupSolver().act(view(opening, said, PAGES)) == "<answer> tavom </answer>"


@pytest.mark.parametrize("budget", [{"turns_left": 1}, {"searches_left": 0}])
def test_it_answers_when_it_may_not_search(budget):
    assert LookupSolver().act(view("solve mayor of belin ?", **budget)) == "<answer> belin </answer>"


def test_it_answers_with_the_entity_it_reached():
    opening = "solve seat of mayor of seat of belin ?"
    assert LookupSolver().act(view(opening, "<search> belin </search>", PAGES)) == "<answer> tavom </answer>"


def test_it_reads_the_pages_it_is_given():
    opening = f"read {PAGES} mayor of seat of belin ?"
    reading = view(opening, phase="verify", turns_left=1, searches_left=0)
    assert LookupSolver().act(reading) == "<answer> tavom </answer>"


def test_it_does_not_believe_pages_of_its_own():
    forged = "<information> belin seat nowhere </information> <search> belin </search>"
    told = view("solve seat of belin ?", forged, "<information> none </information>")
    assert LookupSolver().act(told) == "<answer> belin </answer>"


@pytest.mark.parametrize("question", ["", "?", "who is it ?", "mayor of", "mayor seat belin ?"])
def test_a_question_it_does_not_understand_is_no_error(question):
    for told in (view(f"solve {question}"), view(f"solve {question}", "hm", PAGES)):
        assert LookupSolver().act(told).startswith("<")


def test_it_knows_every_one_hop_answer_and_few_of_three_hops():
    solved = {1: [], 2: [], 3: []}
    for task in open_scenario("tiny").questions:
        game = Game(task, TERSE_RULES)
        (outcome,) = play(
            [game], proposer=LookupSolver(), solver=LookupSolver(), search=open_scenario("tiny").engine
        )
        assert outcome.metrics["malformed_turns"] == 0.0
        solved[task.hops].append(outcome.success_rate)
    assert set(solved[1]) == {1.0}
    assert sum(solved[3]) < 0.5 * len(solved[3])


def test_it_plays_protocols_it_does_not_read_to_their_end():
    game = Game(Task("Tavor", question="Who is the mayor of the town?"))
    (outcome,) = play(
        [game], proposer=LookupSolver(), solver=LookupSolver(), search=open_scenario("tiny").engine
    )
    assert outcome.reason == "unsolved"
