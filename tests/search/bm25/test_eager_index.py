"""Scores computed when an index is built are the formula's, also compiled, and damage to them is found."""

import sys
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.exact_bm25 import ExactBM25
from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine, eager_index
from ssp_env.search.bm25 import engine as engine_module
from ssp_env.search.bm25.eager_index import best_passages, compiled
from ssp_env.search.bm25.eager_scores import (
    ScoreArrays,
    compute_scores,
    open_scores,
    write_scores,
)
from ssp_env.search.bm25.passage_file import DamagedIndexError
from ssp_env.search.bm25.terms import BM25Settings, Tokenizer
from ssp_env.worlds import World, world_preset

needs_numba = pytest.mark.skipif(compiled() is None, reason="needs ssp-env[numba]")


@pytest.fixture(scope="module")
def pages():
    return list(islice(World(world_preset("small")).passages(), 1000))


@pytest.fixture(scope="module")
def questions():
    world, rng = World(world_preset("small")), np.random.default_rng(0)
    return [gold.question for hops in (1, 2, 3) for gold in world.questions(hops, 40, rng)]


def ids(found):
    return [[page.id for page in hits] for hits in found]


def test_scores_are_those_of_the_formula(pages, questions):
    tokenizer = Tokenizer(BM25Settings())
    exact = ExactBM25(pages, tokenizer.passage)
    found = BM25Engine(pages).search(questions, 1000)
    rows = {page.id: row for row, page in enumerate(pages)}
    for question, hits in zip(questions, found, strict=True):
        scores = exact.scores(tokenizer.query(question))
        assert len(hits) == (scores > 0).sum()
        assert [hit.score for hit in hits] == pytest.approx([scores[rows[hit.id]] for hit in hits], rel=1e-5)
        assert all(one.score > two.score or one.id < two.id for one, two in pairwise(hits))
        assert all(one.score >= two.score for one, two in pairwise(hits))


def test_a_corpus_above_the_limit_is_scored_from_its_postings_with_nearly_the_same_result(pages, questions):
    eager, scored = BM25Engine(pages, eager_up_to=1000), BM25Engine(pages, eager_up_to=999)
    assert eager.fingerprint() != scored.fingerprint()
    same = [one == two for one, two in zip(*(ids(engine.search(questions, 1)) for engine in (eager, scored)))]
    assert np.mean(same) > 0.9
    assert eager.search(questions, 10) != scored.search(questions, 10)


def test_the_title_counts_as_often_as_it_is_told(pages):
    pair = [Passage("a", "corun", "belin"), Passage("b", "belin", "corun")]
    assert ids(BM25Engine(pair, title_boost=2).search(["corun"], 2)) == [["a", "b"]]
    assert ids(BM25Engine(pair, title_boost=0.5).search(["corun"], 2)) == [["b", "a"]]


POSTINGS = st.lists(
    st.lists(st.integers(0, 299), unique=True, max_size=60).map(sorted), min_size=1, max_size=6
)


@given(postings=POSTINGS, top_k=st.integers(1, 40), data=st.data())
@settings(max_examples=60)
def test_the_best_passages_are_those_a_plain_sort_finds(postings, top_k, data):
    rows = np.array([row for word in postings for row in word], np.uint32)
    starts = np.cumsum([0, *map(len, postings)])
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    # Few values, so that there are ties.
    scores = rng.integers(1, 4, len(rows)).astype(np.float32)
    chosen = data.draw(st.lists(st.integers(0, len(postings) - 1), unique=True))
    totals = [0.0] * 300
    for number in chosen:
        for place in range(starts[number], starts[number + 1]):
            totals[rows[place]] += float(scores[place])
    expected = sorted((row for row in range(300) if totals[row]), key=lambda row: (-totals[row], row))[:top_k]
    numbers = np.array(sorted(chosen), np.int64)
    for ranking in filter(None, (best_passages, compiled())):
        found, best = ranking(numbers, starts, rows, scores, 300, top_k)
        assert found.tolist() == expected
        assert best.tolist() == [totals[row] for row in expected]


@needs_numba
def test_numba_and_numpy_find_the_same_to_the_last_bit(pages, questions, monkeypatch):
    by_numpy = BM25Engine(pages).search(questions, 50)
    monkeypatch.setattr(eager_index, "_WORTH_COMPILING", 1)
    engine = BM25Engine(pages)
    assert engine.search(questions, 50) == by_numpy
    monkeypatch.setattr(engine_module, "_THREADED_PASSAGES", 1)
    monkeypatch.setattr(engine_module, "_THREADED_WORK", 1)
    assert engine.search(questions, 50) == by_numpy
    assert engine.search(questions[:3], 10**6) == BM25Engine(pages).search(questions[:3], 10**6)


@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(1, 20))
def test_ranges_of_passages_are_ranked_as_one(seed, passages, top_k):
    rng = np.random.default_rng(seed)
    held = [np.flatnonzero(rng.random(passages) < share) for share in (0.02, 0.3, 0.9)]
    rows = np.concatenate(held).astype(np.uint32)
    starts = np.cumsum([0, *map(len, held)])
    scores = rng.choice([0.5, 1.0, 1.25, 3.0], len(rows)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eager_index, "_RANGE", 128)
        found = eager_index._best_passages_one_by_one(np.arange(3), starts, rows, scores, passages, top_k)
    for one, two in zip(
        found, best_passages(np.arange(3), starts, rows, scores, passages, top_k), strict=True
    ):
        assert one.tolist() == two.tolist()


@pytest.mark.parametrize("error", ["ImportError('Numba needs NumPy 1.0 or less')", "ModuleNotFoundError()"])
def test_a_numba_that_cannot_be_imported_is_done_without(tmp_path, monkeypatch, error):
    (tmp_path / "numba.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    assert compiled.__wrapped__() is None


@needs_numba
def test_numba_works_where_machine_code_cannot_be_kept(monkeypatch):
    from numba.core.caching import CacheImpl

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    ranking = compiled.__wrapped__()
    arrays = ScoreArrays(np.array([0, 2]), np.array([0, 1], np.uint32), np.ones(2, np.float32))
    assert ranking(np.array([0]), *arrays, 5, 1)[0].tolist() == [0]


def test_arrays_come_back_from_files(pages, tmp_path):
    vocabulary, arrays = compute_scores(pages[:50], BM25Settings())
    write_scores(tmp_path, vocabulary, arrays)
    words, mapped = open_scores(tmp_path)
    assert words == vocabulary
    for one, two in zip(arrays, mapped, strict=True):
        assert one.dtype == two.dtype and np.array_equal(one, two)


@pytest.mark.parametrize("ranking", [best_passages, pytest.param("numba", marks=needs_numba)])
@pytest.mark.parametrize(
    "damaged",
    [
        {"rows": np.array([0, 7], np.uint32)},
        {"rows": np.array([0, 2**32 - 1], np.uint32)},
        {"starts": np.array([0, 2**40])},
        {"starts": np.array([-1, 2])},
        {"scores": np.ones(1, np.float32)},
    ],
)
def test_postings_of_no_page_are_an_error(ranking, damaged):
    arrays = ScoreArrays(np.array([0, 2]), np.array([0, 1], np.uint32), np.ones(2, np.float32))
    ranking = compiled() if ranking == "numba" else ranking
    assert ranking(np.array([0]), *arrays, 5, 2)[0].tolist() == [0, 1]
    with pytest.raises((IndexError, ValueError)):
        ranking(np.array([0]), *arrays._replace(**damaged), 5, 2)


@pytest.mark.parametrize(("name", "content"), [("rows.npy", b"\xff"), ("words.txt", b"\n")])
def test_damage_that_only_a_search_meets_is_an_error_that_says_so(
    pages, tmp_path, monkeypatch, name, content
):
    monkeypatch.setattr("ssp_env.search.bm25.integrity._compare", lambda path, files: None)
    BM25Engine(pages[:50], path=tmp_path / "index")
    path = tmp_path / "index" / "terms-1" / name
    whole = path.read_bytes()
    start = len(whole) // 2
    path.write_bytes(whole[:start] + content * 40 + whole[start + 40 * len(content) :])
    engine = BM25Engine.open(tmp_path / "index")
    with pytest.raises(DamagedIndexError):
        engine.search([page.text for page in pages[:50]], 50)


def test_a_corpus_without_a_single_word_is_searched(tmp_path):
    corpus = [Passage("1", "", ""), Passage("2", "!?", "...")]
    for engine in (BM25Engine(corpus), BM25Engine(corpus, path=tmp_path / "index")):
        assert engine.search(["belin", "", "!?"], 3) == [[], [], []]


def test_words_in_other_scripts_are_words():
    corpus = [Passage("1", "北京", "é \x85 \u2028 x"), Passage("2", "x\ud800y", "Straße")]
    engine = BM25Engine(corpus)
    assert ids(engine.search(["北京", "É", "straße", "\u2028"], 2)) == [["1"], ["1"], ["2"], []]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-1, ValueError, "eager_up_to must be 0 or more, got -1"),
        (1.5, TypeError, "whole number or None, got 1.5"),
    ],
)
def test_a_limit_that_is_none_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        BM25Settings(eager_up_to=value)
