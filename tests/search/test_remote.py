"""The client of `/retrieve`: right against a real server, typed errors for what servers do wrong."""

import asyncio
import json
import pickle
import traceback

import pytest

from ssp_env.game.passage import Passage
from ssp_env.http import RequestPolicy
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.errors import (
    BadSearchReply,
    SearchError,
    SearchRefused,
    SearchTimeout,
    SearchUnavailable,
)
from ssp_env.search.remote import RemoteEngine
from ssp_env.testing import check_fixed_engine
from ssp_env.testing.engines import PASSAGES, QUERIES
from tests.search.faulty_server import (
    drip,
    drip_head,
    faulty,
    half_a_head,
    half_closed,
    hang_up,
    not_http,
    reply,
    silence,
)
from tests.serve.running import running

KEY = "correct-horse-battery"
HIT = {"document": {"id": "1", "contents": '"Corun"\nA town.'}, "score": 2.0}
FOUND = [[Passage("1", "Corun", "A town.", 2.0)]]


@pytest.fixture(scope="module")
def served():
    app = pytest.importorskip("ssp_env.serve.app")
    from ssp_env.serve.access import Limits

    with running(
        app.build_app(BM25Engine(PASSAGES), limits=Limits(max_query_chars=200_000, max_top_k=1000))
    ) as address:
        yield address


@pytest.fixture(params=["search", "asearch"])
def ask(request):
    """Search with either method."""

    def ask(engine, queries=("corun",), top_k=3):
        if request.param == "search":
            with engine:
                return engine.search(queries, top_k)

        async def once():
            async with engine:
                return await engine.asearch(queries, top_k)

        return asyncio.run(once())

    return ask


# -- a good server -----------------------------------------------------------------------------------------


def test_it_keeps_every_promise_of_an_engine(served):
    with RemoteEngine(served) as engine:
        check_fixed_engine(engine, QUERIES)


def test_it_finds_what_the_engine_finds_that_is_served(served, ask):
    local = BM25Engine(PASSAGES)
    queries = [*QUERIES, "nothing-like-this"] * 20
    assert ask(RemoteEngine(served, max_queries=7), queries, 4) == local.search(queries, 4)
    assert ask(RemoteEngine(served), [], 4) == []


def test_asearch_works_without_being_entered_and_in_one_event_loop_after_another(served):
    with RemoteEngine(served) as engine:
        first, second = (asyncio.run(engine.asearch(["mayor of Corun"], 1)) for _ in range(2))
    assert first == second == BM25Engine(PASSAGES).search(["mayor of Corun"], 1)


def test_the_address_may_name_retrieve_or_not(served, ask):
    assert (
        ask(RemoteEngine(served + "/retrieve"))
        == ask(RemoteEngine(served + "/"))
        == ask(RemoteEngine(served))
    )


def test_the_fingerprint_is_that_of_the_served_engine(served):
    with RemoteEngine(served) as engine:
        assert engine.fingerprint() == BM25Engine(PASSAGES).fingerprint()


def test_it_pickles(served):
    with pickle.loads(pickle.dumps(RemoteEngine(served, max_queries=2))) as copy:
        assert copy.search(["mayor"], 1) == BM25Engine(PASSAGES).search(["mayor"], 1)


def test_no_key_is_pickled(monkeypatch):
    with pytest.raises(TypeError, match="set SSP_SEARCH_API_KEY in the environment") as error:
        pickle.dumps(RemoteEngine("http://127.0.0.1:9", api_key=KEY))
    assert KEY not in str(error.value)
    monkeypatch.setenv("SSP_SEARCH_API_KEY", KEY)
    pickled = pickle.dumps(RemoteEngine("http://127.0.0.1:9"))
    assert KEY.encode() not in pickled
    with faulty(reply({"result": [[HIT]]})) as server:
        engine = pickle.loads(pickle.dumps(RemoteEngine(server.address)))
        assert engine.search(["a"], 1) == FOUND
    assert f"Bearer {KEY}".encode() in server.requests[0]


def test_a_long_search_is_split_into_requests_of_bounded_size(ask):
    answers = [reply({"result": [[HIT]] * size}) for size in (2, 2, 1)]
    with faulty(*answers) as server:
        found = ask(
            RemoteEngine(server.address, max_queries=2, policy=RequestPolicy(concurrency=1)),
            ["a", "b", "c", "d", "e"],
        )
    bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]
    assert [body["queries"] for body in bodies] == [["a", "b"], ["c", "d"], ["e"]]
    assert all(body["topk"] == 3 and body["return_scores"] is True for body in bodies)
    assert found == FOUND * 5


def test_a_refused_limit_says_what_the_server_said(served, ask):
    with pytest.raises(SearchRefused, match="topk to be at most 1000, got 1001") as error:
        ask(RemoteEngine(served), ["a"], 1001)
    assert error.value.status == 422


# -- bad servers -------------------------------------------------------------------------------------------

DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("handler", "kind", "problem"),
    [
        (hang_up, SearchUnavailable, "the connection failed"),
        (half_a_head, SearchUnavailable, "the connection failed"),
        (half_closed, SearchUnavailable, "the connection failed"),
        (not_http, SearchUnavailable, "the connection failed"),
        (reply({"result": [[HIT]]}, length=10_000), SearchUnavailable, "the connection failed"),
        (silence, SearchTimeout, "no complete reply within 0.4 seconds"),
        (drip_head, SearchTimeout, "no complete reply within 0.4 seconds"),
        (drip, SearchTimeout, "no complete reply within 0.4 seconds"),
        (reply({"detail": "no index"}, "500 Oops"), SearchUnavailable, "expected status 200, got 500: '{"),
        (reply(b"", "302 Found"), SearchRefused, "got 302"),
        (reply(b"<html>hello</html>"), BadSearchReply, "expected JSON, got 18 bytes: '<html>"),
        (reply(b'{"result": [[{"docu'), BadSearchReply, "expected JSON"),
        (reply(b"\xff\xfe\xfa"), BadSearchReply, "expected JSON"),
        (reply(b""), BadSearchReply, "expected JSON, got 0 bytes"),
        (reply(DEEP), BadSearchReply, "expected JSON, got 100,000 bytes"),
        (reply({"result": []}), BadSearchReply, "expected 1 results, one per query, got 0"),
        (reply({"result": [[HIT], [HIT]]}), BadSearchReply, "expected 1 results, one per query, got 2"),
        (reply({"result": [["text"]]}), BadSearchReply, '"document" and "score"'),
    ],
)
def test_every_fault_is_a_typed_error_that_names_the_address_and_what_came(ask, handler, kind, problem):
    # A busy machine may be slow to show the other faults.
    policy = RequestPolicy(timeout=0.4 if kind is SearchTimeout else 20.0, max_retries=1)
    with faulty(handler) as server, pytest.raises(SearchError) as error:
        ask(RemoteEngine(server.address, policy=policy))
    assert type(error.value) is kind
    assert problem in str(error.value)
    assert error.value.url == server.address + "/retrieve" and error.value.url in str(error.value)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_a_port_where_nobody_listens_is_a_connection_error(ask):
    with faulty(hang_up) as server:
        pass
    with pytest.raises(SearchUnavailable, match=server.address):
        ask(RemoteEngine(server.address, policy=RequestPolicy(max_retries=1)))


@pytest.mark.parametrize(
    "fault", [reply(b"", "500 Oops"), reply(b"", "503 Busy"), reply(b"", "429 Slow"), hang_up]
)
def test_what_may_pass_is_tried_again(ask, fault):
    with faulty(fault, fault, reply({"result": [[HIT]]})) as server:
        assert ask(RemoteEngine(server.address)) == FOUND
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "fault", [reply(b"", "400 Bad"), reply(b"", "404 None"), reply(b"", "422 No"), reply(b"{"), silence, drip]
)
def test_what_will_not_pass_is_tried_once(ask, fault):
    with faulty(fault) as server, pytest.raises(SearchError):
        ask(RemoteEngine(server.address, policy=RequestPolicy(timeout=0.4)))
    assert len(server.requests) == 1


def test_a_wait_that_the_server_asks_for_is_kept_to_and_not_begun_beyond_the_timeout(ask):
    busy = "503 Busy\r\nRetry-After: "
    with faulty(reply(b"", busy + "1"), reply({"result": [[HIT]]})) as server:
        assert ask(RemoteEngine(server.address)) == FOUND
    with faulty(reply(b"", busy + "60")) as server, pytest.raises(SearchUnavailable) as error:
        ask(RemoteEngine(server.address, policy=RequestPolicy(timeout=5)))
    assert len(server.requests) == 1 and error.value.status == 503


def test_retries_are_counted(ask):
    with faulty(reply(b"", "500 Oops")) as server, pytest.raises(SearchUnavailable):
        ask(RemoteEngine(server.address, policy=RequestPolicy(max_retries=2)))
    assert len(server.requests) == 3


def test_one_failed_part_fails_the_search(ask):
    with (
        faulty(reply({"result": [[HIT]]}), reply(b"", "400 Bad")) as server,
        pytest.raises(SearchRefused),
    ):
        ask(RemoteEngine(server.address, max_queries=1, policy=RequestPolicy(concurrency=1)), ["a", "b", "c"])


# -- fingerprints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "health",
    [reply(b"", "404 None"), reply(b"fine"), reply({"status": "ok"}), reply({"fingerprint": ""}), reply([])],
)
def test_a_server_that_names_no_fingerprint_is_taken_at_its_address(health):
    with (
        faulty(health) as server,
        faulty(health) as other,
        RemoteEngine(server.address) as engine,
        RemoteEngine(other.address) as elsewhere,
    ):
        assert engine.fingerprint() == engine.fingerprint()
        assert engine.fingerprint().startswith("url:")
        assert engine.fingerprint() != elsewhere.fingerprint()
    assert len(server.requests) == 1 and server.requests[0].startswith(b"GET /health ")


@pytest.mark.parametrize("status", ["401 No", "500 Oops"])
def test_a_server_that_fails_has_no_fingerprint(status):
    with (
        faulty(reply(b"", status)) as server,
        RemoteEngine(server.address, policy=RequestPolicy(max_retries=0)) as engine,
        pytest.raises((SearchRefused, SearchUnavailable)),
    ):
        engine.fingerprint()


# -- keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["argument", "environment"])
def test_the_key_is_sent_and_never_shown(ask, monkeypatch, caplog, given):
    caplog.set_level(0)
    if given == "environment":
        monkeypatch.setenv("SSP_SEARCH_API_KEY", KEY)
    else:
        monkeypatch.setenv("SSP_SEARCH_API_KEY", "another")
    echo = reply({"detail": f"the key {KEY} is wrong"}, "401 No")
    with faulty(echo) as server:
        engine = RemoteEngine(server.address, api_key=KEY if given == "argument" else None)
        with pytest.raises(SearchRefused, match=r"the key \[API key\] is wrong") as error:
            ask(engine)
    assert f"Bearer {KEY}".encode() in server.requests[0]
    shown = "".join(traceback.format_exception(error.value)) + repr(engine) + error.value.url
    assert KEY not in shown and KEY not in caplog.text


@pytest.mark.parametrize("url", ["http://user:pass-word@127.0.0.1", "http://127.0.0.1/?token=pass-word"])
def test_a_secret_in_the_address_is_refused_and_not_shown(url):
    with pytest.raises(ValueError, match="use api_key for a secret") as error:
        RemoteEngine(url)
    assert "pass-word" not in str(error.value)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key):
    with pytest.raises(ValueError, match="printable ASCII") as error:
        RemoteEngine("http://127.0.0.1", api_key=key)
    assert key not in str(error.value)


# -- arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "settings", "problem"),
    [
        ("127.0.0.1:8000", {}, "expected"),
        ("ftp://127.0.0.1", {}, "http://"),
        ("http://", {}, "http://"),
        ("http://a:port", {}, "expected the address"),
        ("http://a", {"max_queries": -1}, "max_queries must be above 0, got -1"),
    ],
)
def test_wrong_arguments_are_named(url, settings, problem):
    with pytest.raises(ValueError, match=problem):
        RemoteEngine(url, **settings)


def test_wrong_searches_are_refused_before_anything_is_sent(ask):
    with faulty(hang_up) as server:
        for queries, top_k, kind in (("corun", 3, TypeError), ([7], 3, TypeError), (["a"], 0, ValueError)):
            with pytest.raises(kind):
                ask(RemoteEngine(server.address), queries, top_k)
    assert server.requests == []
