"""transformers, and TRL with it, reads the schema of the tool out of the function."""

import asyncio

import pytest

pytest.importorskip("transformers", reason="needs transformers: pip install 'ssp-env[train]'")

from transformers.utils import get_json_schema

from ssp_env.integrations.trl import async_search_function, search_function
from ssp_env.search.tool import SearchTool
from tests.game.doubles import Shelf


@pytest.mark.parametrize("make", [search_function, async_search_function])
def test_the_schema_that_transformers_reads_is_that_of_the_tool(make):
    tool = SearchTool(Shelf(), name="lookup", description="Look it up.")
    expected = tool.to_openai()["function"]
    del expected["parameters"]["additionalProperties"]
    function = get_json_schema(make(tool))["function"]
    assert function.pop("return")["type"] == "string"
    assert function == expected


def test_the_functions_return_what_the_tool_returns():
    tool = SearchTool(Shelf(), on_error="return")
    for query in ("belin", ""):
        assert search_function(tool)(query) == asyncio.run(async_search_function(tool)(query)) == tool(query)


def test_asynchronous_calls_are_one_batch():
    shelf = Shelf()
    search = async_search_function(SearchTool(shelf))

    async def both():
        await asyncio.gather(search("belin"), search(query="corun"))

    asyncio.run(both())
    assert shelf.batches == [["belin", "corun"]]
