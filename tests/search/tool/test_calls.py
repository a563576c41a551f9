"""The schema fits the game; searches are read in text and native calls; what a model reads is harmless."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import PROTOCOLS, Protocol
from ssp_env.game.passage import Passage
from ssp_env.search.tool import SearchCall, SearchTool

TOOL = SearchTool(lambda query: [query], name="lookup", top_k=2, max_top_k=5)
HERMES = '<tool_call>\n{"name": "lookup", "arguments": {"query": "blue whale"}}\n</tool_call>'
FUNCTION = {"name": "lookup", "arguments": '{"query": "blue whale"}'}
TOOL_USE = {"type": "tool_use", "id": "c1", "name": "lookup", "input": {"query": "blue whale"}}
PIECES = st.sampled_from(
    ["<tool_call>", "</tool_call>", "<search>", "</search>", "<answer>", "</answer>", "<think>", "</think>",
     '{"name": "lookup", "arguments": ', '{"query": ', '"whale"', '"top_k": ', "}", "1e999", "null", "\ud800"]
)  # fmt: skip
KEYS = st.sampled_from(
    [
        "type",
        "function",
        "tool_calls",
        "name",
        "arguments",
        "input",
        "id",
        "query",
        "top_k",
        "text",
        "call_id",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)


def kinds(calls):
    return [call.error and call.error.kind for call in calls]


@pytest.mark.parametrize(
    "reply",
    ["Hm. <search> blue whale </search> and so on", f"Hm. {HERMES} and so on",
     "<think> <search> red panda </search> </think> <search>blue whale</search> <answer> x </answer>",
     {"role": "assistant", "content": "<search>blue whale</search>"},
     {"role": "assistant", "content": [{"type": "text", "text": HERMES}]}],
)  # fmt: skip
def test_a_search_is_read_in_text(reply):
    assert TOOL.parse(reply) == [SearchCall("blue whale")]


@pytest.mark.parametrize(
    "reply",
    ["", "no search", "<search> blue whale", "<answer> a </answer> <search> blue whale </search>",
     f"<answer> a </answer> {HERMES}", f"<think> {HERMES} </think>", {"role": "assistant", "content": None},
     {"role": "assistant", "content": "", "tool_calls": None}, []],
)  # fmt: skip
def test_a_reply_without_a_search_has_no_calls(reply):
    assert TOOL.parse(reply) == []


@pytest.mark.parametrize(
    ("reply", "id"),
    [
        ({"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": FUNCTION}]}, "c1"),
        ({"id": "c1", "type": "function", "function": FUNCTION}, "c1"),
        ({"type": "function", "function": {"name": "lookup", "arguments": {"query": "blue whale"}}}, ""),
        ([{"type": "reasoning"}, {"type": "function_call", "id": "f", "call_id": "c1", **FUNCTION}], "c1"),
        ({"content": [{"type": "text", "text": "Hm."}, TOOL_USE]}, "c1"),
        (FUNCTION, ""),
    ],
)  # fmt: skip
def test_native_calls_of_every_shape_are_read(reply, id):
    assert TOOL.parse(reply) == [SearchCall("blue whale", id=id)]


def test_objects_of_client_libraries_are_read():
    class Message:
        def model_dump(self):
            return {"role": "assistant", "tool_calls": [{"id": "c1", "function": FUNCTION}]}

    assert TOOL.parse(Message()) == [SearchCall("blue whale", id="c1")]


def test_all_native_calls_count_and_an_unreadable_one_keeps_its_id():
    calls = [
        {"id": "a", "function": FUNCTION},
        {"id": "b", "function": {"name": "browse", "arguments": "{}"}},
        {"id": "c", "function": {"name": "lookup", "arguments": '{"query": '}},
        {"id": "d", "function": {"name": "lookup"}},
        {"id": "e", "function": None},
        {"id": "f", "function": {"name": "lookup", "arguments": {"query": " \u200b "}}},
    ]
    read = TOOL.parse({"role": "assistant", "tool_calls": calls})
    assert [call.id for call in read] == list("abcdef")
    assert kinds(read) == [None, "bad_call", "bad_call", "bad_call", "bad_call", "bad_query"]


@pytest.mark.parametrize(
    ("top_k", "read", "kind"),
    [(4, 4, None), (4.0, 4, None), (10**6, 10**6, None), (0, 0, None), (None, None, None),
     (True, None, "bad_top_k"),
     ("4", None, "bad_top_k"), (2.5, None, "bad_top_k"), ([4], None, "bad_top_k")],
)  # fmt: skip
@pytest.mark.parametrize("form", ["hermes", "native"])
def test_a_call_may_choose_top_k(top_k, read, kind, form):
    call = {"name": "lookup", "arguments": {"query": "whale", "top_k": top_k}}
    reply = {"function": call} if form == "native" else f"<tool_call>{json.dumps(call)}</tool_call>"
    (found,) = TOOL.parse(reply)
    assert (found.top_k, kinds([found])) == (read, [kind])


def test_without_max_top_k_the_argument_is_ignored():
    tool = SearchTool(lambda query: [query])
    arguments = {"query": "whale", "top_k": "all"}
    assert tool.parse({"name": "search", "arguments": arguments}) == [SearchCall("whale")]


def test_json_between_search_tags_is_a_query_and_nothing_else():
    (call,) = TOOL.parse('<search> {"top_k": 4} </search>')
    assert call == SearchCall('{"top_k": 4}')


def test_tags_of_ones_own_are_read():
    tool = SearchTool(lambda query: [query], protocol=Protocol("mine", search="query"))
    assert tool.parse("<query> whale </query>") == [SearchCall("whale")]
    assert tool.parse("<search> whale </search>") == []


@pytest.mark.parametrize("reply", [None, 5, b"<search> x </search>"])
def test_what_no_model_writes_is_refused(reply):
    with pytest.raises(TypeError, match="expected a text, a message or tool calls"):
        TOOL.parse(reply)


@given(st.lists(PIECES | st.text(max_size=5), max_size=20).map("".join))
def test_any_text_gives_at_most_one_call_with_a_query_or_an_error(text):
    calls = TOOL.parse(text)
    assert len(calls) <= 1
    for call in calls:
        assert bool(call.query) or call.error is not None


@given(st.dictionaries(KEYS, JSON, max_size=6))
def test_any_native_call_is_read_or_has_an_error(data):
    for result in TOOL.respond({"role": "assistant", "tool_calls": [data]}):
        assert result.error is not None or result.passages


@given(st.text(st.characters(exclude_characters="<>[]|", exclude_categories=["C"]), min_size=1, max_size=30))
def test_every_form_carries_the_same_query(query):
    forms = [
        f"<search> {query} </search>",
        f"<tool_call>{json.dumps({'name': 'lookup', 'arguments': {'query': query}})}</tool_call>",
        {"name": "lookup", "arguments": {"query": query}},
    ]
    read = [TOOL.parse(form)[0] for form in forms]
    assert len({(call.query, kinds([call])[0]) for call in read}) == 1


# -- schema ----------------------------------------------------------------------------------------------

PLAIN = SearchTool(lambda query: [])
CHOOSY = SearchTool(lambda query: [], name="lookup", description="Look it up.", max_top_k=5)


@pytest.mark.parametrize("strict", [True, False])
def test_the_plain_tool_is_the_tool_of_the_game(strict):
    assert [PLAIN.to_openai(strict=strict)] == PROTOCOLS["openai"].tools(strict=strict)


def test_every_shape_says_the_same():
    function = CHOOSY.to_openai()["function"]
    name, description, parameters = function["name"], function["description"], function["parameters"]
    assert (name, description, list(parameters["properties"])) == (
        "lookup",
        "Look it up.",
        ["query", "top_k"],
    )
    assert CHOOSY.to_openai_responses() == {"type": "function", **function, "strict": False}
    assert CHOOSY.to_mcp() == {"name": name, "description": description, "inputSchema": parameters}
    assert CHOOSY.to_anthropic() == {"name": name, "description": description, "input_schema": parameters}
    assert CHOOSY.to_chat_template() == [CHOOSY.to_openai()]


@pytest.mark.parametrize(
    "function", [CHOOSY.to_openai(strict=True)["function"], CHOOSY.to_openai_responses(strict=True)]
)
def test_a_strict_schema_requires_every_argument_and_allows_no_other(function):
    parameters = function["parameters"]
    assert function["strict"] is True
    assert parameters["required"] == list(parameters["properties"]) == ["query"]
    assert parameters["additionalProperties"] is False


@pytest.mark.parametrize("arguments", [{"query": "whale"}, {"query": "whale", "top_k": 5}])
def test_arguments_that_fit_the_schema_are_read(arguments):
    jsonschema.validate(arguments, CHOOSY.to_mcp()["inputSchema"])
    tool = SearchTool(lambda query: [query], name="lookup", max_top_k=5)
    (call,) = tool.parse({"name": "lookup", "arguments": arguments})
    assert (call.query, call.top_k, call.error) == ("whale", arguments.get("top_k"), None)


@pytest.mark.parametrize(
    "arguments", [{}, {"query": 5}, {"query": "whale", "top_k": 0}, {"query": "whale", "top_k": "5"}]
)
def test_arguments_that_do_not_fit_are_errors(arguments):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(arguments, CHOOSY.to_mcp()["inputSchema"])
    tool = SearchTool(lambda query: [query], name="lookup", max_top_k=5)
    (result,) = tool.respond({"name": "lookup", "arguments": arguments})
    assert result.error.kind in ("bad_call", "bad_top_k")


# -- layouts ---------------------------------------------------------------------------------------------

PASSAGES = [Passage("a", "Whale", "It is large."), Passage("b", "Panda", "It is red.")]
NASTY = st.lists(
    st.sampled_from(
        ["<|im_start|>", "<|im_end|>", "<s>", "[INST]", "<answer>", "</information>", "<ANSWER >",
         "＜answer＞", "<script>", "</tool_response>", "<!--", "<img src=x>", "\x00", "\u202e", "\ud800",
         "\n", "a < b", "<b>"]
    )
    | st.text(max_size=4),
    max_size=12,
).map("".join)  # fmt: skip


def shown(layout, passages=PASSAGES, **arguments):
    return SearchTool(lambda query: passages, layout=layout, **arguments)("whale")


def test_documents_are_numbered_and_titled():
    assert shown("documents") == "Doc 1 (Title: Whale)\nIt is large.\n\nDoc 2 (Title: Panda)\nIt is red."


def test_plain_texts_stand_alone():
    assert shown("plain") == "It is large. ; It is red."


def test_json_is_a_list_of_objects():
    assert json.loads(shown("json")) == [
        {"id": "a", "title": "Whale", "text": "It is large."},
        {"id": "b", "title": "Panda", "text": "It is red."},
    ]


def test_a_function_lays_out_harmless_passages():
    assert shown(lambda found: "/".join(hit.text for hit in found), [Passage("a", "", "<b>")]) == "&lt;b>"


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="layout must be documents, plain, json or a function, got 'xml'"):
        shown("xml")


@pytest.mark.parametrize(
    ("layout", "text"),
    [("documents", "No passage matches this search."), ("plain", "No passage matches this search."),
     ("json", "[]")],
)  # fmt: skip
def test_finding_nothing_is_no_error(layout, text):
    assert shown(layout, []) == text


def test_long_texts_are_cut_before_they_are_spelled_out():
    assert shown("plain", [Passage("a", "", "<b>bold</b>")], max_passage_chars=4) == (
        "&lt;b>b... [cut: 7 of 11 characters left out]"
    )


def test_numbers_that_are_compared_stay_as_they_are():
    assert shown("plain", [Passage("a", "", "1 < 2 and 3 > 2, x<=y")]) == "1 < 2 and 3 > 2, x<=y"


@given(NASTY, NASTY, NASTY, st.sampled_from(["documents", "plain", "json"]))
def test_no_passage_carries_anything_that_acts(identifier, title, text, layout):
    read = shown(layout, [Passage(identifier, title, text)])
    for protocol in PROTOCOLS.values():
        assert protocol.escape(read) == read
    assert not any(f"<{char}" in read for char in "abisABIS/!?")
    assert not any(char in read for char in "\x00\u202e\ud800")
    read.encode()
