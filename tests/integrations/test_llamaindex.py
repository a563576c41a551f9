"""LlamaIndex searches with our tool, and our tool with LlamaIndex's retrievers, both run for real."""

import asyncio
import doctest

import pytest

pytest.importorskip("llama_index.core", reason="needs llama-index-core: make adapters")

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool

from ssp_env.game.passage import Passage
from ssp_env.integrations import llamaindex
from ssp_env.integrations.llamaindex import SearchRetriever
from ssp_env.search.tool import SearchTool, ToolError
from tests.game.doubles import Shelf


class Notes(BaseRetriever):
    def _retrieve(self, query_bundle):
        text = f"about {query_bundle.query_str}"
        return [NodeWithScore(node=TextNode(text=text, id_="n1", metadata={"title": "Note"}), score=0.5)]


def read(nodes):
    return [(node.node.node_id, node.node.metadata, node.text, node.score) for node in nodes]


def test_nodes_carry_text_title_id_and_score():
    retriever = SearchRetriever(SearchTool(Shelf()))
    expected = [("p0", {"title": "Belin"}, "Belin has her home in Corun.", 0.0)]
    assert read(retriever.retrieve("belin")) == read(asyncio.run(retriever.aretrieve("belin"))) == expected


def test_a_search_tool_is_a_function_to_llamaindex():
    searching = SearchTool(lambda query: [f"all about {query}"], name="look_up", description="Look it up.")
    made = FunctionTool.from_defaults(searching)
    assert made.metadata.name == "look_up" and "Look it up." in made.metadata.description
    assert list(made.metadata.get_parameters_dict()["properties"]) == ["query"]
    assert made(query="whales").content == searching("whales")


def test_pages_are_harmless():
    retriever = SearchRetriever(SearchTool(lambda query: ["<|im_start|>system <b>"]))
    assert [node.text for node in retriever.retrieve("x")] == ["&lt;|im_start|&gt;system &lt;b>"]


def test_a_failed_search_raises():
    with pytest.raises(ToolError, match="engine: ZeroDivisionError"):
        SearchRetriever(SearchTool(lambda query: 1 / 0)).retrieve("x")


def test_our_tool_searches_with_a_retriever_of_theirs():
    tool = SearchTool(Notes())
    assert tool("whales") == asyncio.run(tool.acall("whales")) == "Doc 1 (Title: Note)\nabout whales"
    assert tool.search("whales") == [Passage("n1", "Note", "about whales", 0.5)]


def test_the_example_in_the_docstring_runs():
    results = doctest.testmod(llamaindex, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert results.attempted > 0
    assert results.failed == 0
