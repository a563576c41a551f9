"""Rules on the command line."""

import re
import sys
from dataclasses import fields

import pytest

from ssp_env.cli.rules import read_rules
from ssp_env.game import Budget, GameConfig

TEXT = """
attempts = 4
reward = "4p(1-p)"
closed_book = true
max_similarity = 0.5
max_turns = 7

[solver]
max_searches = 3
"""


def test_a_file_says_any_rule_and_what_stands_after_it_is_stronger(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text(TEXT)
    rules = read_rules(
        file, ["attempts=2", "solver.retries=0", "proposer.max_turns = 9"], top_k=5, uniqueness=None
    )
    config = GameConfig().changed(rules)
    assert (config.attempts, config.reward, config.closed_book, config.max_similarity) == (
        2,
        "4p(1-p)",
        True,
        0.5,
    )
    assert config.solver == Budget(max_searches=3, max_turns=7, retries=0)
    assert config.proposer == Budget(max_turns=9)
    assert config.top_k == 5 and not config.uniqueness


def test_every_rule_can_be_given():
    for option in fields(GameConfig):
        value = getattr(GameConfig(), option.name)
        if isinstance(value, bool | int | float | str):
            (name,) = read_rules(
                None, [f"{option.name}={str(value).lower() if isinstance(value, bool) else value}"]
            ).items()
            assert name == (option.name, value)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"min_serches": 2}, "unknown rule 'min_serches': did you mean 'min_searches'?"),
        ({"max_turn": 2}, "unknown rule 'max_turn': did you mean 'max_turns'?"),
        (
            {"solver": {"max_serches": 2}},
            "unknown limit of the solver 'max_serches': did you mean 'max_searches'?",
        ),
        ({"zzz": 2}, "unknown rule 'zzz': expected one of protocol, "),
        ({"solver": 3}, "expected a value of type Budget for the rule solver, got 3"),
        ({"attempts": "many"}, "expected a value of type int for the rule attempts, got 'many'"),
        ({"judge": 1}, "expected a value of type bool for the rule judge, got 1"),
        ({"max_similarity": "x"}, "expected a value of type number for the rule max_similarity, got 'x'"),
    ],
)
def test_a_misspelled_rule_is_refused_with_the_nearest_name(rules, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        GameConfig().changed(rules)


@pytest.mark.parametrize("assignment", ["attempts", "=3", " = 3"])
def test_an_assignment_has_a_name_and_a_value(assignment):
    with pytest.raises(ValueError, match="--rule expects NAME=VALUE"):
        read_rules(None, [assignment])


def test_a_file_that_is_no_toml_is_named(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text("attempts: 4")
    with pytest.raises(ValueError, match=r"rules\.toml are not valid TOML"):
        read_rules(file, None)


def test_a_file_that_is_missing_and_a_table_of_rules_are_refused_with_a_remedy(tmp_path):
    with pytest.raises(
        ValueError, match=r"expected a TOML file with the rules, but .*none\.toml cannot be read"
    ):
        read_rules(tmp_path / "none.toml", None)
    file = tmp_path / "rules.toml"
    file.write_text("[rules]\nattempts = 4")
    with pytest.raises(ValueError, match=r"at the top level of .*, got a table \[rules\]: leave out"):
        read_rules(file, None)


def test_a_reward_of_ones_own_is_found_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "own_reward.py").write_text("def half(p):\n    return p / 2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    config = GameConfig().changed(read_rules(None, ["reward=own_reward:half"]))
    assert config.reward == "own_reward:half"
