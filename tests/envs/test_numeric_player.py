"""Policies in numbers play games of text: right where the numbers are, and never stuck elsewhere."""

import numpy as np
import pytest

from benchmarks.by_the_numbers import SolverByTheNumbers
from ssp_env.envs import LookupSolver, NumericPlayer
from ssp_env.envs.numeric import NumericProposerEnv
from ssp_env.game import Game, Message, View
from ssp_env.game.config import TERSE_RULES
from ssp_env.play import play
from ssp_env.scenario import open_scenario

SOLVER = SolverByTheNumbers(TERSE_RULES)


def follow(observation, mask):
    action = SOLVER(observation, mask)
    assert mask[action]
    return action


def back_and_ask(observation, mask):
    """Search twice, go back one hop, and ask."""
    entities = NumericProposerEnv().entities
    searched = observation[48 : 48 + 5].argmax()
    built = observation[4:48].any()
    if built or searched >= 2:
        return 2 * entities if built else int(np.flatnonzero(mask[:-1])[-1])
    return int(np.flatnonzero(mask[:entities])[searched])


def test_a_solver_follows_questions_to_their_answers():
    scenario = open_scenario("tiny")
    games = [Game(task, scenario.rules) for task in scenario.questions]
    player = NumericPlayer(follow)
    outcomes = play(games, proposer=player, solver=player, search=scenario.engine)
    assert [outcome.reason for outcome in outcomes] == ["solved"] * len(games)


def test_a_proposer_goes_back_within_a_turn_and_the_default_reader_reads():
    scenario = open_scenario("tiny")
    games = [Game(task, scenario.rules, seed) for seed, task in enumerate(scenario.tasks)]
    player = NumericPlayer(proposer=back_and_ask)
    outcomes = play(games, proposer=player, solver=LookupSolver(), reader=player, search=scenario.engine)
    assert np.mean([outcome.verdict == "valid" for outcome in outcomes]) > 0.8


@pytest.mark.parametrize("question", ["", "who is it ?", "mayor of " * 5 + "belin ?"])
def test_a_question_without_numbers_is_looked_up(question):
    view = View("game", "solver_0", "solve", (Message("user", f"solve {question}"),), 6, 4)
    assert NumericPlayer(follow).act(view) == LookupSolver().act(view)


@pytest.mark.parametrize("task", ["propose 5 : belin", "Answer: Belin"])
def test_a_task_without_numbers_is_refused(task):
    view = View("game", "proposer_0", "propose", (Message("user", task),), 6, 4)
    with pytest.raises(ValueError, match="must be one of 1 to 4 hops in a terse world, got"):
        NumericPlayer(proposer=back_and_ask).act(view)


def test_a_role_without_a_policy_is_named():
    view = View("game", "proposer_0", "propose", (Message("user", "propose 1 : belin"),), 6, 4)
    with pytest.raises(ValueError, match="no policy for the proposer: give proposer="):
        NumericPlayer(follow).act(view)


def test_an_action_that_is_not_there_is_an_empty_turn():
    view = View("game", "solver_0", "solve", (Message("user", "solve mayor of corun ?"),), 6, 4)
    assert NumericPlayer(lambda observation, mask: 7).act(view) == ""
