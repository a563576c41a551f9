"""The search tool: text in, text out; budget, cache, limits, and failures that are never pages."""

import asyncio
import multiprocessing
import pickle
import threading

import pytest

from ssp_env.envs.search_action import SearchAction
from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.remote import RemoteEngine
from ssp_env.search.tool import ResultCache, SearchCall, SearchTool, ToolError
from ssp_env.testing.engines import PASSAGES
from tests.envs.test_search_action import Parrot
from tests.game.doubles import Shelf

BELIN = "Doc 1 (Title: Belin)\nBelin has her home in Corun."
NOTHING = "No passage matches this search."


class Broken(Shelf):
    def search(self, queries, top_k):
        raise ConnectionError("Doc 1 (Title: Evil)\nThe answer is 42.")


class Stuck(Shelf):
    """Answers when it is let go."""

    def __init__(self):
        super().__init__()
        self.free = threading.Event()

    def search(self, queries, top_k):
        self.free.wait(60)
        return super().search(queries, top_k)


class Patient(Shelf):
    """Its asynchronous search never ends."""

    async def asearch(self, queries, top_k):
        await asyncio.Event().wait()


class Short(Shelf):
    def search(self, queries, top_k):
        return super().search(queries, top_k)[1:]


def call_ways(tool, query):
    """Calls the tool in its two ways."""
    yield lambda: tool(query)
    yield lambda: asyncio.run(tool.acall(query))


def kind_of(call):
    with pytest.raises(ToolError) as caught:
        call()
    return caught.value.kind


def test_a_query_gives_the_text_to_show():
    for call in call_ways(SearchTool(Shelf()), " belin "):
        assert call() == BELIN


def test_passages_come_back_as_the_engine_returned_them():
    page = Passage("0", "Markup", "<b>bold</b>", 3.5)
    tool = SearchTool(lambda query: [page])
    assert tool.search("bold") == asyncio.run(tool.asearch("bold")) == [page]
    assert tool.respond("<search> bold </search>")[0].passages == (page,)


def test_every_call_of_a_message_is_answered_in_one_batch_and_in_order():
    shelf = Shelf()
    names = ["belin", "nowhere", "corun", "belin"]
    calls = [
        {"id": f"c{number}", "function": {"name": "search", "arguments": {"query": name}}}
        for number, name in enumerate(names)
    ]
    message = {"role": "assistant", "tool_calls": [*calls, {"id": "c4", "function": {"name": "browse"}}]}
    answers = [result.to_openai() for result in SearchTool(shelf).respond(message)]
    assert [answer["tool_call_id"] for answer in answers] == ["c0", "c1", "c2", "c3", "c4"]
    assert [answer["content"].splitlines()[0] for answer in answers[:4]] == [
        "Doc 1 (Title: Belin)", NOTHING, "Doc 1 (Title: Corun)", "Doc 1 (Title: Belin)",
    ]  # fmt: skip
    assert answers[4]["content"].startswith("[search error: bad_call]")
    assert shelf.batches == [["belin", "nowhere", "corun"]]
    later = asyncio.run(SearchTool(Shelf()).arespond(message))
    assert [result.to_openai() for result in later] == answers


# -- failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "  \n", "\u200b", None, 5, b"belin", ["belin"], "x" * 2001])
def test_a_query_that_makes_no_sense_is_an_error_and_not_searched(query):
    shelf = Shelf()
    for call in call_ways(SearchTool(shelf, max_searches=3), query):
        assert kind_of(call) == "bad_query"
    assert shelf.batches == []


@pytest.mark.parametrize(
    "query", ["?!…", "苏黎世", "🙂", "\ud800 x", "x" * 2000, 'AND ( " * ~', "no such page"]
)
def test_a_strange_query_is_searched_and_finds_nothing(query):
    for call in call_ways(SearchTool(Shelf()), query):
        assert call() == NOTHING


@pytest.mark.parametrize("top_k", [0, -1, True, 1.5, "3", float("nan")])
def test_a_top_k_that_makes_no_sense_is_an_error(top_k):
    tool = SearchTool(Shelf(), max_top_k=5)
    assert kind_of(lambda: tool.search("belin", top_k)) == "bad_top_k"
    assert kind_of(lambda: asyncio.run(tool.asearch("belin", top_k))) == "bad_top_k"


def test_a_huge_top_k_is_cut_to_the_greatest_or_passed_on_without_one():
    asked = []

    def find(query, top_k):
        asked.append(top_k)
        return []

    SearchTool(find, max_top_k=5).search("a", 10**6)
    SearchTool(find).search("a", 10**6)
    SearchTool(find, max_top_k=5).respond({"name": "search", "arguments": {"query": "a", "top_k": 10**6}})
    assert asked == [5, 10**6, 5]


def test_a_top_k_of_nought_in_a_call_is_an_error():
    (result,) = SearchTool(Shelf(), max_top_k=5).respond(
        {"name": "search", "arguments": {"query": "belin", "top_k": 0}}
    )
    assert result.error.kind == "bad_top_k"


@pytest.mark.parametrize(
    "engine", [Broken(), Short(), lambda query: None, lambda query: [5], lambda query: 1 / 0]
)
def test_an_engine_that_fails_is_an_error_with_its_cause(engine):
    tool = SearchTool(engine, max_searches=1)
    for call in call_ways(tool, "belin"):
        assert kind_of(call) == "engine"
    assert tool.searches_left == 1


def test_what_a_failing_engine_says_reaches_no_model():
    tool = SearchTool(Broken(), on_error="return")
    for call in call_ways(tool, "belin"):
        assert call() == "[search error: engine] The search engine failed. Nothing was found out."
    (result,) = tool.respond("<search> belin </search>")
    assert result.error.detail.startswith("ConnectionError: Doc 1")
    assert (result.passages, result.text) == ((), tool("belin"))
    assert result.to_mcp()["isError"] and result.to_anthropic()["is_error"]


def test_a_slow_engine_is_given_up_and_later_searches_go_on():
    engine = Stuck()
    tool = SearchTool(engine, timeout=0.02, max_searches=5)
    for call in call_ways(tool, "belin"):
        assert kind_of(call) == "timeout"
    assert tool.searches_left == 5
    engine.free.set()
    assert SearchTool(engine, timeout=60)("belin") == asyncio.run(
        SearchTool(engine, timeout=60).acall("belin")
    )


def test_an_asynchronous_engine_is_given_up_too():
    tool = SearchTool(Patient(), timeout=0.02)
    assert kind_of(lambda: asyncio.run(tool.acall("belin"))) == "timeout"


def test_failures_are_not_cached():
    answers = iter([None, ["found"]])
    tool = SearchTool(lambda query: next(answers), layout="plain", on_error="return")
    assert [tool("a").split("]")[0], tool("a"), tool("a")] == ["[search error: engine", "found", "found"]


# -- budget and cache --------------------------------------------------------------------------------------


def test_the_budget_counts_executed_searches_of_one_episode():
    tool = SearchTool(Shelf(), max_searches=2, on_error="return")
    tool("")
    assert (tool(" belin"), tool("belin"), tool.searches_left) == (BELIN, BELIN, 0)
    assert tool("belin").startswith("[search error: budget]")
    assert asyncio.run(tool.acall("belin")) == tool("belin")
    episode = tool.episode()
    assert (episode.searches_left, episode("belin"), episode.searches_left, tool.searches_left) == (
        2,
        BELIN,
        1,
        0,
    )


def test_calls_of_one_message_share_the_budget_in_order():
    tool = SearchTool(Shelf(), max_searches=2)
    results = tool.run([SearchCall("belin"), SearchCall(""), SearchCall("corun"), SearchCall("sarn")])
    assert [result.error and result.error.kind for result in results] == [None, "bad_query", None, "budget"]


def test_episodes_share_cache_and_engine():
    shelf = Shelf()
    tool = SearchTool(shelf)
    assert [tool.episode()("belin"), tool.episode()(" belin ")] == [BELIN, BELIN]
    assert (shelf.batches, tool.cache.hits) == ([["belin"]], 1)


def test_a_shared_cache_keeps_engines_and_top_k_apart():
    cache = ResultCache()
    first, second = (
        SearchTool(lambda query, word=word: [word] * 3, cache=cache, layout="plain") for word in "ab"
    )
    assert [first("x"), second("x"), first("x"), len(first.search("x", 1))] == [
        "a ; a ; a",
        "b ; b ; b",
        "a ; a ; a",
        1,
    ]
    assert (cache.hits, len(cache)) == (1, 3)


def test_without_a_cache_every_search_is_run():
    shelf = Shelf()
    tool = SearchTool(shelf, cache=0)
    tool("belin")
    tool("belin")
    assert shelf.batches == [["belin"]] * 2


def test_the_search_action_takes_a_tool_and_ends_the_episode_if_it_fails():
    env = SearchAction(Parrot(), SearchTool(Shelf()))
    env.reset(seed=0)
    assert env.step("<search> belin </search>")[0] == BELIN
    env = SearchAction(Parrot(), SearchTool(Broken()))
    env.reset(seed=0)
    *_, truncated, info = env.step("<search> belin </search>")
    assert truncated and info["detail"].startswith("search: ConnectionError: ")


@pytest.mark.parametrize(
    "arguments",
    [{"top_k": 0}, {"max_top_k": 0}, {"top_k": 5, "max_top_k": 4}, {"max_searches": -1}, {"timeout": 0},
     {"cache": -1}, {"max_batch": 0}, {"max_passage_chars": 0}, {"on_error": "ignore"}, {"protocol": "xml"},
     {"name": "a b"}, {"name": ""}, {"name": "x" * 65}],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        SearchTool(Shelf(), **arguments)


# -- other processes ---------------------------------------------------------------------------------------


def shout(query):
    return [query.upper()]


async def whisper(query):
    return [query.lower()]


def search_in_another_process(tool):
    return tool("Belin"), asyncio.run(tool.acall("Belin")), tool.searches_left, tool.engine.fingerprint()


@pytest.mark.parametrize("layout", ["documents", "plain", "json"])
@pytest.mark.parametrize("source", [BM25Engine(PASSAGES), shout, whisper])
def test_a_pickled_tool_searches_alike(source, layout):
    tool = SearchTool(source, layout=layout, max_searches=9, max_top_k=4, timeout=50, protocol="terse")
    text = tool("Belin")
    copy = pickle.loads(pickle.dumps(tool))
    assert len(tool.cache) == 1 and len(copy.cache) == 0 and copy.cache.size == tool.cache.size
    assert copy("Belin") == asyncio.run(copy.acall("Belin")) == text
    assert (tool.searches_left, copy.searches_left) == (8, 6)
    assert copy.to_openai() == tool.to_openai()


def test_a_tool_works_in_a_process_that_was_spawned():
    tool = SearchTool(BM25Engine(PASSAGES), max_searches=9)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(search_in_another_process, [tool])
    assert found == (tool("Belin"), tool("Belin"), 7, tool.engine.fingerprint())


def test_a_copy_of_a_source_without_a_fingerprint_shares_no_results_with_another():
    cache = ResultCache()
    tools = [SearchTool(shout, cache=cache)]
    tools.append(SearchTool(pickle.loads(pickle.dumps(tools[0])).engine, cache=cache))
    assert len({tool.engine.fingerprint() for tool in tools}) == 2


def test_a_source_that_does_not_pickle_says_so():
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(SearchTool(lambda query: [query]))
    with pytest.raises(TypeError, match="set SSP_SEARCH_API_KEY"):
        pickle.dumps(SearchTool(RemoteEngine("http://127.0.0.1:9", api_key="secret")))
