"""What a server holds is limited: connections, heads and bodies that do not arrive, replies nobody reads."""

import json
import select
import socket
import threading
import time
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest

from ssp_env.game.passage import Passage
from ssp_env.serve.access import Limits
from ssp_env.serve.app import build_app
from ssp_env.serve.mcp_server import build_mcp_app
from tests import web
from tests.serve.running import process, running
from tests.serve.test_hostile_clients import Echo, connect, is_well, request

SERVE = ("-m", "tests.serve.run_ssp", "serve", "--world", "tiny", "--port", "0")
MCP_CALL = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}}
MCP_TYPES = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(params=["http", "mcp"])
def serve(request):
    """Serve an engine in either mode; give the path of requests and the context of a server."""

    def serve(limits):
        if request.param == "http":
            return running(build_app(Echo(), limits=limits), limits)
        return running(build_mcp_app(Echo(), host="127.0.0.1", limits=limits), limits)

    return ("/retrieve" if request.param == "http" else "/mcp"), serve


def received(connection):
    """All that the server sends until it closes."""
    data = b""
    with suppress(OSError):
        while part := connection.recv(65536):
            data += part
    return data


def head(path, length, host="127.0.0.1"):
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"Content-Length: {length}",
    )
    return "\r\n".join((*lines, "", "")).encode()


# -- connections -------------------------------------------------------------------------------------------


def test_requests_on_too_many_connections_are_refused_and_those_before_them_are_served(serve):
    path, start = serve
    with start(Limits(max_connections=5)) as address, ExitStack() as opened:
        held = [opened.enter_context(connect(address)) for _ in range(5)]
        ask = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        last = opened.enter_context(connect(address))
        last.sendall(ask)
        assert received(last).startswith(b"HTTP/1.1 503 ")
        held[-1].sendall(ask)
        assert held[-1].recv(65536).startswith(b"HTTP/1.1 200 ")
        extra = [opened.enter_context(connect(address)) for _ in range(10)]
        extra[-1].settimeout(30)
        assert received(extra[-1]) == b""
    assert path


@pytest.mark.parametrize("start", [b"", b"POST /retr", b"POST /retrieve HTTP/1.1\r\nHost: a\r\nX-Long: "])
def test_a_head_that_does_not_arrive_is_given_up(start):
    with running(build_app(Echo()), Limits(head_seconds=0.3)) as address, connect(address) as client:
        client.settimeout(30)
        client.sendall(start)
        began = time.monotonic()
        assert received(client) == b""
        assert time.monotonic() - began < 10


def test_a_head_that_drips_is_given_up_and_so_is_the_second_one_of_a_connection():
    with running(build_app(Echo()), Limits(head_seconds=0.5)) as address, connect(address) as client:
        client.sendall(request(["a"]))
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        began = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - began < 20:
                client.sendall(b"P")
                threading.Event().wait(0.05)
        assert time.monotonic() - began < 20


def test_a_slow_search_and_a_slow_body_are_not_taken_for_a_slow_head():
    engine = Echo()
    with running(build_app(engine), Limits(head_seconds=0.2)) as address, connect(address) as client:
        engine.free.clear()
        asked = request(["a"])
        client.sendall(asked[:-3])
        threading.Event().wait(0.5)
        client.sendall(asked[-3:])
        threading.Event().wait(0.5)
        engine.free.set()
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_reads_nothing_of_a_long_reply_is_cut_off():
    with running(build_app(Echo()), Limits(write_seconds=0.3)) as address:
        place = urlsplit(address)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((place.hostname, place.port))
            client.sendall(request(["x"] * 2000, 20))
            until = time.monotonic() + 60
            while time.monotonic() < until:
                # A closed connection refuses what is written to it; an open one would take it.
                with suppress(BlockingIOError):
                    try:
                        client.send(b"x", socket.MSG_DONTWAIT)
                    except OSError as error:
                        if isinstance(error, BlockingIOError):
                            raise
                        break
                threading.Event().wait(0.05)
            else:
                pytest.fail("the connection stayed open")
        is_well(address)


# -- bodies ------------------------------------------------------------------------------------------------


def test_bodies_that_are_too_much_together_are_refused_and_small_ones_served(serve):
    path, start = serve
    limits = Limits(max_body_bytes=2**20, max_held_bytes=3 * 2**20, body_seconds=60)
    with start(limits) as address, ExitStack() as opened:
        slow = [opened.enter_context(connect(address)) for _ in range(8)]
        for client in slow:
            client.settimeout(60)
            client.sendall(head(path, 2**20) + b" " * (2**20 - 1))
        refused = []
        while len(refused) < 5:  # Three of them fit.
            readable, _, _ = select.select([client for client in slow if client not in refused], [], [], 60)
            assert readable
            refused += readable
        for client in refused:
            reply = received(client)
            assert reply.startswith(b"HTTP/1.1 503 ") and b"exceed 3,145,728 bytes" in reply
            assert b"retry-after: 1" in reply.lower()
        small = {"query": "a"} if path == "/retrieve" else MCP_CALL
        assert web.post(address + path, json=small, headers=MCP_TYPES).status_code in (200, 400)
        for client in slow:
            client.close()
        # What left gives back what it held.
        for _ in range(4):
            body = json.dumps({**small, "more": "x" * (2**20 - 200)})
            reply = web.post(
                address + path, content=body, headers={"Content-Type": "application/json", **MCP_TYPES}
            )
            assert reply.status_code in (200, 400)


def test_a_body_too_large_or_too_slow_is_refused_in_either_mode(serve):
    path, start = serve
    with start(Limits(max_body_bytes=1000, body_seconds=0.3)) as address:
        reply = web.post(address + path, content=b" " * 1001, headers={"Content-Type": "application/json"})
        assert reply.status_code == 413 and "at most 1,000 bytes" in reply.json()["detail"]
        with connect(address) as client:
            client.sendall(head(path, 100) + b"{")
            assert received(client).startswith(b"HTTP/1.1 408 ")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="reads /proc")
def test_forty_slow_bodies_of_sixteen_megabytes_do_not_fill_the_memory():
    def memory(process_id):
        with open(f"/proc/{process_id}/status", encoding="ascii") as status:
            [line] = [line for line in status if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024

    with process(*SERVE) as (child, address), ExitStack() as opened:
        is_served(address)
        before = memory(child.pid)
        length = 16 * 2**20
        clients = [opened.enter_context(connect(address)) for _ in range(40)]

        def send(client):
            with suppress(OSError):
                client.settimeout(20)
                client.sendall(head("/retrieve", length) + b" " * (length - 1))

        sending = [threading.Thread(target=send, args=[client]) for client in clients]
        for thread in sending:
            thread.start()
        for thread in sending:
            thread.join()
        is_served(address)
        assert memory(child.pid) - before < 200


def is_served(address):
    assert web.post(address + "/retrieve", json={"query": "a"}, timeout=30).status_code == 200


# -- half-closed clients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [False, True])
def test_a_client_that_closes_its_side_after_sending_gets_its_answer(slow):
    engine = Echo()
    with running(build_app(engine)) as address, connect(address) as client:
        if slow:
            engine.free.clear()
        client.settimeout(60)
        client.sendall(request(["a"]))
        client.shutdown(socket.SHUT_WR)
        if slow:
            engine.searching.wait(60)
            threading.Event().wait(0.2)
            engine.free.set()
        answer = received(client)
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"id":"a"' in answer


def test_all_requests_of_a_half_closed_client_are_answered_in_order():
    with running(build_app(Echo())) as address, connect(address) as client:
        client.settimeout(60)
        client.sendall(b"".join(request([f"q{number}"]) for number in range(20)))
        client.shutdown(socket.SHUT_WR)
        answers = received(client)
    ids = [part.split(b'"')[0] for part in answers.split(b'"id":"')[1:]]
    assert ids == [b"q%d" % number for number in range(20)]


def test_a_request_that_is_half_sent_when_its_client_closes_ends_the_connection():
    with running(build_app(Echo())) as address, connect(address) as client:
        client.settimeout(60)
        client.sendall(request(["a"])[:-2])
        client.shutdown(socket.SHUT_WR)
        assert received(client) == b""
        is_well(address)


def test_the_engine_of_these_tests_finds_the_query():
    assert Echo().search(["a"], 1) == [[Passage("a", "a", "x" * 1000)]]
