"""Coroutines that search at the same time share calls of the engine and get what they would get alone."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game.passage import Passage
from ssp_env.search.tool import ResultCache, SearchTool, ToolError


class Echo:
    """Finds one page per rank that names the query, and notes its batches."""

    def __init__(self):
        self.batches = []

    def find(self, queries, top_k):
        self.batches.append((list(queries), top_k))
        return [[Passage(f"{query}/{rank}", query, str(rank)) for rank in range(top_k)] for query in queries]

    def search(self, queries, top_k):
        if "boom" in queries:
            raise RuntimeError("boom")
        return self.find(queries, top_k)

    def fingerprint(self):
        return "echo"


class AsyncEcho(Echo):
    """Takes as many turns of the event loop for a batch as it is told."""

    def __init__(self, turns=()):
        super().__init__()
        self.turns = iter(turns)
        self.under_way = self.most_under_way = 0

    async def asearch(self, queries, top_k):
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        for _ in range(next(self.turns, 1)):
            await asyncio.sleep(0)
        self.under_way -= 1
        return self.search(queries, top_k)


async def together(tool, queries):
    return await asyncio.gather(*map(tool.asearch, queries), return_exceptions=True)


@pytest.mark.parametrize("engine_type", [Echo, AsyncEcho])
def test_searches_of_one_tick_are_one_call(engine_type):
    engine = engine_type()
    queries = [f"q{number}" for number in range(50)]
    found = asyncio.run(together(SearchTool(engine), [*queries, "q0"]))
    assert engine.batches == [(queries, 3)]
    assert found == [SearchTool(Echo()).search(query) for query in [*queries, "q0"]]


def test_a_call_has_no_more_than_max_batch_queries():
    engine = Echo()
    asyncio.run(together(SearchTool(engine, max_batch=2), "abcde"))
    assert engine.batches == [(["a", "b"], 3), (["c", "d"], 3), (["e"], 3)]


def test_episodes_of_one_tool_share_calls():
    engine = Echo()
    tool = SearchTool(engine)

    async def play():
        await asyncio.gather(tool.episode().acall("a"), tool.episode().acall("b"))

    asyncio.run(play())
    assert engine.batches == [(["a", "b"], 3)]


steps = st.tuples(st.integers(0, 6), st.sampled_from("abcdef"), st.integers(1, 3), st.booleans())


@given(
    st.lists(steps, max_size=25),
    st.lists(st.integers(0, 4), max_size=12),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_no_interleaving_mixes_results_up(searches, turns, max_batch, cache):
    engine = AsyncEcho(turns)
    tool = SearchTool(engine, max_batch=max_batch, cache=ResultCache(cache))

    async def search(wait, query, top_k, give_up):
        for _ in range(wait):
            await asyncio.sleep(0)
        task = asyncio.ensure_future(tool.asearch(query, top_k))
        if give_up:
            await asyncio.sleep(0)
            task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        return outcome

    async def play():
        return await asyncio.gather(*(search(*step) for step in searches))

    alone = SearchTool(Echo())
    for (_, query, top_k, give_up), found in zip(searches, asyncio.run(play()), strict=True):
        if not (give_up and isinstance(found, asyncio.CancelledError)):
            assert found == alone.search(query, top_k)
    assert engine.most_under_way <= 1
    assert all(len(queries) <= max_batch for queries, _ in engine.batches)


def test_a_failed_call_fails_for_who_was_in_it_and_nobody_else():
    async def play():
        tool = SearchTool(Echo())
        return await together(tool, ["a", "boom"]), await together(tool, ["a", "b"])

    failed, later = asyncio.run(play())
    assert [type(outcome) for outcome in failed] == [ToolError] * 2
    assert failed[0] is not failed[1]
    assert [found[0].title for found in later] == ["a", "b"]


def test_who_gives_up_does_not_stop_the_others():
    engine = AsyncEcho([5])

    async def play():
        tool = SearchTool(engine)
        first, second = (asyncio.ensure_future(tool.asearch(query)) for query in "ab")
        while not engine.under_way:
            await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(play())[0].title == "b"
    assert engine.batches == [(["a", "b"], 3)]


def test_one_tool_serves_one_event_loop_after_the_other():
    tool = SearchTool(AsyncEcho(), cache=0)
    assert [asyncio.run(tool.asearch("a"))[0].title for _ in range(3)] == ["a"] * 3


def test_an_event_loop_that_ends_leaves_the_tool_usable():
    engine = AsyncEcho([10**9])
    tool = SearchTool(engine)

    async def leave():
        search = asyncio.ensure_future(tool.asearch("a"))
        while not engine.under_way:
            await asyncio.sleep(0)
        assert not search.done()

    asyncio.run(leave())
    assert asyncio.run(tool.asearch("a"))[0].title == "a"
