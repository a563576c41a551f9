"""Demonstrations for small models: what they show is the game as it is played, by its own rules."""

import re

import pytest

from ssp_env.game import PROTOCOLS, GameConfig, Reply, Task
from ssp_env.game.passage import Passage
from ssp_env.game.prompts.demonstrations import DRAWN, FEW_SHOT
from ssp_env.game.rules import first_violation

SHOWN = [(style, one) for style in (FEW_SHOT, DRAWN) for one in style.demonstrations]
ENGLISH = sorted(name for name, protocol in PROTOCOLS.items() if protocol.layout == "documents")
AS_TEXT = [name for name in ENGLISH if PROTOCOLS[name].calls != "native"]
STYLES = pytest.mark.parametrize("style", [FEW_SHOT, DRAWN], ids=["few_shot", "drawn"])
TASK = Task("Belin", hops=4)
PAGES = [Passage("a", "Belin", "Belin is the home of Corun."), Passage("b", "Corun", "Corun is a mayor.")]


@pytest.mark.parametrize("one", [one for _, one in SHOWN], ids=lambda one: one.answer)
def test_a_demonstrated_question_is_valid_and_recoverable(one):
    queries = [query for query, _ in one.proposing]
    pages = [page for _, pages in one.proposing for page in pages]
    assert first_violation(one.question, [one.answer], queries, pages, GameConfig()) is None
    assert one.answer in [page.title for page in pages]
    # The solver never searches for what it cannot know.
    assert not any(one.answer in query for query, _ in one.solving)
    assert one.answer in " ".join(page.text for _, pages in one.solving for page in pages)


@pytest.mark.parametrize("one", [one for _, one in SHOWN], ids=lambda one: one.answer)
def test_a_search_shows_as_many_passages_as_in_play(one):
    assert {len(pages) for _, pages in (*one.proposing, *one.solving)} == {GameConfig().top_k}


def played(protocol, text, final):
    """Parse a demonstration as the game would: action after action, what is observed skipped."""
    observation = re.compile(rf"<{protocol.observation}>.*?</{protocol.observation}>", re.DOTALL)
    text = observation.sub("", text)
    while (action := protocol.parse(text, final)).kind != "malformed":
        yield action.kind, action.content
        text = text[len(action.text) :]


@STYLES
@pytest.mark.parametrize("name", AS_TEXT)
def test_demonstrations_are_what_the_protocol_reads(name, style):
    protocol, config, demonstrations = PROTOCOLS[name], GameConfig(protocol=name), style.demonstrations
    told = [("open", "guide.md#3")] if protocol.open else []
    (message,) = style.proposer(config, TASK)
    assert list(played(protocol, message.content, "question")) == told + [
        step
        for one in demonstrations
        for step in (*(("search", query) for query, _ in one.proposing), ("question", one.question))
    ]
    (message,) = style.solver(config, "Where is Corun at home?")
    assert list(played(protocol, message.content, "answer")) == told + [
        step
        for one in demonstrations
        for step in (*(("search", query) for query, _ in one.solving), ("answer", one.answer))
    ]
    (message,) = style.reader(config, "Where is Corun at home?", PAGES)
    assert list(played(protocol, message.content, "answer")) == [
        ("answer", one.answer) for one in demonstrations
    ]


@STYLES
@pytest.mark.parametrize("name", ENGLISH)
def test_prompts_end_with_the_task_in_the_form_demonstrated(name, style):
    protocol, config = PROTOCOLS[name], GameConfig(protocol=name)
    proposer = style.proposer(config, TASK)[-1]
    assert ("\n\n" + proposer.content).endswith("\n\nAnswer: Belin\nHops: 4")
    solver = style.solver(config, "Where is Corun at home?")[-1]
    assert ("\n\n" + solver.content).endswith("\n\nQuestion: Where is Corun at home?")
    reader = style.reader(config, "Where is Corun at home?", PAGES)[-1]
    assert ("\n\n" + reader.content).endswith(
        f"\n\n{protocol.observe(PAGES)}\nQuestion: Where is Corun at home?"
    )


@STYLES
def test_with_native_calls_the_demonstrations_are_conversations_the_protocol_reads(style):
    protocol, config = PROTOCOLS["openai"], GameConfig(protocol="openai")
    demonstrations = style.demonstrations
    messages = style.proposer(config, TASK)
    said = [Reply(one.content, tool_calls=one.tool_calls) for one in messages if one.role == "assistant"]
    read = [protocol.parse(reply, "question") for reply in said]
    assert [(action.kind, action.content) for action in read] == [
        step
        for one in demonstrations
        for step in (*(("search", query) for query, _ in one.proposing), ("question", one.question))
    ]
    called = [call.id for one in messages for call in one.tool_calls]
    assert called == [one.tool_call_id for one in messages if one.role == "tool"]
    assert len(set(called)) == len(called) == 2 * len(demonstrations)


@STYLES
@pytest.mark.parametrize("name", AS_TEXT)
def test_judged_answers_are_right_and_wrong_by_turns(name, style):
    protocol = PROTOCOLS[name]
    (message,) = style.judge(protocol, "Where?", "Corun", ["Belin"])
    verdicts = [content for _, content in played(protocol, message.content, "answer")]
    assert verdicts == ["Correct", "Wrong", "Correct", "Wrong"]
    assert message.content.endswith('Question: "Where?"\nRight answers: "Belin"\nAnswer given: "Corun"')
    pairs = re.findall(r'Right answers: "(.*)"\nAnswer given: "(.*)"', message.content)
    assert [gold in given for gold, given in pairs[:4]] == [True, False, True, False]


@pytest.mark.parametrize(("style", "one"), SHOWN, ids=lambda value: getattr(value, "answer", ""))
def test_the_list_of_several_answers_is_right(style, one):
    (message,) = style.all_answers(GameConfig(), "Who?", PAGES)
    actions = list(played(PROTOCOLS["default"], message.content, "answer"))
    first, second = style.demonstrations[:2]
    assert [content for _, content in actions] == [first.answer, style.listing.answers]
    shown = " ".join(f"{page.title} {page.text}" for page in (*first.passages, *second.passages))
    assert all(answer in shown for answer in style.listing.answers.split("; "))
