"""Opening the parts of pages with the search tool, outside of any game."""

import asyncio
import json

import pytest

from ssp_env.game.passage import Passage
from ssp_env.search import BM25Engine, SearchTool, ToolError
from ssp_env.search.parts import PartSize, cut_pages

PAGE = Passage("guide.md", "Guide", "Corun has a harbour. Sarn is its mayor. Tavor is his mother.")
ENGINE = BM25Engine([*cut_pages([PAGE], PartSize(4, 0)), Passage("n0", "Nobody", "Nobody lives here.")])


def tool(**arguments):
    return SearchTool(ENGINE, **{"top_k": 1, "protocol": "default-open", **arguments})


def opening(page="guide.md", part=3):
    function = {"name": "open", "arguments": json.dumps({"page": page, "part": part})}
    return {"id": "c1", "type": "function", "function": function}


def test_a_part_of_a_listed_page_is_shown():
    search = tool()
    assert search("harbour").startswith("Doc 1 (Title: Guide, page: guide.md#1/3)")
    assert "Tavor is his mother." in search.open("guide.md", 3)
    assert "Sarn is its mayor." in asyncio.run(search.aopen("guide.md", 2))


@pytest.mark.parametrize(("page", "part"), [("n0", 1), ("guide.md", 4), ("other", 1)])
def test_what_no_search_of_the_episode_has_listed_is_not_shown(page, part):
    search = tool()
    search("harbour")
    with pytest.raises(ToolError, match="not_listed"):
        search.open(page, part)
    with pytest.raises(ToolError, match="not_listed"):
        search.episode().open("guide.md", 2)


@pytest.mark.parametrize(
    "reply",
    [
        "<open> guide.md#3 </open>",
        '<tool_call>{"name": "open", "arguments": {"page": "guide.md", "part": 3}}</tool_call>',
        {"role": "assistant", "tool_calls": [opening()]},
        [{"type": "tool_use", "id": "t1", "name": "open", "input": {"page": "guide.md#1/3", "part": 3}}],
    ],
)
def test_calls_in_every_form_are_answered(reply):
    search = tool()
    search("harbour")
    for results in (search.respond(reply), asyncio.run(search.arespond(reply))):
        (result,) = results
        assert result.error is None
        assert "Tavor is his mother." in result.text


def test_searches_and_openings_of_one_message_are_answered_in_order():
    search = tool()
    search("harbour")
    asking = {"name": "search", "arguments": json.dumps({"query": "nobody"})}
    calls = [opening(), {"id": "c2", "type": "function", "function": asking}, opening(part=2)]
    texts = [result.text for result in search.respond({"role": "assistant", "tool_calls": calls})]
    assert ["Tavor" in texts[0], "Nobody" in texts[1], "Sarn" in texts[2]] == [True] * 3


def test_opened_parts_have_a_budget_of_their_own():
    search = tool(max_opens=1, max_searches=1)
    search("harbour")
    search.open("guide.md", 2)
    (result,) = search.respond("<open> guide.md#3 </open>")
    assert result.error.kind == "open_budget"
    assert "No more parts of pages can be opened." in result.text
    assert search.searches_left == 0


def test_a_failure_is_an_error_and_costs_nothing():
    class Failing:
        search, fingerprint = ENGINE.search, ENGINE.fingerprint

        def get_passages(self, ids):
            raise OSError("disk")

    search = SearchTool(Failing(), top_k=1, protocol="default-open", max_opens=1)
    search("harbour")
    for _ in range(2):
        (result,) = search.respond("<open> guide.md#3 </open>")
        assert (result.error.kind, result.error.detail) == ("engine", "OSError: disk")


def test_ids_that_hold_tags_are_named_as_they_were_shown():
    engine = BM25Engine(cut_pages([Passage("<b>x", "T", "One two three. Four five.")], PartSize(3, 0)))
    search = SearchTool(engine, top_k=1, protocol="default-open")
    assert "page: &lt;b>x#1/2" in search("one")
    assert "Four five." in search.open("&lt;b>x", 2)


def test_schemas_describe_both_tools():
    names = [schema["function"]["name"] for schema in tool().to_chat_template()]
    assert names == ["search", "open"]
    (schema,) = tool().open_to_openai(strict=True)
    assert schema["function"]["parameters"]["required"] == ["page", "part"]
    assert SearchTool(ENGINE).open_to_openai() == []
    assert len(SearchTool(ENGINE).to_chat_template()) == 1


def test_without_an_open_action_nothing_is_opened_or_shown():
    search = SearchTool(ENGINE, top_k=1)
    assert search("harbour").startswith("Doc 1 (Title: Guide)")
    assert search.respond("<open> guide.md#3 </open>") == []


def test_an_engine_that_cannot_open_is_refused():
    with pytest.raises(ValueError, match=r"expected an engine with the method get_passages\(ids\)"):
        SearchTool(lambda query: [], protocol="default-open")
    with pytest.raises(ValueError, match="max_opens must be 0 or more, got -1"):
        tool(max_opens=-1)
