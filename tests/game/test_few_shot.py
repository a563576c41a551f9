"""Demonstrations for small models: what they show is the game as it is played, by its own rules."""

import re

import pytest

from ssp_env.game import PROTOCOLS, GameConfig, Reply
from ssp_env.game.prompts import few_shot
from ssp_env.game.rules import first_violation
from ssp_env.passage import Passage

DEMONSTRATIONS = few_shot._DEMONSTRATIONS
ENGLISH = sorted(name for name, protocol in PROTOCOLS.items() if protocol.layout == "documents")
AS_TEXT = [name for name in ENGLISH if PROTOCOLS[name].calls != "native"]
PAGES = [Passage("a", "Belin", "Belin is the home of Corun."), Passage("b", "Corun", "Corun is a mayor.")]


@pytest.mark.parametrize("one", DEMONSTRATIONS, ids=lambda one: one.answer)
def test_a_demonstrated_question_is_valid_and_recoverable(one):
    queries = [query for query, _ in one.proposing]
    pages = [page for _, pages in one.proposing for page in pages]
    assert first_violation(one.question, [one.answer], queries, pages, GameConfig()) is None
    assert one.answer in [page.title for page in pages]
    # The solver never searches for what it cannot know.
    assert not any(one.answer in query for query, _ in one.solving)
    assert one.answer in " ".join(page.text for _, pages in one.solving for page in pages)


@pytest.mark.parametrize("one", DEMONSTRATIONS, ids=lambda one: one.answer)
def test_a_search_shows_as_many_passages_as_in_play(one):
    assert {len(pages) for _, pages in (*one.proposing, *one.solving)} == {GameConfig().top_k}


def played(protocol, text, final):
    """Parse a demonstration as the game would: action after action, what is observed skipped."""
    observation = re.compile(rf"<{protocol.observation}>.*?</{protocol.observation}>", re.DOTALL)
    text = observation.sub("", text)
    while (action := protocol.parse(text, final)).kind != "malformed":
        yield action.kind, action.content
        text = text[len(action.text) :]


@pytest.mark.parametrize("name", AS_TEXT)
def test_demonstrations_are_what_the_protocol_reads(name):
    protocol = PROTOCOLS[name]
    (message,) = few_shot.proposer(protocol, "Belin", 4)
    assert list(played(protocol, message.content, "question")) == [
        step
        for one in DEMONSTRATIONS
        for step in (*(("search", query) for query, _ in one.proposing), ("question", one.question))
    ]
    (message,) = few_shot.solver(protocol, "Where is Corun at home?")
    assert list(played(protocol, message.content, "answer")) == [
        step
        for one in DEMONSTRATIONS
        for step in (*(("search", query) for query, _ in one.solving), ("answer", one.answer))
    ]
    (message,) = few_shot.reader(protocol, "Where is Corun at home?", PAGES)
    assert list(played(protocol, message.content, "answer")) == [
        ("answer", one.answer) for one in DEMONSTRATIONS
    ]


@pytest.mark.parametrize("name", ENGLISH)
def test_prompts_end_with_the_task_in_the_form_demonstrated(name):
    protocol = PROTOCOLS[name]
    proposer = few_shot.proposer(protocol, "Belin", 4)[-1]
    assert ("\n\n" + proposer.content).endswith("\n\nAnswer: Belin\nHops: 4")
    solver = few_shot.solver(protocol, "Where is Corun at home?")[-1]
    assert ("\n\n" + solver.content).endswith("\n\nQuestion: Where is Corun at home?")
    reader = few_shot.reader(protocol, "Where is Corun at home?", PAGES)[-1]
    assert ("\n\n" + reader.content).endswith(
        f"\n\n{protocol.observe(PAGES)}\nQuestion: Where is Corun at home?"
    )


def test_with_native_calls_the_demonstrations_are_conversations_the_protocol_reads():
    protocol = PROTOCOLS["openai"]
    messages = few_shot.proposer(protocol, "Belin", 4)
    said = [Reply(one.content, tool_calls=one.tool_calls) for one in messages if one.role == "assistant"]
    read = [protocol.parse(reply, "question") for reply in said]
    assert [(action.kind, action.content) for action in read] == [
        step
        for one in DEMONSTRATIONS
        for step in (*(("search", query) for query, _ in one.proposing), ("question", one.question))
    ]
    called = [call.id for one in messages for call in one.tool_calls]
    assert called == [one.tool_call_id for one in messages if one.role == "tool"]
    assert len(set(called)) == len(called) == 6
