"""Requests against a real server: from threads, event loops and forked processes, within the deadline."""

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import threading

import httpx
import pytest

from ssp_env.http import HTTPService, ReplyTooLong, RequestPolicy, arun, run, service_url
from ssp_env.http.concurrency import gather
from tests.search.faulty_server import drip, drip_head, faulty, go_on_for_ever, hang_up, reply, silence
from tests.search.remote_server import Reply, remote


def get(address):
    return httpx.Request("GET", address)


@pytest.fixture(params=["send", "asend"])
def send(request):
    if request.param == "send":
        return lambda service, asked: service.send(asked)
    return lambda service, asked: asyncio.run(service.asend(asked))


def test_the_answer_is_what_came(send):
    with remote(lambda asked: Reply({"a": 1}, status=201, headers={"x-place": "here"})) as (address, asked):
        answer = send(HTTPService(RequestPolicy()), httpx.Request("POST", address + "/path", json=[1]))
    assert (answer.status, answer.body, answer.headers["X-Place"]) == (201, b'{"a": 1}', "here")
    assert asked[0].path == "/path" and asked[0].json() == [1]
    assert asked[0].headers["user-agent"].startswith("ssp-env/")


@pytest.mark.parametrize("fault", [silence, drip, drip_head, go_on_for_ever])
def test_no_server_can_hold_a_request_beyond_its_deadline(send, fault):
    with faulty(fault) as server, pytest.raises(TimeoutError):
        send(HTTPService(RequestPolicy(timeout=0.4)), get(server.address))
    assert len(server.requests) == 1


def test_retry_after_is_waited_for_on_the_wire(send):
    busy = reply(b"", "429 Slow\r\nRetry-After: 1")
    with faulty(busy, reply(b"now")) as server:
        assert send(HTTPService(RequestPolicy(backoff=0)), get(server.address)).body == b"now"
    with faulty(hang_up) as server, pytest.raises(httpx.RemoteProtocolError):
        send(HTTPService(RequestPolicy(max_retries=0)), get(server.address))


def test_a_reply_that_is_too_long_is_not_read(send):
    with faulty(reply(b"x" * 1001)) as server, pytest.raises(ReplyTooLong, match="at most 1,000 bytes"):
        send(HTTPService(RequestPolicy(max_bytes=1000)), get(server.address))


def test_threads_and_event_loops_share_the_limit_of_requests_under_way():
    lock, under_way, most = threading.Lock(), [0], [0]
    pause = threading.Event()

    def respond(asked):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        pause.wait(0.02)
        with lock:
            under_way[0] -= 1
        return Reply()

    async def ask_all(service, address):
        await asyncio.gather(*(service.asend(get(address)) for _ in range(5)))

    with remote(respond) as (address, asked):
        service = HTTPService(RequestPolicy(concurrency=2))
        callers = [threading.Thread(target=service.send, args=[get(address)]) for _ in range(5)]
        callers += [threading.Thread(target=asyncio.run, args=[ask_all(service, address)])]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert len(asked) == 10 and most[0] == 2


def test_a_cancelled_request_frees_its_place():
    with faulty(silence, reply(b"next")) as server:
        service = HTTPService(RequestPolicy(timeout=60, concurrency=1))

        async def give_up_and_ask_again():
            first = asyncio.create_task(service.asend(get(server.address)))
            while not server.requests or not server.requests[0]:
                await asyncio.sleep(0.01)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await service.asend(get(server.address))

        assert asyncio.run(give_up_and_ask_again()).body == b"next"


def test_it_is_used_again_after_it_was_closed_and_after_it_was_pickled(send):
    with remote(lambda asked: Reply([1])) as (address, _):
        service = HTTPService(RequestPolicy(timeout=7))
        service.close()
        assert send(service, get(address)).body == b"[1]"
        service.close()
        copy = pickle.loads(pickle.dumps(service))
        assert copy.policy == service.policy
        assert send(service, get(address)).body == send(copy, get(address)).body == b"[1]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only some systems fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_process_opens_connections_of_its_own():
    with remote(lambda asked: Reply([1])) as (address, asked):
        service = HTTPService(RequestPolicy(timeout=20))
        service.send(get(address))
        if not (child := os.fork()):
            os._exit(0 if service.send(get(address)).body == b"[1]" else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert service.send(get(address)).body == b"[1]"
    assert len(asked) == 3


def test_connections_are_closed_with_the_service_or_when_it_is_gone():
    ends = threading.Semaphore(0)

    def keep_alive(connection, released):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if connection.recv(1) == b"":
            ends.release()

    with faulty(keep_alive) as server:
        closed, dropped = HTTPService(RequestPolicy()), HTTPService(RequestPolicy())
        for service in (closed, dropped):
            service.send(get(server.address))
        closed.close()
        assert ends.acquire(timeout=60)
        del dropped, service
        gc.collect()
        assert ends.acquire(timeout=60)


def test_blocking_on_the_loop_of_requests_is_refused_instead_of_waiting_for_ever():
    async def block():
        HTTPService(RequestPolicy()).send(get("http://127.0.0.1:9"))

    with pytest.raises(RuntimeError, match="must await"):
        run(block())


@pytest.mark.parametrize("module", ["ssp_env.http.policy", "ssp_env.search.remote", "ssp_env.search.web"])
def test_a_missing_library_is_named_with_its_extra(module):
    script = f"import sys; sys.modules['tenacity'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "pip install 'ssp-env[remote]'" in done.stderr.splitlines()[-1]


def test_gathering_stops_at_the_first_failure_and_starts_no_more_than_allowed():
    started, ended = [], []

    async def work(number):
        started.append(number)
        try:
            if number == 1:
                raise ValueError(number)
            await asyncio.sleep(60)
        finally:
            ended.append(number)

    async def ask():
        return await arun(gather([work(number) for number in range(4)], concurrency=2))

    with pytest.raises(ValueError):
        asyncio.run(ask())
    assert sorted(started) == sorted(ended) and 3 not in started


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://a:port", "expected the address of a server"),
        ("ftp://127.0.0.1", "starts with http:// or https://, got 'ftp://127.0.0.1'"),
        ("ftp://me:secret@127.0.0.1", "starts with http:// or https://, got 'ftp://127.0.0.1'"),
        ("http://me:secret@127.0.0.1", "without user, password and parameters"),
        ("http://127.0.0.1?key=secret", "without user, password and parameters"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_secrets(url, problem):
    with pytest.raises(ValueError, match=problem) as refused:
        service_url(url)
    assert "secret" not in str(refused.value).replace("for a secret", "")
