"""Anything that finds texts becomes an engine, and anything that is a result a passage."""

import asyncio
import hashlib
from types import SimpleNamespace

import pytest

from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.tool import SearchTool, as_engine, as_passage
from ssp_env.testing import check_engine

WHALE = Passage("w", "Blue whale", "It is large.", 2.5)


class Retriever:
    """A stand-in for LangChain's `BaseRetriever`, which tests/integrations runs for real."""

    def invoke(self, query):
        return [
            SimpleNamespace(page_content=f"about {query}", metadata={"title": "T", "source": "s"}, id="d")
        ]


class Index:
    """A stand-in for LlamaIndex's `BaseRetriever`."""

    def retrieve(self, query):
        node = SimpleNamespace(get_content=lambda: f"about {query}", metadata={"title": "T"}, node_id="n")
        return [SimpleNamespace(node=node, score=0.5), node]


async def awaited(query):
    return [f"about {query}"]


class Awaited:
    async def ainvoke(self, query):
        return [f"about {query}"]

    invoke = ainvoke


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("item", "passage"),
    [
        (WHALE, WHALE),
        ("It is large.", Passage(digest("It is large."), "", "It is large.")),
        ({"id": 7, "title": "B", "text": "S", "score": 2.5}, Passage("7", "B", "S", 2.5)),
        ({"link": "u", "name": "B", "snippet": "S"}, Passage("u", "B", "S")),
        ({"document": {"id": "w", "contents": "S"}, "score": 1}, Passage("w", "", "S", 1.0)),
        ({"id": "w", "text": "", "title": None, "score": None}, Passage("w", "", "")),
        (
            SimpleNamespace(page_content="S", metadata={"id": "m", "title": "B", "score": 3}),
            Passage("m", "B", "S", 3.0),
        ),
    ],
)  # fmt: skip
def test_results_of_every_shape_are_passages(item, passage):
    assert as_passage(item) == passage


@pytest.mark.parametrize(
    "item", [None, 5, {}, {"title": "no text"}, {"text": 5}, {"document": None}, ["a"], b"a"]
)
def test_what_is_no_result_is_refused(item):
    with pytest.raises(TypeError, match="expected a"):
        as_passage(item)


@pytest.mark.parametrize(
    "source",
    [
        lambda query: [f"about {query}"],
        lambda query: f"about {query}",
        Retriever(),
        Index(),
        awaited,
        Awaited(),
    ],
)
def test_sources_of_every_shape_are_engines(source):
    found = as_engine(source).search(["whale", "panda"], top_k=1)
    assert [[passage.text for passage in hits] for hits in found] == [["about whale"], ["about panda"]]


def test_an_engine_is_returned_as_it_is():
    engine = BM25Engine([WHALE])
    assert as_engine(engine) is engine


def test_a_function_with_top_k_is_given_it():
    def find(query, top_k):
        return [f"{query} {top_k}"] * 9

    assert [p.text for p in as_engine(find).search(["a"], top_k=2)[0]] == ["a 2", "a 2"]


def test_a_generator_is_a_sequence_of_results():
    assert [p.text for p in as_engine(lambda query: iter("ab")).search(["q"], 5)[0]] == ["a", "b"]


def test_an_adapted_engine_is_an_engine_like_any_other():
    def adapted(passages):
        engine = BM25Engine(passages)
        return as_engine(
            lambda query, top_k: engine.search([query], top_k)[0], fingerprint=engine.fingerprint()
        )

    check_engine(adapted)


def test_a_coroutine_function_is_searched_from_a_running_event_loop():
    async def searched():
        return as_engine(awaited).search(["whale"], top_k=1)

    assert asyncio.run(searched())[0][0].text == "about whale"


def test_sources_without_a_fingerprint_never_share_results():
    first, second = as_engine(awaited), as_engine(awaited)
    assert first.fingerprint() == first.fingerprint() != second.fingerprint()
    assert as_engine(awaited, fingerprint="v1").fingerprint() == "v1"


@pytest.mark.parametrize("source", [None, "corpus.jsonl", [], Passage, SimpleNamespace(search=len)])
def test_what_cannot_be_searched_is_refused(source):
    with pytest.raises(TypeError, match="expected a search engine, a retriever"):
        SearchTool(source)
