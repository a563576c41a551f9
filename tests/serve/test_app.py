"""`/retrieve`, `/health` and `/metrics` on real sockets: every dialect, every limit, and nothing mixed up."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection
from itertools import chain

import httpx
import msgpack
import numpy as np
import pytest

from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.serve.access import Limits
from ssp_env.serve.app import build_app
from tests import web
from tests.serve.running import running

CORUN = Passage("1", "Corun", "Corun is a harbour town.")
SARN = Passage("2", "Sarn", "Sarn is the mayor of Corun.")
TAVOR = Passage("3", "Tavor", "Tavor maps the sky.")
LIMITS = Limits(max_queries=20_000, max_query_chars=50, max_body_bytes=2**20, max_top_k=5, body_seconds=0.3)
ENGINE = BM25Engine([CORUN, SARN, TAVOR])


class Echo:
    """Finds the query itself, so that a mixed-up reply shows."""

    def search(self, queries, top_k):
        return [[Passage(query, query, f"{rank}", 1.0) for rank in range(top_k)] for query in queries]

    def fingerprint(self):
        return "echo"


class Broken(Echo):
    def search(self, queries, top_k):
        raise OSError("the disk at /secret/path is gone")


@pytest.fixture(scope="module")
def address():
    with running(build_app(ENGINE, limits=LIMITS)) as address:
        yield address


@pytest.fixture
def retrieve(address):
    return lambda **body: web.post(address + "/retrieve", json=body)


def titles(ranking):
    return [item["document"]["title"] for item in ranking]


# -- dialects ----------------------------------------------------------------------------------------------


def test_search_r1_gets_a_scored_ranking_per_query(retrieve):
    reply = retrieve(queries=["mayor", "sky", "nothing"], topk=2, return_scores=True)
    mayor, sky, nothing = reply.json()["result"]
    [hit] = ENGINE.search(["mayor"], 1)[0]
    assert mayor == [
        {
            "document": {"id": "2", "title": "Sarn", "contents": '"Sarn"\nSarn is the mayor of Corun.'},
            "score": hit.score,
        }
    ]
    assert titles(sky) == ["Tavor"] and nothing == []


@pytest.mark.parametrize("queries", [["mayor"], ["mayor", "sky"], ["mayor", "sky", "town"]])
def test_without_scores_the_documents_come_bare(retrieve, queries):
    bare = retrieve(queries=queries, topk=2, return_scores=False).json()["result"]
    scored = retrieve(queries=queries, topk=2, return_scores=True).json()["result"]
    assert bare == [[item["document"] for item in ranking] for ranking in scored] != []
    assert retrieve(queries=queries, topk=2).json()["result"] == bare


def test_a_single_query_as_skyrl_sends_it_gets_a_list_of_one_ranking(retrieve):
    [ranking] = retrieve(query="mayor", topk=3, return_scores=True).json()["result"]
    assert titles(ranking) == ["Sarn"]


def test_topk_is_three_unless_given_and_null_is_not_given():
    with running(build_app(Echo())) as address:
        for body, count in (({}, 3), ({"topk": None}, 3), ({"topk": 7}, 7)):
            reply = web.post(address + "/retrieve", json={"queries": ["a"], **body})
            assert len(reply.json()["result"][0]) == count


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/msgpack"}])
def test_gem_speaks_msgpack(address, headers):
    def post(**body):
        reply = web.post(address + "/retrieve", content=msgpack.packb(body), headers=headers)
        assert reply.headers["content-type"] == "application/msgpack"
        return msgpack.unpackb(reply.content)["result"]

    assert [titles(ranking) for ranking in post(queries=["sky", "mayor"], return_scores=True)] == [
        ["Tavor"],
        ["Sarn"],
    ]
    assert titles(post(query="sky", topk=2, return_scores=True)) == ["Tavor"]


def test_long_queries_are_cut_and_counted_and_cost_the_others_nothing(address, retrieve):
    def cut():
        [line] = [
            line
            for line in web.get(address + "/metrics").text.splitlines()
            if line.startswith("ssp_cut_queries_total")
        ]
        return float(line.split()[1])

    before = cut()
    long = "mayor " + "x" * 50 + " sky"
    first, second = retrieve(queries=[long, "sky"], return_scores=True).json()["result"]
    assert (titles(first), titles(second)) == (["Sarn"], ["Tavor"])
    assert cut() == before + 1


def test_requests_with_long_queries_are_refused_if_asked():
    with running(build_app(ENGINE, limits=Limits(max_query_chars=50, refuse_long_queries=True))) as address:
        reply = web.post(address + "/retrieve", json={"queries": ["sky", "a" * 51]})
    assert reply.status_code == 422
    assert "expected queries of at most 50 characters, got 51" in reply.json()["detail"]


def test_no_queries_get_no_results(retrieve):
    assert retrieve(queries=[]).json() == {"result": []}


@pytest.mark.parametrize("name", ["top_k", "k"])
def test_rllm_gets_scored_results_of_as_many_passages_as_it_asks_for(retrieve, name):
    reply = retrieve(query="town", **{name: 1}).json()
    [hit] = ENGINE.search(["town"], 1)[0]
    assert (
        reply["results"]
        == reply["result"][0]
        == [
            {
                "document": {"id": "1", "title": "Corun", "contents": '"Corun"\nCorun is a harbour town.'},
                "score": hit.score,
            }
        ]
    )
    assert (reply["query"], reply["num_results"]) == ("town", 1)
    batch = retrieve(queries=["corun", "nothing"], **{name: 2}).json()
    assert [len(ranking) for ranking in batch["result"]] == [2, 0] and "results" not in batch
    assert "score" not in retrieve(queries=["corun"], return_scores=False, **{name: 2}).json()["result"][0][0]


def test_topk_counts_before_top_k_and_k(retrieve):
    assert len(retrieve(query="corun", topk=1, top_k=2, k=3).json()["result"][0]) == 1


# -- limits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, 'expected either the list "queries" or the string "query"'),
        ({"queries": ["a"], "query": "a"}, "either"),
        ({"queries": "a"}, "queries: Input should be a valid array"),
        ({"queries": [1]}, "queries.0: Input should be a valid string"),
        ({"query": ["a"]}, "query: Input should be a valid string"),
        ({"query": "a", "topk": 0}, "topk: Input should be greater than or equal to 1"),
        ({"query": "a", "topk": "many"}, "topk: Input should be a valid integer"),
        ({"query": "a", "topk": 6}, "expected topk to be at most 5, got 6"),
        ({"query": "a", "top_k": 6}, "expected topk to be at most 5, got 6"),
        ({"query": "a", "k": 0}, "k: Input should be greater than or equal to 1"),
        ({"queries": ["a"] * 20_001}, "expected at most 20,000 queries, got 20,001"),
        ([], "body: Input should be an object"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_reason(address, body, problem):
    for content in (json.dumps(body).encode(), msgpack.packb(body)):
        reply = web.post(address + "/retrieve", content=content)
        assert reply.status_code == 422
        assert len(reply.text) < 1000
        if content[:1] in b"{[" or body:
            assert problem.split(": Input")[0] in reply.json()["detail"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"null", b"[" * 10_000, b'{"query": "\\ud800"}', b"\x81\xa1"]
)
def test_what_is_no_request_is_refused(address, content):
    reply = web.post(address + "/retrieve", content=content)
    assert reply.status_code == 422 and reply.json()["detail"].startswith(("body", "query"))


def test_a_query_of_ten_megabytes_is_too_large(retrieve, address):
    reply = retrieve(query="x" * 10_000_000)
    assert reply.status_code == 413
    assert reply.json() == {"detail": "expected a body of at most 1,048,576 bytes"}
    with running(build_app(Echo(), limits=Limits(refuse_long_queries=True))) as roomy:
        reply = web.post(roomy + "/retrieve", json={"query": "x" * 10_000_000})
    assert reply.status_code == 422 and "at most 10,000 characters, got 10,000,000" in reply.json()["detail"]


def test_a_body_of_unannounced_length_is_cut_off(address):
    def endless():
        while True:
            yield b" " * 65536

    # The server may close the connection before the client has read its refusal.
    with suppress(httpx.TransportError):
        assert web.post(address + "/retrieve", content=endless()).status_code == 413


def test_a_body_that_does_not_arrive_is_given_up(address):
    never = threading.Event()

    def stalled():
        yield b"{"
        never.wait(1)

    reply = web.post(address + "/retrieve", content=stalled())
    assert reply.status_code == 408


def test_ten_thousand_queries_in_one_request():
    queries = [f"query {number}" for number in range(10_000)]
    with running(build_app(Echo())) as address:
        result = web.post(address + "/retrieve", json={"queries": queries, "topk": 1}, timeout=60).json()[
            "result"
        ]
    assert [ranking[0]["title"] for ranking in result] == queries


def test_a_failing_engine_is_an_error_that_tells_no_secrets_and_the_server_lives():
    with running(build_app(Broken())) as address:
        reply = web.post(address + "/retrieve", json={"query": "a"})
        assert reply.status_code == 500 and reply.json() == {"detail": "the engine failed: OSError"}
        assert web.get(address + "/health").status_code == 200


@pytest.mark.parametrize(
    "name", ["max_queries", "max_query_chars", "max_body_bytes", "max_top_k", "body_seconds"]
)
def test_limits_are_above_zero(name):
    with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
        Limits(**{name: 0})


# -- token -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Bearer", "secret", "bearer secret2", "Bearer sécret"]
)
def test_without_the_token_only_health_is_open(header):
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    with running(build_app(ENGINE, token="secret")) as address, httpx.Client(base_url=address) as client:
        for method, path in (
            ("POST", "/retrieve"),
            ("GET", "/metrics"),
            ("GET", "/docs"),
            ("GET", "/openapi.json"),
        ):
            reply = client.request(method, path, headers=headers)
            assert reply.status_code == 401 and reply.headers["www-authenticate"] == "Bearer"
        assert client.get("/health", headers=headers).status_code == 200
        allowed = {"Authorization": "Bearer secret"}
        assert client.post("/retrieve", json={"query": "mayor"}, headers=allowed).status_code == 200


def test_an_empty_token_is_refused():
    with pytest.raises(ValueError, match="empty"):
        build_app(ENGINE, token="")


# -- names of the server -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "named", "status"),
    [
        ("127.0.0.1", "localhost:8000", 200),
        ("127.0.0.1", "[::1]", 200),
        ("127.0.0.1", "evil.example", 400),
        ("localhost", "evil.example:8000", 400),
        ("127.0.0.2", "127.0.0.2:8000", 200),
        ("0.0.0.0", "search.example", 200),
        (None, "search.example", 200),
    ],
)
def test_a_page_whose_name_leads_here_may_not_search_a_local_server(host, named, status):
    with running(build_app(ENGINE, host=host)) as address:
        reply = web.post(f"{address}/retrieve", json={"query": "mayor"}, headers={"Host": named})
    assert reply.status_code == status


# -- status ------------------------------------------------------------------------------------------------


def test_health_names_fingerprint_and_corpus_size(address):
    health = web.get(address + "/health").json()
    assert (health["status"], health["fingerprint"], health["passages"]) == ("ok", ENGINE.fingerprint(), 3)


def test_metrics_count_requests_and_batches():
    def value(page, name):
        return float(re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)[1])

    with running(build_app(ENGINE)) as address, httpx.Client(base_url=address) as client:
        client.post("/retrieve", json={"queries": ["a", "b"]})
        client.post("/retrieve", json={"query": "a"})
        client.post("/retrieve", json={})
        client.get("/unknown/7")
        page = client.get("/metrics").text
    assert value(page, 'ssp_requests_total{path="/retrieve",status="200"}') == 2
    assert value(page, 'ssp_requests_total{path="/retrieve",status="422"}') == 1
    assert value(page, 'ssp_requests_total{path="other",status="404"}') == 1
    assert value(page, "ssp_engine_batch_queries_sum") == 3
    assert value(page, "ssp_engine_batch_queries_count") == 2
    assert value(page, 'ssp_request_seconds_count{path="/retrieve"}') == 3
    assert value(page, "ssp_waiting_queries") == 0


def test_the_openapi_page_describes_the_request(address):
    schema = web.get(address + "/openapi.json").json()["paths"]["/retrieve"]["post"]["requestBody"]
    assert {"queries", "query", "topk", "top_k", "k", "return_scores"} == set(
        schema["content"]["application/json"]["schema"]["properties"]
    )
    assert web.get(address + "/docs").status_code == 200


# -- many at once ------------------------------------------------------------------------------------------


def test_thousands_of_requests_of_mixed_sizes_get_what_they_asked_for():
    rng = np.random.default_rng(0)
    sizes = rng.choice([1, 1, 1, 2, 7, 40], size=3000).tolist()
    depths = rng.integers(1, 4, size=len(sizes)).tolist()

    work = list(enumerate(zip(sizes, depths)))

    def ask(connection, number, size, depth):
        queries = [f"{number}/{part}" for part in range(size)]
        body = json.dumps({"queries": queries, "topk": depth, "return_scores": True})
        connection.request("POST", "/retrieve", body, {"Content-Type": "application/json"})
        result = json.loads(connection.getresponse().read())["result"]
        return titles([hit for ranking in result for hit in ranking]) == [
            q for q in queries for _ in range(depth)
        ]

    def ask_in_turn(share):
        # The client of the standard library, because others take longer than the server.
        with closing(HTTPConnection(httpx.URL(address).netloc.decode(), timeout=120)) as connection:
            return [ask(connection, number, *pair) for number, pair in share]

    with running(build_app(Echo())) as address, ThreadPoolExecutor(64) as clients:
        right = [*chain.from_iterable(clients.map(ask_in_turn, (work[first::64] for first in range(64))))]
        batches = web.get(address + "/metrics").text
    assert len(right) == 3000 and all(right)
    calls = float(re.search(r"^ssp_engine_batch_queries_count (\S+)$", batches, re.MULTILINE)[1])
    assert calls < 3000
