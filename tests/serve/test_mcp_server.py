"""The MCP tool: in process, over streamable HTTP and over stdio, asked by the SDK's own client."""

import asyncio
import sys

import pytest

from ssp_env.search.bm25 import BM25Engine
from ssp_env.testing.engines import PASSAGES
from ssp_env.worlds import World, world_preset
from tests.serve.running import ROOT, process

mcp = pytest.importorskip("mcp")
if not hasattr(mcp, "Client"):
    pytest.skip("the client of these tests came with version 2", allow_module_level=True)
from ssp_env.serve.mcp_server import build_mcp_server  # noqa: E402
from ssp_env.serve.messages import Limits  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def call(server, *arguments):
    """The results of several calls of the tool, made at once."""

    async def ask():
        async with mcp.Client(server) as client:
            [tool] = (await client.list_tools()).tools
            results = await asyncio.gather(*(client.call_tool("search", given) for given in arguments))
            return tool, results

    return asyncio.run(ask())


def test_the_tool_finds_what_the_engine_finds():
    engine = BM25Engine(PASSAGES)
    queries = ["mayor of Corun", "walnuts", "nothing-like-this"]
    tool, results = call(build_mcp_server(engine), *({"query": query, "top_k": 2} for query in queries))
    for result, hits in zip(results, engine.search(queries, 2)):
        found = result.structured_content["result"]
        assert [(hit["id"], hit["title"], hit["text"], hit["score"]) for hit in found] == [
            (hit.id, hit.title, hit.text, hit.score) for hit in hits
        ]
    assert tool.name == "search"
    assert tool.input_schema["required"] == ["query"]
    assert tool.input_schema["properties"]["top_k"]["default"] == 3


@pytest.mark.parametrize(
    "given", [{"query": "a" * 11}, {"query": "a", "top_k": 4}, {"query": "a", "top_k": 0}, {}]
)
def test_limits_hold(given):
    _, [result] = call(
        build_mcp_server(BM25Engine(PASSAGES), limits=Limits(max_query_chars=10, max_top_k=3)), given
    )
    assert result.is_error


def test_it_is_served_over_stdio():
    from mcp.client.stdio import StdioServerParameters

    title = World(world_preset("tiny")).passage(0).title
    command = ["-m", "tests.serve.run_ssp", "serve", "--world", "tiny", "--mcp", "stdio"]
    _, [result] = call(
        StdioServerParameters(command=sys.executable, args=command, cwd=ROOT), {"query": title}
    )
    assert result.structured_content["result"][0]["title"] == title


def test_it_is_served_over_http():
    title = World(world_preset("tiny")).passage(0).title
    command = ["-m", "tests.serve.run_ssp", "serve", "--world", "tiny", "--mcp", "http", "--port", 0]
    with process(*command) as (_, address):
        _, [result] = call(address + "/mcp", {"query": title, "top_k": 1})
    assert [hit["title"] for hit in result.structured_content["result"]] == [title]
