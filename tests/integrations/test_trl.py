"""transformers, and TRL with it, reads the schema of the tool out of the function."""

import asyncio
import inspect

import pytest

pytest.importorskip("transformers", reason="needs transformers: pip install 'ssp-env[train]'")

from transformers.utils import get_json_schema

from ssp_env.integrations.trl import async_search_function, search_environment, search_function
from ssp_env.search.tool import SearchTool
from tests.game.doubles import Shelf


def search_method(tool):
    return getattr(search_environment(tool)(), tool.name)


@pytest.mark.parametrize("make", [search_function, async_search_function, search_method])
def test_the_schema_that_transformers_reads_is_that_of_the_tool(make):
    tool = SearchTool(Shelf(), name="lookup", description="Look it up.")
    expected = tool.to_openai()["function"]
    del expected["parameters"]["additionalProperties"]
    function = get_json_schema(make(tool))["function"]
    assert function.pop("return")["type"] == "string"
    assert function == expected


@pytest.mark.parametrize("query", ["belin", "zzz", "", 5, None])
def test_every_form_returns_what_the_tool_returns(query):
    tool = SearchTool(Shelf(), on_error="return")
    assert search_function(tool)(query) == tool(query)
    assert asyncio.run(async_search_function(tool)(query)) == tool(query)
    assert search_method(tool)(query) == tool(query)


def test_what_a_failing_engine_says_does_not_reach_the_model():
    # TRL would show the model the text of an exception.
    tool = SearchTool(lambda query: 1 / 0, on_error="raise")
    said = "[search error: engine] The search engine failed. Nothing was found out."
    assert search_function(tool)("x") == search_method(tool)("x") == said
    assert asyncio.run(async_search_function(tool)("x")) == said


def test_every_environment_has_a_budget_that_reset_renews():
    make = search_environment(SearchTool(Shelf(), max_searches=1))
    one, other = make(), make()
    for environment in (one, other):
        assert "Corun" in environment.search("belin")
        assert environment.search("belin").startswith("[search error: budget]")
        assert [result.error is None for result in environment.results] == [True, False]
    assert one.reset(prompt=[], answer="a row of the data set") is None
    assert one.results == [] and "Corun" in one.search("belin")
    assert len(other.results) == 2


def test_an_environment_has_no_method_but_the_search_and_reset():
    make = search_environment(SearchTool(Shelf(), name="lookup"))
    functions = dict(inspect.getmembers(make, inspect.isfunction))
    assert {name for name in functions if not name.startswith("_")} == {"lookup", "reset"}


@pytest.mark.parametrize("name", ["reset", "get_reward", "_search", "web-search"])
def test_names_that_cannot_be_tools_of_an_environment_are_refused(name):
    with pytest.raises(ValueError, match=f"expected a tool whose name can be a method.*{name}"):
        search_environment(SearchTool(Shelf(), name=name))


def test_asynchronous_calls_are_one_batch():
    shelf = Shelf()
    search = async_search_function(SearchTool(shelf))

    async def both():
        await asyncio.gather(search("belin"), search(query="corun"))

    asyncio.run(both())
    assert shelf.batches == [["belin", "corun"]]
