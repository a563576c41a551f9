"""Clients that break off, dawdle or talk nonsense harm nobody but themselves."""

import json
import re
import socket
import threading
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest

from ssp_env.game.passage import Passage
from ssp_env.http import RequestPolicy
from ssp_env.search.remote import RemoteEngine
from ssp_env.serve.app import build_app
from tests import web
from tests.serve.running import running


class Echo:
    """Finds the query itself, so that a mixed-up reply shows; waits while it is held."""

    def __init__(self):
        self.free = threading.Event()
        self.free.set()
        self.searching = threading.Event()

    def search(self, queries, top_k):
        self.searching.set()
        self.free.wait(60)
        return [[Passage(query, query, "x" * 1000)] * top_k for query in queries]

    def fingerprint(self):
        return "echo"


@pytest.fixture
def engine():
    return Echo()


@pytest.fixture
def address(engine):
    with running(build_app(engine)) as address:
        yield address


def connect(address):
    place = urlsplit(address)
    return socket.create_connection((place.hostname, place.port))


def request(queries, top_k=1):
    body = json.dumps({"queries": queries, "topk": top_k}).encode()
    return b"POST /retrieve HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def is_well(address):
    with RemoteEngine(address, policy=RequestPolicy(max_retries=0)) as engine:
        assert [hits[0].id for hits in engine.search(["a", "b"], 1)] == ["a", "b"]


def waiting(address):
    return float(re.search(r"^ssp_waiting_queries (\S+)$", web.get(address + "/metrics").text, re.M)[1])


@pytest.mark.parametrize(
    "start", [b"", b"POST /retr", b"POST /retrieve HTTP/1.1\r\nHost: a\r\n", b"\x16\x03"]
)
def test_connections_that_never_finish_their_request_hold_up_nobody(address, start):
    with ExitStack() as open_connections:
        for _ in range(200):
            open_connections.enter_context(connect(address)).sendall(start)
        is_well(address)
    is_well(address)


@pytest.mark.parametrize(
    "nonsense",
    [b"nonsense\r\n\r\n", b"\x00" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 200_000,
     b"POST /retrieve HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
     b"POST /retrieve HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
def test_nonsense_is_a_refusal_or_the_end_of_the_connection(address, nonsense):
    # The server may have hung up before we do: an error of the connection, or of a socket without one.
    with connect(address) as client, suppress(OSError):
        client.sendall(nonsense)
        client.shutdown(socket.SHUT_WR)
        reply = b"".join(iter(lambda: client.recv(65536), b""))
        assert reply == b"" or reply.startswith(b"HTTP/1.1 4")
    is_well(address)


def test_who_leaves_before_the_answer_is_forgotten(address, engine):
    engine.free.clear()
    with connect(address) as client:
        client.sendall(request(["gone"] * 100))
        engine.searching.wait(60)
    engine.free.set()
    is_well(address)
    while waiting(address):
        threading.Event().wait(0.01)


def test_who_does_not_read_the_answer_holds_up_nobody(address):
    with ExitStack() as open_connections:
        for _ in range(5):
            open_connections.enter_context(connect(address)).sendall(request(["x"] * 1000, 20))
        is_well(address)
    is_well(address)


def test_requests_sent_one_after_the_other_without_waiting_are_answered_in_order(address):
    with connect(address) as client:
        client.sendall(b"".join(request([f"q{number}"]) for number in range(50)))
        answers = b""
        while answers.count(b'"result"') < 50:
            answers += client.recv(65536)
    assert re.findall(rb'"id":"(q\d+)"', answers) == [b"q%d" % number for number in range(50)]


def test_ten_thousand_queries_come_back_in_order_through_the_client(address):
    queries = [f"query {number}" for number in range(10_000)]
    for max_queries in (256, 10_000):
        with RemoteEngine(address, max_queries=max_queries) as engine:
            assert [hits[0].id for hits in engine.search(queries, 1)] == queries
