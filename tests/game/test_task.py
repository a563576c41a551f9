"""Tasks, replies and rules: what they accept, and what they say about the rest."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.game import Budget, Game, GameConfig, Reply, Search, Task, View
from ssp_env.game.events import TurnTaken
from ssp_env.game.view import as_reply
from tests.game.doubles import TASK
from tests.game.random_games import fresh_games, results


@pytest.mark.parametrize(
    ("target", "answer", "aliases"),
    [
        ("Paris", "Paris", ()),
        (["Paris", "City of Light"], "Paris", ("City of Light",)),
        (("Paris",), "Paris", ()),
        (1889, "1889", ()),
        ([1889, "in 1889"], "1889", ("in 1889",)),
        (2.5, "2.5", ()),
        (np.int64(3), "3", ()),
        (np.array(["Paris", "City of Light"]), "Paris", ("City of Light",)),
        ({"target": ["Paris", "City of Light"]}, "Paris", ("City of Light",)),
        ({"target": "Paris"}, "Paris", ()),
    ],
)
def test_targets_in_the_forms_of_data_sets(target, answer, aliases):
    task = Task.from_target(target, hops=3, id="t", corpus="c")
    assert (task.answer, task.aliases, task.golds) == (answer, aliases, (answer, *aliases))
    assert (task.hops, task.id, task.corpus) == (3, "t", "c")


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"answer": " "}, ValueError, "non-blank answer"),
        ({"answer": "a", "aliases": ("b", "")}, ValueError, "non-blank aliases, got ''"),
        ({"answer": 3}, TypeError, "must be a string, got int: 3"),
        ({"answer": "a", "question": " \n"}, ValueError, "question of a task must not be blank, got ' "),
        ({"answer": "a", "question": None}, TypeError, "question of a task must be a string, got NoneType"),
        ({"answer": "a", "hops": 0}, ValueError, "from 1 to 20, got 0"),
        ({"answer": "a", "hops": 21}, ValueError, "from 1 to 20, got 21"),
    ],
)
def test_bad_tasks(arguments, error, match):
    with pytest.raises(error, match=match):
        Task(**arguments)


def test_a_task_about_a_known_question_is_hashed_without_its_provenance():
    known = Task("Tavor", question="Who taught Sarn?", provenance={"titles": ["Sarn"]})
    assert hash(known) == hash(dataclasses.replace(known, provenance={}))
    assert Game(known).phase == "solve" and Game(known).question == "Who taught Sarn?"
    unknown = dataclasses.replace(known, question="")
    assert Game(unknown).phase == "propose" and Game(unknown).question == ""


@pytest.mark.parametrize(
    "target",
    [
        [["Paris"]],
        [None],
        None,
        b"Paris",
        [b"Paris"],
        {"target": {"target": "x"}},
        {"answer": "x"},
        {},
        object(),
    ],
)
def test_other_targets_are_refused(target):
    with pytest.raises(TypeError, match=r"target|list of answers"):
        Task.from_target(target)


def test_an_empty_target_is_refused():
    with pytest.raises(ValueError, match="at least one answer"):
        Task.from_target([])


def test_a_game_is_called_after_its_task_unless_it_has_a_name():
    assert Game(Task("a", id="t")).id == "t"
    assert Game(Task("a", id="t"), game_id="g").requests()[0].view.game_id == "g"


@pytest.mark.parametrize(
    ("option", "value", "match"),
    [
        (
            "protocol",
            "gpt",
            "protocol must be one of default, qwen2p5, R-Search, llama3p1, terse, hermes, openai, "
            "default-open, hermes-open, openai-open, got 'gpt'",
        ),
        ("prompts", "french", "prompts must be one of english"),
        ("reward", "acc", r"reward must be one of 1-acc, .*, format_only, .*, got .acc."),
        ("attempts", 0, "attempts must be at least 1, got 0"),
        ("top_k", 0, "top_k must be at least 1"),
        ("noise_unit", "blob", "noise_unit must be one of passage, evidence, got 'blob'"),
        ("hop_check", True, "hop_check must be one of off, at_least, exact, got True"),
        ("max_similarity", 1.5, "max_similarity must be from 0 to 1, or None, got 1.5"),
        ("min_searches", -1, "min_searches must be at least 0"),
        ("min_question_chars", -1, "min_question_chars must be at least 0"),
        ("min_question_words", -1, "min_question_words must be at least 0"),
        ("noise_passages", -1, "noise_passages must be at least 0"),
        ("max_question_chars", 9, "max_question_chars must be at least 10, got 9"),
    ],
)
def test_bad_rules_name_the_option_and_its_range(option, value, match):
    with pytest.raises(ValueError, match=match):
        GameConfig(**{option: value})


@pytest.mark.parametrize(
    ("limit", "value", "match"),
    [
        ("max_turns", 0, "max_turns must be at least 1, got 0"),
        ("max_searches", -1, "max_searches must be at least 0, got -1"),
        ("retries", -1, "retries must be at least 0, got -1"),
        ("max_tokens", 0, "max_tokens must be at least 1, got 0"),
    ],
)
def test_bad_limits_name_the_limit_and_its_range(limit, value, match):
    with pytest.raises(ValueError, match=match):
        Budget(**{limit: value})


def test_a_budget_must_be_a_budget():
    with pytest.raises(TypeError, match="solver must be a Budget, got int"):
        GameConfig(solver=3)


def test_limits_can_be_set_for_both_seats_or_one():
    both = GameConfig(solver=Budget(retries=0)).with_budget(max_turns=3)
    assert both.proposer == Budget(max_turns=3)
    assert both.solver == Budget(max_turns=3, retries=0)
    assert GameConfig.from_dict(dataclasses.asdict(both)) == both


def test_an_unknown_rule_is_refused_with_the_nearest_name():
    data = {**dataclasses.asdict(GameConfig()), "max_searches": 3}
    with pytest.raises(ValueError, match="unknown rule 'max_searches': did you mean 'min_searches'"):
        GameConfig.from_dict(data)


def test_the_published_rules_are_the_default_and_one_more():
    published = dataclasses.asdict(GameConfig())
    # What only the reader can answer is paid in full otherwise.
    assert published.pop("self_contained") is True
    # None of the published protocols opens pages.
    budget = {"max_searches": 10, "max_turns": 12, "retries": 1, "max_tokens": None, "max_opens": 10}
    assert published.pop("second_reading") is False and published.pop("leak_forms") == ()
    assert published.pop("quote_check") == "off" and published.pop("grounded") is False
    assert published == {
        "protocol": "default",
        "prompts": "english",
        "attempts": 1,
        "top_k": 3,
        "max_passage_chars": 4000,
        "max_evidence_chars": 200_000,
        "proposer": budget,
        "solver": budget,
        "min_searches": 2,
        "hop_check": "off",
        "min_question_chars": 10,
        "max_question_chars": 1000,
        "min_question_words": 10,
        "answer_in_search": True,
        "max_similarity": None,
        "rag_check": True,
        "noise_passages": 4,
        "noise_unit": "passage",
        "closed_book": False,
        "uniqueness": False,
        "judge": False,
        "reward": "1-acc",
        "invalid_reward": 0.0,
    }


def test_replies_carry_text_and_matching_tokens():
    assert as_reply("x") == Reply("x")
    reply = Reply("x", (1, 2), (-0.5, -1.0))
    assert as_reply(reply) is reply
    assert Reply("x", (1, 2)).logprobs == ()
    with pytest.raises(TypeError, match="a reply must be a string, got NoneType"):
        Reply(None)
    with pytest.raises(ValueError, match="one log-probability per token, got 1 for 2"):
        Reply("x", (1, 2), (-0.5,))


def test_conversations_of_a_game_have_different_ids():
    views = [
        View(game, seat, phase, (), 1, 1)
        for game in ("a", "b")
        for seat in ("solver_0", "solver_1")
        for phase in ("verify", "solve")
    ]
    assert len({view.conversation_id for view in views}) == 8


@pytest.mark.parametrize(
    ("phase", "role", "final", "has_tool"),
    [
        ("propose", "proposer", "question", True),
        ("verify", "reader", "answer", False),
        ("solve", "solver", "answer", True),
    ],
)
def test_a_view_says_who_plays_and_what_it_may_do(phase, role, final, has_tool):
    view = View("g", "solver_0", phase, (), turns_left=2, searches_left=1)
    assert (view.role, view.final_action, view.has_search_tool) == (role, final, has_tool)
    assert view.may_search is has_tool
    assert not dataclasses.replace(view, turns_left=1).may_search
    assert not dataclasses.replace(view, searches_left=0).may_search


@settings(max_examples=100)
@given(fresh_games(), st.data())
def test_a_search_is_executed_exactly_where_the_view_says_so(game, data):
    while game.requests():
        request = data.draw(st.sampled_from(game.requests()))
        result = data.draw(results(request))
        seen = len(game.events)
        game.submit(request.id, result)
        taken = [event for event in game.events[seen:] if isinstance(event, TurnTaken)]
        for turn in taken:
            assert turn.action.kind in ("search", "malformed", request.view.final_action)
            if turn.action.kind == "search" and request.view.tokens_left is None:
                executed = any(isinstance(one, Search) and one.seat == turn.seat for one in game.requests())
                assert executed == request.view.may_search


def test_seats_are_the_proposer_and_the_attempts():
    assert GameConfig(attempts=2).seats == Game(TASK, GameConfig(attempts=2)).seats
    assert GameConfig(attempts=2).seats == ("proposer_0", "solver_0", "solver_1")
