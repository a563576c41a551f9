"""Single turns of scripted players: what they quote, and what they do in one conversation."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.scripted import (
    ScriptedProposer,
    ScriptedReader,
    ScriptedSolver,
)
from ssp_env.worlds import (
    parse_question,
    render_question,
)
from tests.agents.scripted_games import (
    NOISE,
    PAGES,
    TERSE,
    facts_shown,
    recorded,
    shown,
    taken_apart,
    view_of,
)

# -- quoting -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proposer", ["perfect", "weak", "guess"])
def test_only_facts_shown_in_the_conversation_are_quoted(proposer):
    quotes = Counter()
    for view, reply in recorded(3, 24, proposer=proposer, solver="weak"):
        facts, action = taken_apart(reply, view.phase)
        assert set(facts) <= facts_shown(view)
        assert len(set(facts)) == len(facts)
        quotes[view.phase, action.kind] += bool(facts)
    quoting = {turn for turn, count in quotes.items() if count}
    assert ("propose", "search") in quoting
    honest = {("propose", "question"), ("verify", "answer"), ("solve", "answer")}
    assert honest <= quoting if proposer != "guess" else ("propose", "question") not in quoting


@pytest.mark.parametrize("proposer", ["perfect", "guess"])
def test_a_search_quotes_the_fact_that_led_to_it(proposer):
    counts = Counter()
    for view, reply in recorded(3, 24, proposer=proposer, solver="chain"):
        facts, action = taken_apart(reply, view.phase)
        if action.kind != "search":
            continue
        # An entity is reached from the answer by what points to it, or from the start by what it points to.
        words = view.messages[0].content.split()
        given, side = (words[-1], "subject") if view.phase == "propose" else (words[-2], "target")
        led = action.content != given and " " not in action.content
        assert [getattr(fact, side) for fact in facts] == [action.content] * led
        counts[view.phase] += led
    assert counts["propose"]
    assert counts["solve"] or proposer == "guess"


@pytest.mark.parametrize("proposer", ["perfect", "weak"])
def test_an_honest_question_quotes_its_chain_from_the_answer_on(proposer):
    turns = [(*taken_apart(reply, view.phase), view) for view, reply in recorded(3, 24, proposer=proposer)]
    asked = [(facts, action, view) for facts, action, view in turns if action.kind == "question"]
    assert len(asked) == 24
    for facts, action, view in asked:
        answer = view.messages[0].content.split()[-1]
        assert [fact.target for fact in facts] == [answer, *(fact.subject for fact in facts[:-1])]
        assert action.content == render_question([fact.relation for fact in facts], facts[-1].subject)


def test_an_answer_quotes_what_it_was_read_from():
    lengths = set()
    for view, reply in recorded(3, 24, proposer="perfect", solver="chain", reader="perfect"):
        facts, action = taken_apart(reply, view.phase)
        if action.kind == "answer":
            opening = view.messages[0].content.rpartition(">" if view.phase == "verify" else "solve ")[2]
            relations, entity = parse_question(opening)
            used = relations if view.phase == "verify" else relations[:1]
            assert [fact.relation for fact in facts] == [*reversed(used)]
            assert [fact.subject for fact in facts[1:]] == [fact.target for fact in facts[:-1]]
            assert facts[0].subject == entity or view.phase == "solve"
            assert facts[-1].target == action.content
            lengths.add((view.phase, len(facts)))
    assert {("verify", 3), ("solve", 1)} <= lengths


@pytest.mark.parametrize(
    ("strengths", "phase", "kind"),
    [
        ({"proposer": "guess"}, "propose", "question"),
        ({"proposer": "perfect", "solver": "guess"}, "solve", "answer"),
        ({"proposer": "perfect", "solver": "hopeless"}, "solve", "answer"),
        ({"proposer": "perfect", "reader": "guess"}, "verify", "answer"),
    ],
)
def test_guesses_quote_nothing(strengths, phase, kind):
    turns = [(view.phase, *taken_apart(reply, view.phase)) for view, reply in recorded(1, 24, **strengths)]
    quoted = [facts for where, facts, action in turns if (where, action.kind) == (phase, kind)]
    assert quoted
    assert not any(quoted)


# -- one conversation ----------------------------------------------------------------------------------------


def test_chain_solver_searches_each_entity_then_answers():
    solver = ScriptedSolver("chain")
    messages = ["solve biographer of mayor of birthplace of belin ?"]
    assert solver.act(view_of(*messages)) == "<search> belin </search>"
    # The mayor of corun stands on the second page already; corun is searched all the same.
    messages += ["<search> belin </search>", shown(PAGES[0], PAGES[1])]
    assert solver.act(view_of(*messages)) == "belin birthplace corun <search> corun </search>"
    messages += ["<search> corun </search>", shown(PAGES[1], PAGES[0])]
    assert solver.act(view_of(*messages)) == "corun mayor tavom <search> tavom </search>"
    messages += ["<search> tavom </search>", shown(PAGES[2], PAGES[1])]
    assert solver.act(view_of(*messages)) == "tavom biographer ritab <answer> ritab </answer>"


def test_chain_solver_retries_once_then_answers_with_the_last_entity():
    messages = ["solve mayor of birthplace of belin ?", "<search> belin </search>", shown(PAGES[0])]
    messages += ["<search> corun </search>", shown("none")]
    assert ScriptedSolver("chain").act(view_of(*messages)) == "<search> corun mayor </search>"
    messages += ["<search> corun mayor </search>", shown("none")]
    last = "belin birthplace corun <answer> corun </answer>"
    assert ScriptedSolver("chain").act(view_of(*messages)) == last


def test_a_search_in_a_circle_quotes_one_fact():
    question = "solve architect of birthplace of architect of birthplace of belin ?"
    messages = [question, "<search> belin </search>", shown(PAGES[0], PAGES[1])]
    second = ScriptedSolver("chain").act(view_of(*messages))
    assert second == "belin birthplace corun <search> corun </search>"


@pytest.mark.parametrize(("turns_left", "searches_left"), [(1, 4), (5, 0)])
def test_solver_answers_while_it_still_can(turns_left, searches_left):
    messages = ["solve mayor of birthplace of belin ?", "<search> belin </search>", shown(PAGES[0])]
    view = view_of(*messages, turns_left=turns_left, searches_left=searches_left)
    assert ScriptedSolver("chain").act(view) == "belin birthplace corun <answer> corun </answer>"


def test_one_hop_solver_takes_the_value_next_to_the_start():
    messages = ["solve mayor of birthplace of belin ?", "<search> belin </search>", shown(PAGES[0], PAGES[1])]
    assert ScriptedSolver("one_hop").act(view_of(*messages[:1])) == "<search> belin </search>"
    reply = ScriptedSolver("one_hop").act(view_of(*messages))
    assert reply == "belin birthplace corun <answer> corun </answer>"


def test_guessing_solver_answers_with_values_of_the_page_it_saw():
    messages = ["solve mayor of birthplace of belin ?", "<search> belin </search>", shown(PAGES[0], PAGES[1])]
    replies = {ScriptedSolver({"random_value": 1}, seed).act(view_of(*messages)) for seed in range(40)}
    assert replies == {f"<answer> {value} </answer>" for value in ("corun", "dapol", "gatar")}


@given(st.permutations((*PAGES, *NOISE)))
def test_reader_finds_the_chain_in_any_order_among_noise(pages):
    view = view_of(f"read {shown(*pages)} biographer of mayor of birthplace of belin ?", phase="verify")
    chain = "belin birthplace corun corun mayor tavom tavom biographer ritab"
    assert ScriptedReader().act(view) == f"{chain} <answer> ritab </answer>"
    one_hop = view_of(f"read {shown(*pages)} school of belin ?", phase="verify")
    assert ScriptedReader().act(one_hop) == "belin school dapol <answer> dapol </answer>"


def test_a_reader_says_that_there_is_no_such_fact_when_a_link_is_missing():
    question = "biographer of mayor of birthplace of belin ?"
    view = view_of(f"read {shown(PAGES[0], *NOISE)} {question}", phase="verify")
    assert ScriptedReader().act(view) == "belin birthplace corun <answer> none </answer>"
    nothing = view_of(f"read {shown('none')} mayor of corun ?", phase="verify")
    assert ScriptedReader().act(nothing) == "<answer> none </answer>"


def test_guessing_reader_ignores_the_relation():
    view = view_of(f"read {shown(*PAGES)} mayor of birthplace of belin ?", phase="verify")
    replies = {ScriptedReader("guess", seed).act(view) for seed in range(40)}
    assert replies == {f"<answer> {value} </answer>" for value in ("corun", "dapol", "gatar")}


def test_guessing_reader_does_not_depend_on_the_order_of_the_passages():
    for seed in range(10):
        prompts = [f"read {shown(*pages)} mayor of seat of zudor ?" for pages in (PAGES, PAGES[::-1])]
        views = [view_of(prompt, phase="verify") for prompt in prompts]
        assert len({ScriptedReader("guess", seed).act(view) for view in views}) == 1


def test_proposer_backs_out_of_an_entity_that_nothing_mentions():
    sutim = "sutim mayor tavom sutim employer nodun"
    messages = ["propose 2 : tavom", "<search> tavom </search>", shown(PAGES[2], sutim)]
    reply = ScriptedProposer("perfect").act(view_of(*messages, phase="propose"))
    assert reply == "tavom is mayor of sutim <search> sutim </search>"
    messages += ["<search> sutim </search>", shown(sutim)]
    view = view_of(*messages, phase="propose")
    # People are pointed to by these; `mayor` is known already.
    relations = ("architect", "biographer", "director", "rector")
    replies = {ScriptedProposer("perfect", seed).act(view) for seed in range(40)}
    assert replies == {f"<search> tavom {relation} </search>" for relation in relations}
    gatar = "gatar director tavom gatar seat corun"
    messages += ["<search> tavom director </search>", shown(gatar, PAGES[0])]
    replies = {
        ScriptedProposer("perfect", seed).act(view_of(*messages, phase="propose")) for seed in range(9)
    }
    chain = "tavom is director of gatar is employer of belin"
    assert replies == {f"{chain} <question> director of employer of belin ? </question>"}


def test_proposer_asks_a_shorter_chain_when_searches_run_out():
    pages = shown(PAGES[2], "sutim mayor tavom sutim employer gatar")
    messages = ["propose 3 : tavom", "<search> tavom </search>", pages, "<search> sutim </search>", pages]
    view = view_of(*messages, phase="propose", searches_left=0)
    reply = ScriptedProposer("perfect").act(view)
    assert reply == "tavom is mayor of sutim <question> mayor of sutim ? </question>"
    messages = ["propose 1 : tavom", "<search> tavom </search>", shown("none")]
    nothing = view_of(*messages, phase="propose", searches_left=0)
    assert TERSE.parse(ScriptedProposer("perfect").act(nothing), "question").kind == "search"
