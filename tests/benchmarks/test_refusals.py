"""What rules refuse anew: which questions the earlier rules let pass, and steps of self-play under both."""

import json

import pytest
from typer.testing import CliRunner

from benchmarks import refusals
from benchmarks.earlier_rules import earlier_violation, newly_refused
from benchmarks.refusals import Steps
from ssp_env.game import GameConfig
from ssp_env.game.rules import first_violation
from tests.baselines.short_runs import LEARNING, train
from tests.game.doubles import QUESTION, new_game, outcome, propose, question, search

SEARCHED = (search("belin"), search("corun"), search("sarn"))
ANEW = {
    "answer_leak": (*SEARCHED, question(f"{QUESTION} Is it T–a–v–o–r?")),
    "about_documents": (*SEARCHED, question(f"{QUESTION} See the documents above.")),
    "repeated_search": (search("belin corun"), search("corun belin"), question()),
    "too_few_searches": (search("belin"), search("nowhere"), question()),
    "too_few_words": (*SEARCHED, question("Who is - - - - - - - - - - that?")),
}
BEFORE = {
    "answer_leak": (*SEARCHED, question(f"{QUESTION} Is it Ta-vor?")),
    "repeated_search": (*SEARCHED, search("Belin!"), question()),
    "too_few_searches": (search("belin"), question()),
    "too_few_words": (*SEARCHED, question("Who is that in there?")),
    "too_short": (*SEARCHED, question("Who?")),
}


@pytest.mark.parametrize("code", ANEW)
def test_what_attacks_taught_is_refused_anew(code):
    game = new_game()
    propose(game, *ANEW[code])
    assert outcome(game).reason == code and newly_refused(game) == code


@pytest.mark.parametrize("code", BEFORE)
def test_what_was_refused_before_is_not(code):
    game = new_game()
    propose(game, *BEFORE[code])
    assert outcome(game).reason == code and newly_refused(game) is None


def test_valid_and_unfinished_questions_are_not():
    game = new_game()
    assert newly_refused(game) is None
    propose(game)
    assert game.question and newly_refused(game) is None


def test_both_rules_agree_where_attacks_have_taught_nothing():
    game = new_game()
    propose(game)
    changes = (
        {"hop_check": "exact"},
        {"max_similarity": 0.5},
        {"max_question_chars": 20},
        {"answer_in_search": False},
    )
    codes = set()
    for options in ({}, *changes):
        config = GameConfig(**options)
        arguments = (QUESTION, game.golds, ["belin", "sarn"], game.evidence, config, 3, [QUESTION])
        assert earlier_violation(*arguments) == first_violation(*arguments)
        named = (QUESTION, game.golds, ["belin", "Tavor"], game.evidence, config)
        assert earlier_violation(*named) == first_violation(*named)
        codes |= {first_violation(*arguments), first_violation(*named)}
    assert codes == {None, "wrong_hop_count", "near_duplicate", "too_long", "answer_in_search"}


def test_steps_are_unharmed_if_equal_until_something_is_refused_anew():
    assert Steps([0, 0, 2, 0], [True, True, False, False]).unharmed
    assert not Steps([0, 0, 2, 0], [True, False, False, False]).unharmed
    assert Steps([1], [False]).unharmed and Steps([], []).unharmed
    assert Steps([0, 3, 0], [True] * 3).undisturbed == 1


def app():
    made = refusals.typer.Typer()
    made.command()(refusals.main)
    return made


def test_the_command_counts_the_refusals_of_a_run_and_plays_under_both_rules(tmp_path, monkeypatch):
    run = train(LEARNING, tmp_path / "run")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    shares = [row.get("invalid/malformed", 0.0) for row in rows if row["stage"] == "self-play"]
    results = tmp_path / "results" / "refusals.json"
    command = [str(run), str(run), "--steps", "2", "--results", str(results)]
    told = CliRunner().invoke(app(), command)
    assert told.exit_code == 0, told.output
    written = json.loads(results.read_text())
    assert written["runs"] == 2 and written["proposals"] == 2 * LEARNING.steps * LEARNING.answers
    assert written["reasons"].get("malformed", 0) == 2 * round(sum(shares) * LEARNING.answers)
    assert written["recorded"] == 2 * LEARNING.answers
    assert written["steps"] == [{"refused_anew": [0, 0], "equal": [True, True]}] * 2
    assert "run: 2 of 2 steps have equal metrics" in told.output

    taken = iter([[{"loss": 1.0}, {"loss": 2.0}], [{"loss": 1.0}, {"loss": 3.0}]] * 2)
    monkeypatch.setattr(refusals, "_metrics", lambda run, steps: (next(taken), [0, 0]))
    told = CliRunner().invoke(app(), command)
    assert told.exit_code == 1 and "1 of 2 steps have equal metrics" in told.output
