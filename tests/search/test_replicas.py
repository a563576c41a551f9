"""Several servers as one engine: nothing is lost while one is left, and none searches something else."""

import asyncio
import logging
import pickle
import re
import threading

import pytest

from ssp_env.envs.lookup_solver import LookupSolver
from ssp_env.game.passage import Passage
from ssp_env.http import RequestPolicy
from ssp_env.play import play, play_async
from ssp_env.scenario import open_scenario
from ssp_env.search import ReplicatedEngine, SearchTool
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.errors import BadSearchReply, SearchError, SearchRefused, SearchTimeout, SearchUnavailable
from ssp_env.search.opening import open_engine
from ssp_env.search.parts import PartSize, cut_pages
from ssp_env.testing import check_fixed_engine
from ssp_env.testing.engines import PASSAGES, QUERIES
from tests import web
from tests.search.faulty_server import faulty, hang_up, not_http, reply, silence
from tests.serve.running import process, running

app = pytest.importorskip("ssp_env.serve.app")
LOCAL = BM25Engine(PASSAGES)
SERVE = ("-m", "tests.serve.run_ssp", "serve", "--port", "0", "--world", "tiny")
ONCE = RequestPolicy(max_retries=0, timeout=2.0)
HEALTH = reply({"fingerprint": LOCAL.fingerprint()})
HIT = {"document": {"id": "1", "contents": '"Corun"\nA town.'}, "score": 2.0}
FOUND = [[Passage("1", "Corun", "A town.", 2.0)]]


@pytest.fixture(scope="module")
def served():
    """Two servers of one corpus."""
    from ssp_env.serve.access import Limits

    limits = Limits(max_query_chars=200_000, max_top_k=1000)
    with (
        running(app.build_app(LOCAL, limits=limits)) as first,
        running(app.build_app(LOCAL, limits=limits)) as second,
    ):
        yield first, second


def counted(address):
    """How many searches a server has answered."""
    found = re.search(
        r'ssp_requests_total{path="/retrieve",status="200"} (\d+)', web.get(address + "/metrics").text
    )
    return int(found[1]) if found else 0


def test_it_keeps_every_promise_of_an_engine_and_uses_all_servers(served):
    before = [counted(address) for address in served]
    with ReplicatedEngine(served, max_queries=2) as engine:
        check_fixed_engine(engine, QUERIES)
        assert engine.search(QUERIES * 20, 3) == LOCAL.search(QUERIES * 20, 3)
        assert engine.fingerprint() == LOCAL.fingerprint()
    shares = [counted(address) - old for address, old in zip(served, before, strict=True)]
    assert min(shares) > sum(shares) / 4


def test_a_run_loses_nothing_when_one_of_two_servers_is_killed(caplog):
    scenario = open_scenario("tiny")
    games = scenario.games(scenario.questions, seed=3)
    play(games, solver=LookupSolver(), search=scenario.search)
    ended = []
    with process(*SERVE) as (first, address), process(*SERVE) as (_, other):
        engine = ReplicatedEngine([address, other])

        def kill_in_the_middle(game):
            ended.append(game.id)
            if len(ended) == 20:
                first.kill()

        again = scenario.games(scenario.questions, seed=3)
        with engine, caplog.at_level(logging.WARNING, "ssp_env.search"):
            playing = play_async(
                again, solver=LookupSolver(), search=engine, concurrency=4, on_outcome=kill_in_the_middle
            )
            outcomes = asyncio.run(playing)
            assert counted(other) > 20
        assert first.wait() != 0
    assert outcomes == [game.outcome for game in games] and len(ended) == len(games) == 120
    assert {outcome.verdict for outcome in outcomes} == {"valid"}
    assert [
        record.getMessage() for record in caplog.records if "is left out for 5 seconds" in record.getMessage()
    ]


def test_a_server_killed_in_the_middle_of_a_request_costs_nothing(served):
    with faulty(HEALTH, hang_up) as broken, ReplicatedEngine([broken.address, served[0]], rest=60) as engine:
        assert engine.search(["corun"], 3) == LOCAL.search(["corun"], 3)
        for _ in range(3):
            engine.search(["corun"], 3)
        assert [line.split()[1] for line in broken.requests] == [b"/health", b"/retrieve"]


@pytest.mark.parametrize(
    "fault",
    [
        hang_up, not_http, silence, reply(b"", "500 Oops"), reply(b"", "503 Busy"), reply(b"", "429 Slow"),
        reply(b"<html>"), reply({"result": []}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_checked", [True, False])
def test_whatever_a_server_does_wrong_another_answers(served, fault, is_checked):
    handlers = [HEALTH, fault] if is_checked else [fault]
    with faulty(*handlers) as broken, ReplicatedEngine([broken.address, served[0]], policy=ONCE) as engine:
        assert engine.search(["corun"], 3) == LOCAL.search(["corun"], 3)


@pytest.mark.parametrize(("status", "kind"), [("401 No", SearchRefused), ("422 Large", SearchRefused)])
def test_what_one_server_refuses_no_other_is_asked(served, status, kind):
    before = counted(served[0])
    with (
        faulty(HEALTH, reply(b"", status)) as one,
        ReplicatedEngine([one.address, served[0]]) as engine,
        pytest.raises(kind, match=status[:3]),
    ):
        engine.search(["corun"], 3)
    assert counted(served[0]) == before


@pytest.mark.parametrize(("fault", "kind"), [(hang_up, SearchUnavailable), (silence, SearchTimeout)])
def test_if_no_server_answers_the_error_names_all(fault, kind):
    policy = RequestPolicy(max_retries=1, timeout=1.0, backoff=0.01)
    with (
        faulty(fault) as one,
        faulty(fault) as two,
        ReplicatedEngine([one.address, two.address], policy=policy) as both,
    ):
        with pytest.raises(kind) as error:
            both.search(["corun"], 3)
        assert one.address in str(error.value) and two.address in str(error.value)
        assert len(one.requests) == (2 if fault is hang_up else 1)
        with pytest.raises(kind, match="none of 2 replicas answered"):
            both.fingerprint()


def test_a_server_that_comes_back_is_asked_what_it_searches_and_used_again(served):
    handlers = (HEALTH, hang_up, HEALTH, reply({"result": [[HIT]]}))
    with faulty(*handlers) as broken, ReplicatedEngine([broken.address, served[0]], rest=0.0) as engine:
        assert engine.search(["corun"], 3) == LOCAL.search(["corun"], 3)
        answers = [engine.search(["corun"], 3) for _ in range(3)]
        assert FOUND in answers and len(broken.requests) >= 4


def test_a_server_that_comes_back_with_another_corpus_is_left_out(served, caplog):
    handlers = (HEALTH, reply({"result": [[HIT]]}), hang_up, reply({"fingerprint": "another"}))
    with faulty(*handlers) as broken, ReplicatedEngine([broken.address, served[0]], rest=0.0) as engine:
        answers = [engine.search(["corun"], 3) for _ in range(8)]
        assert answers[0] == FOUND and answers[1:] == [LOCAL.search(["corun"], 3)] * 7
        asked = [line.split()[1] for line in broken.requests]
    assert asked[:3] == [b"/health", b"/retrieve", b"/retrieve"]
    assert len(asked) > 4 and set(asked[3:]) == {b"/health"}


@pytest.mark.parametrize(
    "ask", [lambda engine: engine.fingerprint(), lambda engine: engine.search(["a"] * 2, 3)]
)
def test_servers_of_two_corpora_are_refused(served, ask):
    with (
        running(app.build_app(BM25Engine(PASSAGES[:3]))) as other,
        ReplicatedEngine([served[0], other], max_queries=1) as engine,
        pytest.raises(SearchError, match="expected a server of the corpus") as error,
    ):
        ask(engine)
    assert other in str(error.value) or served[0] in str(error.value)


def test_one_fingerprint_holds_while_a_server_is_down(served):
    with ReplicatedEngine(["http://127.0.0.1:9", served[0]], policy=ONCE) as engine:
        assert engine.fingerprint() == LOCAL.fingerprint()


def test_servers_that_do_not_say_what_they_search_are_trusted(served):
    silent = (reply(b"", "404 None"), reply({"result": [[HIT]]}))
    with faulty(*silent) as one, faulty(*silent) as two:
        addresses = [one.address, two.address]
        with ReplicatedEngine(addresses) as engine, ReplicatedEngine(addresses[::-1]) as same:
            assert engine.fingerprint() == same.fingerprint() == engine.fingerprint()
            assert engine.fingerprint().startswith("url:")
            assert engine.search(["corun"], 3) == FOUND


def test_results_of_all_servers_share_a_cache(served):
    with ReplicatedEngine(served) as engine:
        tool, before = SearchTool(engine, cache=100), sum(map(counted, served))
        assert [tool.search("corun") for _ in range(6)] == [LOCAL.search(["corun"], 3)[0]] * 6
        assert sum(map(counted, served)) == before + 1


def test_threads_and_loops_may_share_it(served):
    found = []
    with ReplicatedEngine(served, max_queries=1) as engine:
        threads = [threading.Thread(target=lambda: found.append(engine.search(QUERIES, 3))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found.append(asyncio.run(engine.asearch(QUERIES, 3)))
    assert found == [LOCAL.search(QUERIES, 3)] * 9


def test_parts_of_pages_are_opened_at_the_server_that_listed_them():
    page = Passage("guide.md", "Guide", "Corun has a harbour. Sarn is its mayor. Tavor is his mother.")
    engine = BM25Engine(cut_pages([page], PartSize(4, 0)))
    with (
        running(app.build_app(engine, opens=True)) as one,
        running(app.build_app(engine, opens=True)) as two,
        ReplicatedEngine([one, two]) as both,
    ):
        both.search(["harbour"], 1)
        found, missing = both.get_passages(["guide.md#3/3", "guide.md#9/3"])
    assert (found.text, missing) == ("Tavor is his mother.", None)


def test_a_pickle_has_no_connections_and_no_key(served, monkeypatch):
    with ReplicatedEngine(served, max_queries=7) as engine:
        engine.search(["corun"], 3)
        with pickle.loads(pickle.dumps(engine)) as copy:
            assert repr(copy) == repr(engine) and copy.search(QUERIES, 3) == LOCAL.search(QUERIES, 3)
    with pytest.raises(TypeError, match="does not pickle"):
        pickle.dumps(ReplicatedEngine(served, api_key="secret"))


def test_addresses_with_commas_between_them_open_it(served):
    with open_engine(", ".join(served), None) as engine:
        assert isinstance(engine, ReplicatedEngine)
        assert engine.search(["corun"], 3) == LOCAL.search(["corun"], 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"urls": ["http://127.0.0.1:9"]}, "two or more servers"),
        ({"urls": "http://127.0.0.1:9"}, "two or more servers"),
        ({"urls": ["http://127.0.0.1:9", "http://127.0.0.1:9/retrieve"]}, "each once"),
        ({"urls": ["http://127.0.0.1:9", "ftp://127.0.0.1"]}, "starts with http"),
        ({"urls": ["http://127.0.0.1:9", "http://127.0.0.1:10"], "rest": -1}, "rest must be 0 or more"),
        (
            {"urls": ["http://127.0.0.1:9", "http://127.0.0.1:10"], "max_queries": 0},
            "max_queries must be above 0",
        ),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        ReplicatedEngine(**arguments)


def test_a_bad_reply_of_all_servers_keeps_its_kind():
    bad = reply({"result": []})
    with (
        faulty(HEALTH, bad) as one,
        faulty(HEALTH, bad) as two,
        ReplicatedEngine([one.address, two.address], policy=ONCE) as engine,
        pytest.raises(BadSearchReply, match="none of 2 replicas answered"),
    ):
        engine.search(["corun"], 3)
