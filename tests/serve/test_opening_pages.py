"""`ssp serve --open`: parts of pages that a search has listed, over HTTP and as a tool of MCP."""

import asyncio

import pytest

from ssp_env.game.passage import Passage
from ssp_env.search import BM25Engine, RemoteEngine
from ssp_env.search.errors import BadSearchReply, SearchRefused
from ssp_env.search.parts import PartSize, cut_pages
from ssp_env.serve.access import Limits
from ssp_env.serve.app import build_app
from tests import web
from tests.search.faulty_server import faulty, reply
from tests.serve.running import running

PAGE = Passage("guide.md", "Guide", "Corun has a harbour. Sarn is its mayor. Tavor is his mother.")
ENGINE = BM25Engine([*cut_pages([PAGE], PartSize(4, 0)), Passage("n0", "Nobody", "Nobody lives here.")])


@pytest.fixture
def address():
    with running(build_app(ENGINE, limits=Limits(max_queries=3), opens=True)) as address:
        yield address


def test_parts_of_listed_pages_are_given_out_and_no_others(address):
    ids = ["guide.md#3/3", "n0", "guide.md#9/3"]
    with RemoteEngine(address) as engine:
        assert engine.get_passages(ids) == [None, None, None]
        engine.search(["harbour"], 1)
        found, *others = engine.get_passages(ids)
    assert found == Passage("guide.md#3/3", "Guide", "Tavor is his mother.")
    assert others == [None, None]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "ids: Field required"),
        ({"ids": "a"}, "ids: Input should be a valid array"),
        ({"ids": ["a"] * 4}, "expected at most 3 ids, got 4"),
    ],
)
def test_what_is_no_request_is_refused_with_the_reason(address, body, problem):
    refused = web.post(address + "/open", json=body)
    assert refused.status_code == 422
    assert problem in refused.json()["detail"]


def test_an_engine_that_fails_is_a_server_error_without_its_words():
    class Failing:
        search, fingerprint = ENGINE.search, ENGINE.fingerprint

        def get_passages(self, ids):
            raise OSError("the disk at /secret/path is gone")

    with running(build_app(Failing(), opens=True)) as address:
        web.post(address + "/retrieve", json={"query": "harbour"})
        failed = web.post(address + "/open", json={"ids": ["guide.md#1/3"]})
    assert (failed.status_code, failed.json()["detail"]) == (500, "the engine failed: OSError")


def test_a_server_opens_nothing_unless_told_to():
    refused = pytest.raises(SearchRefused, match="404")
    with running(build_app(ENGINE)) as address, RemoteEngine(address) as engine, refused:
        engine.get_passages(["n0"])
    with pytest.raises(ValueError, match=r"the server opens .* method get_passages\(ids\), got Bare"):
        build_app(type("Bare", (), {"search": None, "fingerprint": None})(), opens=True)


@pytest.mark.parametrize(
    "body", [b"[]", b'{"result": []}', b'{"result": [7]}', b'{"result": [{"id": "b", "contents": "x"}]}']
)
def test_a_reply_that_does_not_fit_is_a_typed_error(body):
    refused = pytest.raises(BadSearchReply, match="expected")
    with faulty(reply(body)) as server, RemoteEngine(server.address) as engine, refused:
        engine.get_passages(["a"])


def test_a_model_opens_what_the_search_tool_of_mcp_has_listed():
    mcp = pytest.importorskip("mcp")
    if not hasattr(mcp, "Client"):
        pytest.skip("the client of these tests came with version 2")
    from ssp_env.serve.mcp_server import build_mcp_server

    async def ask():
        async with mcp.Client(build_mcp_server(ENGINE, opens=True)) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            before = await client.call_tool("open", {"page": "guide.md", "part": 3})
            await client.call_tool("search", {"query": "harbour", "top_k": 1})
            by_number = await client.call_tool("open", {"page": "guide.md", "part": 3})
            by_name = await client.call_tool("open", {"page": "guide.md#2/3"})
            return names, before, by_number, by_name

    names, before, by_number, by_name = asyncio.run(ask())
    assert names == ["search", "open"]
    assert [block.text for block in before.content] == ["No search of yours has listed this part of a page."]
    assert [hit["text"] for hit in by_number.structured_content["result"]] == ["Tavor is his mother."]
    assert [hit["text"] for hit in by_name.structured_content["result"]] == ["Sarn is its mayor."]
