"""Who is paid what: known games, every reward shape, the judge, and infrastructure that breaks."""

import json
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import Failure, Game, GameConfig, Judge, Noise, Outcome, Read, Search, Task, Turn
from ssp_env.game.events import AnswerScored, GameBroken
from ssp_env.game.rewards import REWARD_SHAPES, proposer_reward
from ssp_env.play import play
from tests.game.doubles import (
    HOPELESS,
    PERFECT,
    PROPOSAL,
    QUESTION,
    TASK,
    Script,
    Shelf,
    answer,
    ended,
    judge,
    new_game,
    open_requests,
    outcome,
    propose,
    question,
    read,
    say,
    search,
    serve,
    turn_of,
)

PROPOSER = Script(*PROPOSAL)


def played(solver, **options) -> Outcome:
    (result,) = play([new_game(**options)], proposer=PROPOSER, solver=solver, reader=PERFECT, search=Shelf())
    return result


def solved(flags: str, **options) -> Outcome:
    """A valid game in which attempt k succeeds if `flags[k]` is `+`."""
    game = new_game(rag_check=False, attempts=len(flags), **options)
    propose(game)
    for k, flag in enumerate(flags):
        say(game, f"solver_{k}", answer("Tavor" if flag == "+" else "Nobody"))
    return outcome(game)


@pytest.mark.parametrize("attempts", [1, 5])
def test_against_a_perfect_solver_the_proposer_gets_nothing(attempts):
    result = played(PERFECT, attempts=attempts)
    assert (result.verdict, result.reason, result.success_rate) == ("valid", "solved", 1.0)
    assert result.rewards == {"proposer_0": 0.0, **{f"solver_{k}": 1.0 for k in range(attempts)}}


@pytest.mark.parametrize("attempts", [1, 5])
def test_against_a_hopeless_solver_the_proposer_gets_everything(attempts):
    result = played(HOPELESS, attempts=attempts)
    assert (result.verdict, result.reason, result.success_rate) == ("valid", "unsolved", 0.0)
    assert result.rewards == {"proposer_0": 1.0, **{f"solver_{k}": 0.0 for k in range(attempts)}}


def test_the_solver_itself_is_the_reader_unless_another_is_given():
    (result,) = play([new_game()], proposer=PROPOSER, solver=HOPELESS, search=Shelf())
    assert (result.verdict, result.reason) == ("invalid", "not_recovered")


@pytest.mark.parametrize(
    ("flags", "one_minus_p", "if_solved", "parabola", "least", "variance"),
    [
        ("-----", 1.0, 0.0, 0.0, 0.0, 0.0),
        ("+----", 0.8, 0.8, 0.64, 0.2, 0.16),
        ("-+-+-", 0.6, 0.6, 0.96, 0.4, 0.24),
        ("+++--", 0.4, 0.4, 0.96, 0.4, 0.24),
        ("++++-", 0.2, 0.2, 0.64, 0.2, 0.16),
        ("+++++", 0.0, 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_reward_shapes(flags, one_minus_p, if_solved, parabola, least, variance):
    wanted = {
        "1-acc": one_minus_p,
        "1-acc-if-solved": if_solved,
        "4p(1-p)": parabola,
        "min(p,1-p)": least,
        "learnability": variance,
        "format_only": 1.0,
    }
    for shape in REWARD_SHAPES:
        result = solved(flags, reward=shape)
        assert result.rewards["proposer_0"] == pytest.approx(wanted[shape])
        assert result.success_rate == pytest.approx(1 - one_minus_p)
        for k, flag in enumerate(flags):
            assert result.rewards[f"solver_{k}"] == float(flag == "+")


def test_the_default_reward_is_zero_sum_with_the_mean_success():
    assert proposer_reward("1-acc", 0.25) == 0.75
    assert GameConfig().reward == "1-acc"


def test_one_success_makes_the_question_solved():
    assert solved("--+").reason == "solved"
    assert solved("---").reason == "unsolved"


@pytest.mark.parametrize("text", ["tavor", " The Tavor! ", "TAVOR OF RUVIA"])
def test_answers_are_compared_after_normalisation_with_every_alias(text):
    game = new_game(rag_check=False)
    propose(game)
    say(game, "solver_0", answer(text))
    assert ended(game) == ("valid", "solved")
    assert game.events[-1] == AnswerScored("solver_0", text.strip(), True, "exact_match")


# -- judge -----------------------------------------------------------------------------------------------


def test_the_judge_is_asked_only_about_what_does_not_match():
    game = new_game(rag_check=False, judge=True, attempts=2)
    propose(game)
    say(game, "solver_0", answer("Tavor"))
    assert open_requests(game, Judge) == []
    say(game, "solver_1", answer("Lady T."))
    (request,) = open_requests(game, Judge)
    assert request == Judge("solver_1/judge", QUESTION, "Lady T.", ("Tavor", "Tavor of Ruvia"))


@pytest.mark.parametrize("verdict", [True, False])
def test_the_judges_verdict_decides(verdict):
    game = new_game(rag_check=False, judge=True)
    propose(game)
    say(game, "solver_0", answer("Lady T."))
    judge(game, verdict)
    assert game.events[-1] == AnswerScored("solver_0", "Lady T.", verdict, "judge")
    assert outcome(game).rewards == {"proposer_0": 1.0 - verdict, "solver_0": float(verdict)}


def test_without_a_judge_what_does_not_match_is_wrong():
    game = new_game(rag_check=False)
    propose(game)
    say(game, "solver_0", answer("Lady T."))
    assert ended(game) == ("valid", "unsolved")


# -- failures --------------------------------------------------------------------------------------------


def advanced_to(kind: type) -> Game:
    """A game with an open request of one kind."""
    game = new_game(judge=True, attempts=2)
    if kind is Turn:
        return game
    game.submit(turn_of(game, "proposer_0").id, search("belin"))
    if kind is Search:
        return game
    serve(game)
    propose(game, search("corun"))
    game.submit(turn_of(game, "proposer_0").id, question())
    if kind is Noise:
        return game
    serve(game)
    if kind is Read:
        return game
    read(game)
    say(game, "solver_0", answer("Tavor"))
    say(game, "solver_1", answer("Lady T."))
    return game


@pytest.mark.parametrize("kind", [Turn, Search, Noise, Read, Judge])
def test_a_failure_ends_the_game_as_unknown_and_pays_nobody(kind):
    game = advanced_to(kind)
    (request,) = open_requests(game, kind)
    game.submit(request.id, Failure("timed out"))
    assert ended(game) == ("error", "error")
    assert outcome(game).rewards == {"proposer_0": 0.0, "solver_0": 0.0, "solver_1": 0.0}
    assert outcome(game).success_rate is None
    source = {Search: "search for proposer", Noise: "noise", Read: "reader", Judge: "judge for solver_1"}
    assert outcome(game).failure == f"{source.get(kind, 'proposer')}: timed out"
    assert game.events[-1] == GameBroken(request.id, outcome(game).failure)
    assert game.requests() == ()


def test_a_failure_does_not_cost_the_penalty_of_an_invalid_question():
    game = new_game(invalid_reward=-1.0)
    game.submit(turn_of(game, "proposer_0").id, Failure("out of memory"))
    assert outcome(game).rewards == {"proposer_0": 0.0, "solver_0": 0.0}


def test_a_failure_of_one_attempt_takes_back_the_reward_of_another():
    game = new_game(rag_check=False, attempts=2)
    propose(game)
    say(game, "solver_0", answer("Tavor"))
    game.submit(turn_of(game, "solver_1").id, Failure("solver_1: gone"))
    assert outcome(game).rewards["solver_0"] == 0.0
    assert outcome(game).failure == "solver_1: gone"


# -- what a caller can do wrong --------------------------------------------------------------------------


def test_only_open_requests_can_be_answered():
    game = new_game()
    with pytest.raises(ValueError, match=r"'read' is not open; open are: proposer_0/turn/0"):
        game.submit("read", answer())
    first = turn_of(game, "proposer_0").id
    game.submit(first, "hm")
    with pytest.raises(ValueError, match="is not open"):
        game.submit(first, "hm")
    game.submit(turn_of(game, "proposer_0").id, Failure("x"))
    with pytest.raises(ValueError, match="open are: none"):
        game.submit(first, "hm")


@pytest.mark.parametrize(
    ("kind", "result", "wanted"),
    [
        (Turn, None, "text or a Reply"),
        (Turn, [], "text or a Reply"),
        (Search, "text", "a list of Passage"),
        (Search, ["text"], "a list of Passage"),
        (Noise, None, "a list of Passage"),
        (Read, True, "text or a Reply"),
        (Judge, "Correct", "a bool"),
        (Judge, None, "a bool"),
    ],
)
def test_a_result_must_fit_its_request_and_a_misfit_changes_nothing(kind, result, wanted):
    game = advanced_to(kind)
    (request,) = open_requests(game, kind)
    before = game.snapshot()
    with pytest.raises(TypeError, match=wanted):
        game.submit(request.id, result)
    assert game.snapshot() == before
    assert request in game.requests()


# -- a known question ------------------------------------------------------------------------------------


def test_a_known_question_is_played_without_a_proposer():
    game = Game(replace(TASK, question=QUESTION), GameConfig(attempts=2))
    assert game.phase == "solve"
    assert [request.id for request in game.requests()] == ["solver_0/turn/0", "solver_1/turn/0"]
    say(game, "solver_0", search("belin"), answer())
    say(game, "solver_1", answer("x"))
    assert ended(game) == ("valid", "solved")
    assert outcome(game).question == QUESTION
    assert outcome(game).success_rate == 0.5


def test_the_task_is_not_shared_between_games():
    tasks = [Task("A b", question="q", id="1"), Task("C d", question="q", id="2")]
    games = [Game(task, GameConfig(rag_check=False)) for task in tasks]
    for game in games:
        say(game, "solver_0", answer("A b"))
    assert [ended(game)[1] for game in games] == ["solved", "unsolved"]


# -- a reward of one's own ---------------------------------------------------------------------------------


def cubed(p):
    return p**3


@pytest.mark.parametrize("reward", [cubed, f"{__name__}:cubed"])
def test_a_reward_function_pays_and_is_written_by_its_name(reward):
    game = new_game(rag_check=False, attempts=2, reward=reward)
    propose(game)
    say(game, "solver_0", answer("Tavor"))
    say(game, "solver_1", answer("x"))
    assert outcome(game).rewards["proposer_0"] == 0.125
    data = json.loads(json.dumps(game.snapshot()))
    assert data["config"]["reward"] == f"{__name__}:cubed"
    assert Game.restore(data).outcome == pickle.loads(pickle.dumps(game)).outcome == outcome(game)
    assert GameConfig(reward=cubed) == GameConfig(reward=f"{__name__}:cubed")


def test_a_reward_that_nobody_can_import_plays_but_is_not_written():
    game = new_game(rag_check=False, reward=lambda p: 3 - p)
    propose(game)
    say(game, "solver_0", answer("x"))
    assert outcome(game).rewards["proposer_0"] == 3.0
    for write in (Game.snapshot, pickle.dumps, lambda game: game.config.to_dict()):
        with pytest.raises(ValueError, match=r"their reward can be imported, got <function .*<lambda>"):
            write(game)


@pytest.mark.parametrize(
    ("reward", "error", "match"),
    [
        (lambda p: float("nan"), ValueError, "finite number, got nan from .* for the success rate 0"),
        (lambda p: p and float("inf"), ValueError, "finite number, got inf from .* for the success rate 1"),
        (lambda p: "1", TypeError, "a reward must be a number, got '1'"),
        (lambda p: None, TypeError, "a reward must be a number, got None"),
        (3, TypeError, "reward must be a function of the success rate, got 3"),
        ("math:pi", TypeError, "reward must be a function of the success rate, got 'math:pi'"),
        ("no_module_of_this_name:pay", ValueError, "'no_module_of_this_name:pay' cannot be imported"),
        ("math:nothing", ValueError, "'math:nothing' cannot be imported"),
        ("acc", ValueError, r"reward must be one of 1-acc, .*, or a function named as .*, got 'acc'"),
    ],
)
def test_bad_rewards_are_refused_when_the_rules_are_made(reward, error, match):
    with pytest.raises(error, match=match):
        GameConfig(reward=reward)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 5))
def test_any_finite_reward_is_paid_as_it_is(value, attempts):
    config = GameConfig(reward=lambda p: value, attempts=attempts)
    assert proposer_reward(config.reward, 1.0) == value


def test_a_reward_function_that_raises_is_named_with_its_error():
    with pytest.raises(ValueError, match=r"the reward 'math:log' raised ValueError: .*success rate 0"):
        GameConfig(reward="math:log")
