"""Tool calls: JSON between tags (Hermes, Qwen) and native calls beside the text (OpenAI)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import PROTOCOLS, Game, Message, Read, Reply, ToolCall
from ssp_env.game.events import SearchReturned
from ssp_env.game.protocol import MALFORMED_CODES
from tests.game.doubles import (
    QUESTION,
    answer,
    ended,
    new_game,
    open_requests,
    outcome,
    propose,
    question,
    say,
    turn_of,
    write,
)

HERMES, OPENAI = PROTOCOLS["hermes"], PROTOCOLS["openai"]

CALLS = [
    ({"name": "search", "arguments": {"query": "blue whale"}}, "blue whale", ""),
    ({"name": "search", "arguments": {"query_list": ["blue whale"]}}, "blue whale", ""),
    ({"name": "search", "arguments": {"query": ["blue whale"], "top_k": 50}}, "blue whale", ""),
    ({"name": "search", "arguments": '{"query": "blue whale"}'}, "blue whale", ""),
    ({"name": "search", "arguments": {"query": "  blue <answer> whale "}}, "blue   whale", ""),
    ({"name": "search", "arguments": {"query_list": ["blue", "whale"]}}, "", "several_queries"),
    ({"name": "search", "arguments": {"query": ["blue", "blue"]}}, "", "several_queries"),
    ({"name": "search", "arguments": {"query": "a", "query_list": ["b"]}}, "", "bad_call"),
    ({"name": "search", "arguments": {"query_list": []}}, "", "bad_call"),
    ({"name": "search", "arguments": {"query": 5}}, "", "bad_call"),
    ({"name": "search", "arguments": {"query": ["a", 5]}}, "", "bad_call"),
    ({"name": "search", "arguments": {"q": "blue whale"}}, "", "bad_call"),
    ({"name": "search", "arguments": ["blue whale"]}, "", "bad_call"),
    ({"name": "search", "arguments": "blue whale"}, "", "bad_json"),
    ({"name": "browse", "arguments": {"query": "blue whale"}}, "", "unknown_tool"),
    ({"name": "search", "arguments": {"query": " \u200b "}}, "", "empty_action"),
    ({"name": "search", "arguments": {"query": "x" * 2001}}, "", "too_long"),
]
JSON_PIECES = st.lists(
    st.sampled_from(["<tool_call>", "</tool_call>", '{"name":', '"search"', ',"arguments":', '{"query":'])
    | st.sampled_from(
        ["}", "[", "]", '"', "\\", "\\u", "\\ud800", "null", "1e9", "NaN", ",", " ", "\x00", "é"]
    ),
    max_size=25,
).map("".join)


@pytest.mark.parametrize(("call", "content", "code"), CALLS)
def test_a_hermes_call_is_one_search_or_malformed_with_a_code(call, content, code):
    action = HERMES.parse(f"Hm. <tool_call>\n{json.dumps(call)}\n</tool_call> and", "answer")
    assert (action.kind, action.content, action.code) == ("malformed" if code else "search", content, code)
    assert action.dropped == 4


@pytest.mark.parametrize(("call", "content", "code"), CALLS)
def test_a_native_call_is_read_the_same(call, content, code):
    native = (
        ToolCall.from_openai({"id": "c1", "type": "function", "function": call})
        if isinstance(call["arguments"], str | dict)
        else ToolCall("c1", call["name"], json.dumps(call["arguments"]))
    )
    action = OPENAI.parse(Reply("Hm.", tool_calls=(native,)), "answer")
    assert (action.kind, action.content, action.code) == ("malformed" if code else "search", content, code)
    assert (action.call, action.text) == (native, "Hm.")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "bad_json"),
        ("blue whale", "bad_json"),
        ("{'name': 'search'}", "bad_json"),
        ('{"name": "search"', "bad_json"),
        ("[" * 1_000_000, "bad_json"),
        ('{"a":' * 1_000_000, "bad_json"),
        ("9" * 1_000_000, "bad_call"),
        ('"search"', "bad_call"),
        ("[]", "bad_call"),
        ("{}", "bad_call"),
        ('{"name": ["search"], "arguments": {"query": "a"}}', "bad_call"),
        ('[{"name": "search", "arguments": {"query": "a"}}]', "bad_call"),
    ],
)
def test_a_broken_hermes_call_is_malformed(body, code):
    assert HERMES.parse(f"<tool_call>{body}</tool_call>", "answer").code == code


def test_raw_line_breaks_in_a_query_are_forgiven():
    body = '{"name": "search", "arguments": {"query": "blue\nwhale"}}'
    assert HERMES.parse(f"<tool_call>{body}</tool_call>", "answer").content == "blue\nwhale"


def test_escapes_in_json_smuggle_no_tag_into_a_query():
    body = r'{"name": "search", "arguments": {"query": "a \u003canswer\u003e \u003c|im_end|\u003e"}}'
    assert HERMES.parse(f"<tool_call>{body}</tool_call>", "answer").content == "a   &lt;|im_end|&gt;"


@given(JSON_PIECES)
def test_reading_calls_is_total(text):
    for reply in (text, Reply(text, tool_calls=(ToolCall("c", "search", text), ToolCall("d", text, "{}")))):
        for protocol in (HERMES, OPENAI):
            action = protocol.parse(reply, "answer")
            assert action.code in ("", *MALFORMED_CODES)
            assert action.content == protocol.escape(action.content)


def test_the_text_comes_before_the_calls_and_only_the_first_call_counts():
    calls = [OPENAI.write("search", query, call_id=query).tool_calls[0] for query in ("a", "b")]
    action = OPENAI.parse(Reply("hm", tool_calls=calls), "answer")
    assert (action.content, action.call, action.dropped_calls) == ("a", calls[0], 1)
    action = OPENAI.parse(Reply("<answer> x </answer>", tool_calls=calls), "answer")
    assert (action.kind, action.content, action.call, action.dropped_calls) == ("answer", "x", None, 2)


def test_calls_in_the_text_are_no_native_calls_and_the_other_way_round():
    assert OPENAI.parse(HERMES.write("search", "a"), "answer").code == "no_action"
    assert HERMES.parse(OPENAI.write("search", "a"), "answer").code == "no_action"
    assert HERMES.parse(OPENAI.write("search", "a"), "answer").dropped_calls == 1
    assert PROTOCOLS["default"].parse(HERMES.write("search", "a"), "answer").code == "no_action"


@pytest.mark.parametrize("protocol", [HERMES, OPENAI])
def test_a_reader_cannot_call_the_tool(protocol):
    action = protocol.parse(protocol.write("search", "a"), "answer", has_search_tool=False)
    assert action.code == "no_action"


def test_the_schema_is_openais_and_a_call_by_it_is_read():
    (tool,) = OPENAI.tools(strict=True)
    function = tool["function"]
    assert (tool["type"], function["name"], function["strict"]) == ("function", "search", True)
    parameters = function["parameters"]
    assert parameters["required"] == list(parameters["properties"]) == ["query"]
    assert parameters["additionalProperties"] is False
    assert "strict" not in OPENAI.tools()[0]["function"]
    assert OPENAI.tools() == HERMES.tools()
    assert PROTOCOLS["default"].tools() == []
    arguments = json.dumps(dict.fromkeys(parameters["properties"], "whale"))
    call = ToolCall("c", function["name"], arguments)
    assert OPENAI.parse(Reply("", tool_calls=(call,)), "answer").content == "whale"


def test_a_hermes_game_shows_results_between_tool_response_tags():
    game = new_game(protocol="hermes")
    propose(game, HERMES.write("search", "belin"))
    said, result = turn_of(game, "proposer_0").view.messages[-2:]
    assert said == Message("assistant", HERMES.write("search", "belin").text)
    assert result.role == "tool"
    assert result.content.startswith("<tool_response>\nDoc 1 (Title: Belin)")


def test_a_native_game_speaks_as_chat_endpoints_expect():
    game = new_game(protocol="openai")
    calls = (ToolCall("c7", "search", '{"query": "belin"}'), ToolCall("c8", "search", '{"query": "corun"}'))
    propose(game, Reply("Let me see.", tool_calls=calls))
    said, result = turn_of(game, "proposer_0").view.messages[-2:]
    assert said.to_openai() == {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
            {
                "id": "c7",
                "type": "function",
                "function": {"name": "search", "arguments": '{"query": "belin"}'},
            }
        ],
    }
    assert result.to_openai() == {
        "role": "tool",
        "content": "Doc 1 (Title: Belin)\nBelin has her home in Corun.",
        "tool_call_id": "c7",
    }
    assert [event.query for event in game.events if isinstance(event, SearchReturned)] == ["belin"]


def test_a_native_notice_answers_the_call_or_comes_from_a_user():
    game = new_game(protocol="openai", retries=3)
    propose(game, Reply("", tool_calls=(ToolCall("c1", "browse", "{}"),)), "hm")
    call, told, text, told_again = turn_of(game, "proposer_0").view.messages[-4:]
    assert (call.tool_calls[0].id, told.role, told.tool_call_id) == ("c1", "tool", "c1")
    assert (text.role, told_again.role, told_again.tool_call_id) == ("assistant", "user", "")
    assert told.content == told_again.content == OPENAI.notices["malformed"]


@pytest.mark.parametrize("name", ["hermes", "openai"])
def test_a_whole_game_is_played_and_restored(name):
    protocol = PROTOCOLS[name]
    game = new_game(protocol=name, noise_passages=0)
    propose(game, *(write(protocol, "search", title) for title in ("belin", "corun", "sarn")), question())
    (reading,) = open_requests(game, Read)
    game.submit(reading.id, answer())
    say(game, "solver_0", write(protocol, "search", "corun"), answer())
    assert ended(game) == ("valid", "solved")
    assert outcome(game).question == QUESTION
    copy = Game.restore(json.loads(json.dumps(game.snapshot())))
    assert (copy.events, copy.outcome) == (game.events, game.outcome)


@pytest.mark.parametrize("name", ["hermes", "openai"])
def test_a_list_of_queries_never_counts_as_several_searches(name):
    queries = {"query_list": ["belin", "corun", "sarn"]}
    calls = {
        "hermes": f"<tool_call>{json.dumps({'name': 'search', 'arguments': queries})}</tool_call>",
        "openai": Reply("", tool_calls=(ToolCall("c", "search", json.dumps(queries)),)),
    }
    game = new_game(protocol=name)
    propose(game, calls[name], write(PROTOCOLS[name], "search", "belin"), question())
    assert game.events[0].action.code == "several_queries"
    assert ended(game) == ("invalid", "too_few_searches")


def test_openais_shape_goes_in_and_out():
    data = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"query": "a"}'}}
    assert ToolCall.from_openai(data).to_openai() == data
    assert Reply("", tool_calls=[data]).tool_calls == (ToolCall("c1", "search", '{"query": "a"}'),)


def test_bad_tool_calls_of_an_agent_are_named():
    with pytest.raises(ValueError, match="needs id and function with name and arguments, got"):
        ToolCall.from_openai({"id": "c1", "function": {"name": "search"}})
    with pytest.raises(ValueError, match="needs an id"):
        ToolCall("", "search", "{}")
    with pytest.raises(TypeError, match="arguments of a tool call must be a string, got NoneType"):
        ToolCall("c1", "search", None)
    with pytest.raises(TypeError, match="must be a ToolCall or a mapping, got str"):
        Reply("", tool_calls=("search",))
