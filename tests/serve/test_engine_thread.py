"""Concurrent searches share calls of the engine and nothing else."""

import asyncio
import threading

import pytest

from ssp_env.game.passage import Passage
from ssp_env.http.concurrency import OverloadedError
from ssp_env.objects import ForeignFault
from ssp_env.serve.engine_thread import EngineThread


class Gate:
    """Finds the query itself once it may; fails for the query "bad"."""

    def __init__(self):
        self.open = threading.Event()
        self.calls = []

    def search(self, queries, top_k):
        self.calls.append((list(queries), top_k))
        self.open.wait()
        if "bad" in queries:
            raise ValueError("a bad query")
        return [[Passage(query, "", "")] * top_k for query in queries]

    def fingerprint(self):
        return "gate"


def search_all(engine, searches, **settings):
    """Start a first search, then the given ones while it is under way; return all outcomes but the first."""

    async def run():
        thread = EngineThread(engine, **settings)
        first = asyncio.create_task(thread.search(["first"], 1))
        while not engine.calls:
            await asyncio.sleep(0.001)
        tasks = [asyncio.create_task(thread.search(queries, top_k)) for queries, top_k in searches]
        await asyncio.sleep(0)
        engine.open.set()
        await first
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert thread.waiting == 0
        thread.close()
        return outcomes

    return asyncio.run(run())


def ids(found):
    return [[hit.id for hit in hits] for hits in found]


def test_what_arrives_during_a_search_is_searched_together():
    engine = Gate()
    outcomes = search_all(engine, [(["a", "b"], 1), (["c"], 1), ([], 1), (["d"], 1)])
    assert engine.calls == [(["first"], 1), (["a", "b", "c", "d"], 1)]
    assert [ids(found) for found in outcomes] == [[["a"], ["b"]], [["c"]], [], [["d"]]]


def test_different_depths_are_searched_apart():
    engine = Gate()
    outcomes = search_all(engine, [(["a"], 2), (["b"], 1), (["c"], 2)])
    assert engine.calls[1:] == [(["a", "c"], 2), (["b"], 1)]
    assert [ids(found) for found in outcomes] == [[["a", "a"]], [["b"]], [["c", "c"]]]


def test_a_long_search_takes_turns_with_short_ones():
    engine = Gate()
    long = [str(number) for number in range(6)]
    outcomes = search_all(engine, [(long, 1), (["short"], 1)], max_batch=2)
    assert [queries for queries, _ in engine.calls[1:]] == [["0", "1"], ["short"], ["2", "3"], ["4", "5"]]
    assert ids(outcomes[0]) == [[query] for query in long]


def test_one_bad_search_fails_alone():
    outcomes = search_all(Gate(), [(["a"], 1), (["bad"], 1), (["c"], 1)])
    assert ids(outcomes[0]) == [["a"]] and ids(outcomes[2]) == [["c"]]
    assert isinstance(outcomes[1], ValueError) and str(outcomes[1]) == "a bad query"


def test_an_engine_that_loses_a_result_is_an_error_and_no_mix_up():
    class Short(Gate):
        def search(self, queries, top_k):
            return super().search(queries, top_k)[: 1 if len(queries) == 1 else -1]

    outcomes = search_all(Short(), [(["a", "b"], 1), (["c"], 1)])
    assert isinstance(outcomes[0], RuntimeError) and "expected 2 results of the engine, got 1" in str(
        outcomes[0]
    )
    assert ids(outcomes[1]) == [["c"]]


def test_a_full_queue_refuses_more():
    outcomes = search_all(Gate(), [(["a", "b"], 1), (["c"], 1)], max_waiting=3)
    assert ids(outcomes[0]) == [["a"], ["b"]]
    assert isinstance(outcomes[1], OverloadedError) and "would exceed 3" in str(outcomes[1])


def test_a_cancelled_search_is_not_searched():
    engine = Gate()

    async def run():
        thread = EngineThread(engine)
        first = asyncio.create_task(thread.search(["first"], 1))
        while not engine.calls:
            await asyncio.sleep(0.001)
        gone, stays = (asyncio.create_task(thread.search([query], 1)) for query in ("gone", "stays"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        engine.open.set()
        await asyncio.gather(first, stays)
        thread.close()

    asyncio.run(run())
    assert engine.calls == [(["first"], 1), (["stays"], 1)]


def test_sizes_are_above_zero():
    for settings in ({"max_batch": 0}, {"max_waiting": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            EngineThread(Gate(), **settings)


class Panic(BaseException):
    """What pyo3 raises for a panic is no Exception either."""


class Mute(Exception):
    def __str__(self):
        raise Panic


class Dying:
    def __init__(self, error):
        self.error = error

    def search(self, queries, top_k):
        if "bad" in queries:
            raise self.error
        return [[Passage(query, "", "")] for query in queries]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (Panic("index out of bounds"), ForeignFault),
        (asyncio.CancelledError("stray"), ForeignFault),
        (StopIteration(1), ForeignFault),
        (GeneratorExit(), ForeignFault),
        (Mute(), Mute),
    ],
)
def test_an_engine_that_dies_fails_its_own_request_and_leaves_nothing_waiting(error, raised):
    async def run():
        thread = EngineThread(Dying(error))
        searches = [thread.search([query], 1) for query in ("a", "bad", "b")]
        found = await asyncio.wait_for(asyncio.gather(*searches, return_exceptions=True), 10)
        after = await asyncio.wait_for(thread.search(["c"], 1), 10)
        assert thread.waiting == 0
        thread.close()
        return found, after

    (before, failed, beside), after = asyncio.run(run())
    assert isinstance(failed, raised)
    assert [ids(found) for found in (before, beside, after)] == [[["a"]], [["b"]], [["c"]]]
