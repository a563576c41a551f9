import asyncio
import logging
import pickle
import threading

import pytest

from ssp_env.http import RequestPolicy
from ssp_env.search.errors import BadSearchReply, SearchRefused, SearchTimeout, SearchUnavailable
from ssp_env.search.web import PageFetcher, SearXNG, Serper, WebEngine
from ssp_env.testing import check_fixed_engine
from tests.search.remote_server import Reply, remote

KEY = "test-key-1234"
QUICK = RequestPolicy(timeout=20, backoff=0.01)


def results(count=3, of=""):
    rows = [
        {"url": f"https://x.example/{of}{n}", "title": f"{of} {n}", "content": "text"} for n in range(count)
    ]
    return Reply({"results": rows})


def engine(address, policy=QUICK, **arguments):
    return WebEngine(SearXNG(f"{address}/search"), policy=policy, **arguments)


def test_it_passes_the_conformance_checks():
    with remote(lambda asked: results(12, of=str(len(asked.query["q"])))) as (address, _):
        check_fixed_engine(engine(address), ["harbour towns", "mayor of Corun"])


def test_blank_queries_are_not_sent_and_equal_ones_once():
    with remote(lambda asked: results(of=asked.query["q"])) as (address, asked):
        found = engine(address).search(["", "a", " \x00\n", "b", "a"], 2)
    assert [[hit.title for hit in hits] for hits in found] == [
        [],
        ["a 0", "a 1"],
        [],
        ["b 0", "b 1"],
        ["a 0", "a 1"],
    ]
    assert sorted(request.query["q"] for request in asked) == ["a", "b"]


@pytest.mark.parametrize("query", ["?!…", "北京 首都", "😀", "\ud800 x", "x" * 100_000, "word " * 20_000])
def test_any_text_is_a_query_and_long_ones_are_cut(query):
    with remote(lambda asked: results()) as (address, asked):
        assert len(engine(address).search([query], 10**6)[0]) == 3
    sent = asked[0].query["q"]
    assert 0 < len(sent) <= 2048
    assert query.replace("\ud800", "").strip().startswith(sent.strip())


def test_top_k_cuts_and_must_be_positive():
    with remote(lambda asked: results(30)) as (address, _asked):
        assert len(engine(address).search(["a"], 2)[0]) == 2
        assert len(engine(address, max_results=7).search(["a"], 10**6)[0]) == 7
        with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
            engine(address).search(["a"], 0)
    with pytest.raises(ValueError, match="max_results"):
        engine(address, max_results=0)


def test_the_fingerprint_tells_how_pages_are_fetched_and_holds_no_memory_address():
    def fetch_a(url):
        return ""

    def same_name():
        def fetch(url):
            return ""

        return fetch

    where = "http://127.0.0.1:9"
    prints = [
        engine(where).fingerprint(),
        engine(where, fetch=fetch_a).fingerprint(),
        engine(where, fetch=PageFetcher()).fingerprint(),
        engine(where, fetch=PageFetcher(max_passage_chars=9)).fingerprint(),
    ]
    assert len(set(prints)) == len(prints)
    assert engine(where, fetch=same_name()).fingerprint() == engine(where, fetch=same_name()).fingerprint()
    assert engine(where, fetch=PageFetcher()).fingerprint() == prints[2]


def test_queries_must_be_a_sequence_of_strings():
    for queries in ("a", [1]):
        with pytest.raises(TypeError, match="sequence of strings"):
            engine("http://127.0.0.1:9").search(queries, 1)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_failures_that_may_pass_are_tried_again(status):
    replies = iter([Reply(status=status), Reply(status=status), results(1)])
    with remote(lambda asked: next(replies)) as (address, asked):
        assert len(engine(address).search(["a"], 5)[0]) == 1
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("reply", "error", "attempts"),
    [
        (Reply(status=500), SearchUnavailable, 3),
        (Reply(status=429), SearchRefused, 3),
        (Reply(status=400), SearchRefused, 1),
        (Reply(status=401), SearchRefused, 1),
        (Reply(status=403), SearchRefused, 1),
        (Reply(status=302, headers={"location": "/elsewhere"}), SearchRefused, 1),
        (Reply(status=501), SearchUnavailable, 1),
        (Reply(b"<html>"), BadSearchReply, 1),
        (Reply(b"[" * 100_000), BadSearchReply, 1),
        (Reply({"results": "none"}), BadSearchReply, 1),
        (Reply(b"gzip?", headers={"content-encoding": "gzip"}), BadSearchReply, 1),
        (Reply({"results": []}, cut=5), SearchUnavailable, 3),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
def test_every_failure_has_its_type(reply, error, attempts):
    with remote(lambda asked: reply) as (address, asked), pytest.raises(error, match="SearXNG"):
        engine(address).search(["a"], 1)
    assert len(asked) == attempts


def test_a_reply_that_is_too_long_is_not_read():
    policy = RequestPolicy(timeout=20, max_bytes=1000)
    with (
        remote(lambda asked: results(500)) as (address, _),
        pytest.raises(BadSearchReply, match="at most 1,000 bytes"),
    ):
        engine(address, policy).search(["a"], 1)


def test_a_server_that_says_nothing_is_a_timeout():
    never = threading.Event()
    with remote(lambda asked: Reply(wait=never)) as (address, _):
        with pytest.raises(SearchTimeout, match="SearXNG"):
            engine(address, RequestPolicy(timeout=0.2)).search(["a"], 1)
        never.set()


def test_a_server_that_is_not_there_is_unavailable():
    with remote(lambda asked: Reply()) as (address, _):
        pass
    with pytest.raises(SearchUnavailable, match=r"the connection failed \(ConnectError\)"):
        engine(address).search(["a"], 1)


def test_retry_after_beyond_the_timeout_is_not_waited_for():
    with (
        remote(lambda asked: Reply(status=429, headers={"retry-after": "3600"})) as (address, asked),
        pytest.raises(SearchRefused, match="too many requests"),
    ):
        engine(address).search(["a"], 1)
    assert len(asked) == 1


def test_no_more_requests_are_under_way_than_allowed():
    lock, under_way, most = threading.Lock(), [0], [0]
    pause = threading.Event()

    def respond(asked):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        pause.wait(0.02)
        with lock:
            under_way[0] -= 1
        return results(1)

    with remote(respond) as (address, asked):
        shared = engine(address, RequestPolicy(timeout=60, concurrency=2))
        callers = [threading.Thread(target=shared.search, args=([f"{n} a", f"{n} b"], 1)) for n in range(6)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert len(asked) == 12
    assert most[0] == 2


def test_a_rate_that_leaves_no_time_is_a_timeout_and_sends_nothing_more():
    policy = RequestPolicy(timeout=5, requests_per_second=0.001)
    with remote(lambda asked: results(1)) as (address, asked):
        limited = engine(address, policy)
        assert limited.search(["a"], 1)[0]
        with pytest.raises(SearchTimeout, match="rate"):
            limited.search(["b"], 1)
    assert len(asked) == 1


@pytest.mark.parametrize("status", [200, 401, 429, 500])
def test_the_key_is_in_no_log_and_no_error(status, monkeypatch, caplog):
    monkeypatch.setenv("SERPER_API_KEY", KEY)
    reply = Reply({"organic": 1, "message": f"key {KEY}"}, status=status)
    with caplog.at_level(logging.DEBUG), remote(lambda asked: reply) as (address, asked):
        serper = WebEngine(Serper(url=f"{address}/search"), policy=QUICK)
        with pytest.raises((SearchRefused, SearchUnavailable, BadSearchReply)) as caught:
            serper.search(["a"], 1)
    assert asked[0].headers["x-api-key"] == KEY
    assert KEY not in caplog.text
    assert KEY not in repr(caught.value) + str(caught.value)


def test_pages_take_the_place_of_snippets_and_snippets_stay_where_a_page_fails():
    def respond(asked):
        if asked.path == "/search":
            rows = [
                {"url": f"{address}/{n}", "title": f"{n}", "content": f"snippet {n}"}
                for n in ("page", "gone")
            ]
            return Reply({"results": rows})
        if asked.path == "/page":
            return Reply(b"<p>The whole page.</p>", headers={"content-type": "text/html"})
        return Reply(status=404)

    with remote(respond) as (address, _):
        (found,) = engine(address, fetch=PageFetcher(allow_private=True)).search(["a"], 5)
        assert [hit.text for hit in found] == ["The whole page.", "snippet gone"]
        (refused,) = engine(address, fetch=PageFetcher()).search(["a"], 5)
        assert [hit.text for hit in refused] == ["snippet page", "snippet gone"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": 0},
        {"max_retries": -1},
        {"concurrency": 0},
        {"max_bytes": 0},
        {"backoff": -1},
        {"requests_per_second": 0},
    ],
)
def test_a_policy_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        RequestPolicy(**arguments)


def test_asearch_finds_what_search_finds_pages_included():
    def respond(asked):
        if asked.path != "/search":
            return Reply(f"<p>page {asked.path}</p>".encode(), headers={"content-type": "text/html"})
        rows = [{"url": f"{address}/{asked.query['q']}/{n}", "title": "t", "content": "s"} for n in range(2)]
        return Reply({"results": rows})

    def fetch(url):
        return f"fetched {url}"

    with remote(respond) as (address, _):
        for fetch_page in (None, fetch, PageFetcher(allow_private=True)):
            web = engine(address, fetch=fetch_page)
            queries = ["a", "", "b", "a"]
            found = asyncio.run(web.asearch(queries, 2))
            assert found == web.search(queries, 2) and [len(hits) for hits in found] == [2, 0, 2, 2]
    assert found[0][1].text == "page /a/1"


def test_a_cancelled_search_sends_nothing_more():
    never = threading.Event()
    policy = RequestPolicy(timeout=60, concurrency=1)

    async def give_up(web, asked):
        searching = asyncio.create_task(web.asearch(["a", "b", "c"], 1))
        while not asked:
            await asyncio.sleep(0.01)
        searching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await searching
        never.set()
        return await web.asearch(["d"], 1)

    with remote(lambda asked: Reply(wait=never) if asked.query["q"] == "a" else results(1)) as (
        address,
        asked,
    ):
        assert len(asyncio.run(give_up(engine(address, policy), asked))[0]) == 1
    assert [request.query["q"] for request in asked] == ["a", "d"]


def test_a_batch_takes_longer_than_a_request_may():
    def respond(asked):
        threading.Event().wait(0.05)
        return results(1)

    queries = [f"q{n}" for n in range(30)]
    with remote(respond) as (address, _):
        found = engine(address, RequestPolicy(timeout=1, concurrency=1)).search(queries, 1)
    assert all(len(hits) == 1 for hits in found)


def test_it_pickles_without_the_key(monkeypatch):
    monkeypatch.setenv("SERPER_API_KEY", KEY)
    found = Reply({"organic": [{"link": "https://x.example/", "title": "t", "snippet": "s"}]})
    with remote(lambda asked: found) as (address, asked):
        web = WebEngine(Serper(url=f"{address}/search"), policy=QUICK, fetch=PageFetcher(max_passage_chars=7))
        web.search([], 1)
        pickled = pickle.dumps(web)
        copy = pickle.loads(pickled)
        assert copy.fingerprint() == web.fingerprint()
        assert copy.search(["a"], 1) == web.search(["a"], 1)
    assert KEY.encode() not in pickled and asked[0].headers["x-api-key"] == KEY
