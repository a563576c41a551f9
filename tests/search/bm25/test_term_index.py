"""Which pages a query ranks: all with any word of it, or in a large corpus those with a rare one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.terms import BM25Settings
from ssp_env.worlds import World, world_preset

# Ten pages: `city` is on all, `river` on five, `tavor` on two, `belin` on one.
TEXTS = ["city river tavor belin", "city river tavor", *["city river"] * 3, *["city"] * 5]
PAGES = [Passage(str(number), f"page{number}", text) for number, text in enumerate(TEXTS)]


def ids(found):
    return [passage.id for passage in found]


def rare_words(corpus, words):
    """The rarest words which make up 85 % of the summed cubes of the query's idf."""
    counts = {
        word: sum((word in page.title.split()) + (word in page.text.split()) for page in corpus)
        for word in words
    }
    known = sorted((word for word in dict.fromkeys(words) if counts[word]), key=counts.get)
    cubes = [math.log(1 + max(0, len(corpus) - counts[w] + 0.5) / (counts[w] + 0.5)) ** 3 for w in known]
    return [word for place, word in enumerate(known) if not place or sum(cubes[:place]) < 0.85 * sum(cubes)]


def test_above_the_limit_a_page_needs_a_rare_word():
    # 1 + 2 + 10 pages have the words.
    pruned, exact = (BM25Engine(PAGES, prune_above=limit, eager_up_to=0) for limit in (12, None))
    query = "belin tavor city"
    assert rare_words(PAGES, query.split()) == ["belin", "tavor"]
    assert ids(pruned.search([query], 10)[0]) == ["0", "1"]
    assert len(exact.search([query], 10)[0]) == 10


def test_up_to_the_limit_every_page_with_any_word_is_ranked():
    query = "belin tavor city"
    at_the_limit = BM25Engine(PAGES, prune_above=13, eager_up_to=0)
    assert at_the_limit.search([query], 10) == BM25Engine(PAGES, prune_above=None, eager_up_to=0).search(
        [query], 10
    )


def test_common_words_still_count_for_the_pages_that_are_ranked():
    corpus = [
        Passage("a", "x", "belin garden"),
        Passage("b", "y", "belin river"),
        *(Passage(f"c{number}", "z", "river town") for number in range(20)),
    ]
    pruned = BM25Engine(corpus, prune_above=0, eager_up_to=0)
    assert ids(pruned.search(["belin river"], 5)[0]) == ["b", "a"]


def test_a_query_of_common_words_finds_what_it_would():
    pruned, exact = (BM25Engine(PAGES, prune_above=limit, eager_up_to=0) for limit in (0, None))
    assert pruned.search(["city", "page3", "city unknown"], 10) == exact.search(
        ["city", "page3", "city unknown"], 10
    )
    assert pruned.search(["unknown"], 10) == [[]]


WORDS = ["belin", "corun", "tavor", "dalis", "sarn", "velmo", "zumir", "pekal"]


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), min_size=1, max_size=25),
    query=st.lists(st.sampled_from(WORDS), min_size=1, max_size=6),
    top_k=st.integers(1, 30),
)
def test_pruned_is_exact_without_the_pages_that_have_no_rare_word(texts, query, top_k):
    corpus = [Passage(f"{number:02}", words[0], " ".join(words[1:])) for number, words in enumerate(texts)]
    pruned, exact = (BM25Engine(corpus, stem=False, prune_above=limit, eager_up_to=0) for limit in (0, None))
    rare = set(rare_words(corpus, query))
    expected = [
        page
        for page in exact.search([" ".join(query)], len(corpus))[0]
        if rare & {page.title, *page.text.split()}
    ]
    found = pruned.search([" ".join(query)], len(corpus))[0]
    # Tantivy adds in 32 bits, in another order.
    scores = {page.id: page.score for page in expected}
    assert {page.id: page.score for page in found} == pytest.approx(scores, rel=1e-5)
    assert pruned.search([" ".join(query)], top_k)[0] == found[:top_k]


def test_all_words_first_holds_for_pruned_queries():
    engine = BM25Engine(PAGES, prune_above=0, eager_up_to=0, all_words_first=True)
    found = engine.search(["river tavor city"], 10)[0]
    assert ids(found)[:2] == ["1", "0"]
    assert found[1].score > 10 * (found[2].score if len(found) > 2 else 1)


def test_the_page_a_question_is_about_is_found_pruned_or_not():
    world = World(world_preset("small"))
    gold = [item for hops in (1, 2, 3) for item in world.questions(hops, 50, np.random.default_rng(0))]
    questions = [item.question for item in gold]
    for limit in (0, None):
        found = BM25Engine(world.passages(), prune_above=limit, eager_up_to=0).search(questions, 5)
        hits = [item.passage_ids[0] in ids(pages) for item, pages in zip(gold, found, strict=True)]
        assert np.mean(hits) > 0.98


def test_the_limit_is_part_of_the_fingerprint():
    limits = (50_000, 0, 12, None)
    assert len({BM25Engine(PAGES, prune_above=limit, eager_up_to=0).fingerprint() for limit in limits}) == 4
    assert BM25Engine(PAGES).fingerprint() == BM25Engine(PAGES, prune_above=50_000).fingerprint()


@pytest.mark.parametrize(
    ("limit", "error", "message"),
    [
        (-1, ValueError, "prune_above must be 0 or more, got -1"),
        (1.5, TypeError, "whole number or None, got 1.5"),
        (True, TypeError, "whole number or None, got True"),
    ],
)
def test_a_limit_that_is_none_is_refused(limit, error, message):
    with pytest.raises(error, match=message):
        BM25Settings(prune_above=limit, eager_up_to=0)


def test_a_directory_is_opened_to_be_searched_exactly(tmp_path):
    pruned = BM25Engine(PAGES, path=tmp_path / "index", prune_above=0, eager_up_to=0)
    exact = BM25Engine.open(tmp_path / "index", exact=True)
    memory = BM25Engine(PAGES, prune_above=None, eager_up_to=0)
    assert exact.search(["belin city"], 10) == memory.search(["belin city"], 10)
    assert pruned.search(["belin city"], 10) != exact.search(["belin city"], 10)
    assert exact.fingerprint() == memory.fingerprint() != pruned.fingerprint()
