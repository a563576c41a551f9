import pytest

from agents.chat_roles import knows_tool_role
from agents.native_calls import read_reply
from ssp_env.game import PROTOCOLS, ToolCall
from tests.agents.chatty import CHATML, TOOL_CHATML, build_tokenizer

OPENAI = PROTOCOLS["openai"]


def read(text, has_search_tool=True):
    return read_reply(text, OPENAI, "answer", has_search_tool=has_search_tool, call_id="c")


def call(json):
    return f"<tool_call>{json}</tool_call>"


@pytest.mark.parametrize(
    ("json", "name", "arguments"),
    [
        ('{"name": "search", "arguments": {"query": "a"}}', "search", '{"query": "a"}'),
        ('{"name": "search", "arguments": "{\\"query\\": \\"a\\"}"}', "search", '{"query": "a"}'),
        ('{"name": "buy", "arguments": {}}', "buy", "{}"),
        ("blue whale", "search", "blue whale"),
        ('{"name": "search"}', "search", '{"name": "search"}'),
        ("[1]", "search", "[1]"),
    ],
)
def test_whatever_stands_in_a_call_reaches_the_game(json, name, arguments):
    reply, finished = read(f"Hm. {call(json)}")
    assert finished
    assert reply.text == "Hm."
    assert reply.tool_calls == (ToolCall("c", name, arguments),)


def test_the_game_searches_for_what_was_called_and_names_what_is_wrong():
    good, _ = read(call('{"name": "search", "arguments": {"query": "a"}}'))
    bad, _ = read(call("blue whale"))
    assert (OPENAI.parse(good, "answer").kind, OPENAI.parse(good, "answer").content) == ("search", "a")
    assert OPENAI.parse(bad, "answer").code == "bad_json"


@pytest.mark.parametrize(
    ("text", "has_search_tool", "finished"),
    [
        ("<answer> a </answer>", True, True),
        ("<tool_call> {", True, False),
        (f"<think> {call('{}')} </think> hm", True, False),
        (call('{"name": "search", "arguments": {"query": "a"}}'), False, False),
        (f"<answer> a </answer> {call('{}')}", True, True),
    ],
    ids=["answer", "open call", "call in a thought", "reader", "answer first"],
)
def test_what_is_no_call_stays_text(text, has_search_tool, finished):
    reply, over = read(text, has_search_tool)
    assert (reply.text, reply.tool_calls, over) == (text, (), finished)


def test_a_template_knows_the_tool_role_if_it_treats_it_like_no_other():
    assert knows_tool_role(build_tokenizer(TOOL_CHATML))
    assert not knows_tool_role(build_tokenizer(CHATML))
    refusing = (
        "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no') }}{% endif %}{% endfor %}"
    )
    assert not knows_tool_role(build_tokenizer(refusing))
