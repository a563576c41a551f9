"""`ssp serve` in a process: what it serves, its token, a missing extra, and how it ends."""

import asyncio
import json
import os
import signal
import sys
import threading

import httpx
import pytest

from ssp_env import cli
from ssp_env.http import RequestPolicy
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.builder import build_index
from ssp_env.search.bm25.directory import check_index
from ssp_env.search.corpus import read_corpus
from ssp_env.search.errors import SearchError, SearchUnavailable
from ssp_env.search.remote import RemoteEngine
from ssp_env.search.tool import SearchTool, ToolError
from ssp_env.worlds import World, world_preset
from tests import web
from tests.serve.running import process

SERVE = ("-m", "tests.serve.run_ssp", "serve", "--port", "0")

SLOW = """
import pathlib, sys, time
from ssp_env.game.passage import Passage
from ssp_env.serve.app import build_app
from ssp_env.cli.serve import run_app
folder = pathlib.Path(sys.argv[1])

class Slow:
    def search(self, queries, top_k):
        (folder / "searching").touch()
        while not (folder / "release").exists():
            time.sleep(0.01)
        return [[Passage(query, query, "")] for query in queries]

    def fingerprint(self):
        return "slow"

run_app(build_app(Slow()), "127.0.0.1", 0)
"""


def wait_until(condition):
    waiting = threading.Event()
    while not condition():
        waiting.wait(0.02)


def refuses(address):
    try:
        web.get(address + "/health", timeout=1)
    except httpx.TransportError:
        return True
    return False


def test_a_corpus_file_is_served(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(json.dumps({"id": 5, "contents": '"Odense"\nA city in Denmark.'}) + "\n")
    with process(*SERVE, "--corpus", corpus) as (_, address):
        assert (
            web.get(address + "/health").json()["fingerprint"]
            == BM25Engine(read_corpus(corpus)).fingerprint()
        )
        [[document]] = web.post(address + "/retrieve", json={"query": "cities"}).json()["result"]
    assert document == {"id": "5", "title": "Odense", "contents": '"Odense"\nA city in Denmark.'}


def test_a_world_is_served_behind_a_token_from_the_environment_within_its_limits():
    env = {"SSP_SEARCH_API_KEY": "secret"}
    with process(*SERVE, "--world", "tiny", "--max-top-k", 2, env=env) as (_, address):
        world = World(world_preset("tiny"))
        asked = {"query": world.passage(0).title, "topk": 2}
        assert web.post(address + "/retrieve", json=asked).status_code == 401
        allowed = {"Authorization": "Bearer secret"}
        [found] = web.post(address + "/retrieve", json=asked, headers=allowed).json()["result"]
        assert found[0]["title"] == world.passage(0).title
        reply = web.post(address + "/retrieve", json={**asked, "topk": 3}, headers=allowed)
        assert reply.status_code == 422


def test_requests_under_way_finish_when_the_server_is_told_to_stop(tmp_path):
    with process("-c", SLOW, tmp_path) as (child, address):
        replies = []
        asking = threading.Thread(
            target=lambda: replies.append(web.post(address + "/retrieve", json={"query": "a"}, timeout=30))
        )
        asking.start()
        wait_until((tmp_path / "searching").exists)
        os.kill(child.pid, signal.SIGTERM)
        wait_until(lambda: refuses(address))
        assert replies == []
        (tmp_path / "release").touch()
        asking.join()
        assert replies[0].status_code == 200 and replies[0].json()["result"][0][0]["title"] == "a"
        assert child.wait(30) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("ask", ["search", "asearch", "tool"])
def test_a_server_killed_in_the_middle_of_a_request_is_a_typed_error(tmp_path, ask):
    caught = []

    def search(engine):
        try:
            if ask == "tool":
                SearchTool(engine).search("a")
            elif ask == "asearch":
                asyncio.run(engine.asearch(["a"], 1))
            else:
                engine.search(["a"], 1)
        except (SearchError, ToolError) as error:
            caught.append(error)

    with (
        process("-c", SLOW, tmp_path) as (child, address),
        RemoteEngine(address, policy=RequestPolicy(max_retries=1)) as engine,
    ):
        asking = threading.Thread(target=search, args=[engine])
        asking.start()
        wait_until((tmp_path / "searching").exists)
        child.kill()
        asking.join()
    [error] = caught
    if ask == "tool":
        assert error.kind == "engine" and "SearchUnavailable" in error.detail and address in error.detail
    else:
        assert type(error) is SearchUnavailable and error.url == address + "/retrieve"


def test_a_killed_server_leaves_its_index_whole(tmp_path):
    folder = tmp_path / "index"
    build_index(World(world_preset("tiny")).passages(), folder, source="the world")
    titles = [passage.title for passage in World(world_preset("tiny")).passages()]
    right = BM25Engine.open(folder).search(titles, 3)
    failed = []

    def search(address):
        with RemoteEngine(address, policy=RequestPolicy(max_retries=0)) as engine:
            while not failed:
                try:
                    assert engine.search(titles, 3) == right
                except SearchError as error:
                    failed.append(error)

    with process(*SERVE, "--index", folder) as (child, address):
        asking = [threading.Thread(target=search, args=[address]) for _ in range(4)]
        for thread in asking:
            thread.start()
        wait_until(lambda: 'path="/retrieve",status="200"} 1' in web.get(address + "/metrics").text)
        child.kill()
        for thread in asking:
            thread.join()
    assert failed and all(type(error) is SearchUnavailable for error in failed)
    check_index(folder)
    with process(*SERVE, "--index", folder) as (_, address), RemoteEngine(address) as engine:
        assert engine.search(titles, 3) == right


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("fastapi", [], "ssp-env[serve]"),
        ("prometheus_client", [], "ssp-env[serve]"),
        ("mcp", ["--mcp", "stdio"], "ssp-env[mcp]"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch, missing, arguments, extra):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr(sys, "argv", ["ssp", "serve", "--world", "tiny", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert missing in stop.value.code and f"pip install '{extra}'" in stop.value.code
