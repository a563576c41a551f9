import dataclasses

import pytest

from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.dense import DenseEngine
from ssp_env.search.engine import PassageSampler
from ssp_env.search.errors import SearchUnavailable
from ssp_env.search.hybrid import HybridEngine
from ssp_env.testing import check_engine
from tests.search.hashed_words import HASHED_WORDS


class Ranking:
    """An engine that returns the same ranking for every query."""

    def __init__(self, identifiers, text="page"):
        self.hits = [Passage(name, name, text, 1 / rank) for rank, name in enumerate(identifiers, start=1)]

    def search(self, queries, top_k):
        return [self.hits[:top_k] for _ in queries]

    def fingerprint(self):
        return repr(self.hits)


def ids(found):
    return [passage.id for passage in found]


def test_bm25_and_dense_together_pass_the_conformance_checks():
    pytest.importorskip("faiss", reason="needs faiss: pip install 'ssp-env[dense]'")
    check_engine(
        lambda passages: HybridEngine(
            [BM25Engine(passages), DenseEngine(passages, HASHED_WORDS)], weights=[2, 1]
        )
    )


def test_scores_are_those_of_the_paper():
    (found,) = HybridEngine([Ranking("abc"), Ranking("cd")]).search(["?"], 10)
    scores = {hit.id: hit.score for hit in found}
    assert scores == pytest.approx({"c": 1 / 63 + 1 / 61, "a": 1 / 61, "b": 1 / 62, "d": 1 / 62})
    assert ids(found) == ["c", "a", "b", "d"]


def test_weights_and_k_change_the_ranking():
    engines = [Ranking("ab"), Ranking("ba")]
    assert ids(HybridEngine(engines, weights=[1, 2]).search(["?"], 2)[0]) == ["b", "a"]
    assert ids(HybridEngine(engines, weights=[2, 1]).search(["?"], 2)[0]) == ["a", "b"]
    one_first_two_thirds = [Ranking("axb"), Ranking("yzb")]
    assert ids(HybridEngine(one_first_two_thirds, k=0).search(["?"], 1)[0]) == ["a"]
    assert ids(HybridEngine(one_first_two_thirds, k=60).search(["?"], 1)[0]) == ["b"]


def test_the_same_ranks_from_other_engines_are_a_tie_ordered_by_id():
    engines = [Ranking("zab"), Ranking("bza"), Ranking("abz")]
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        (found,) = HybridEngine([engines[index] for index in order]).search(["?"], 3)
        assert ids(found) == ["a", "b", "z"]
        assert len({hit.score for hit in found}) == 1


def test_a_tie_does_not_depend_on_the_rounding_of_sums():
    # z has the ranks 1, 7, 2 and a has 2, 1, 7; added up in this order z would lead by one bit.
    (found,) = HybridEngine([Ranking("za"), Ranking("abcdefz"), Ranking("gzhijka")]).search(["?"], 2)
    assert ids(found) == ["a", "z"]
    assert found[0].score == found[1].score


def test_the_first_engine_that_knows_a_page_says_what_it_reads():
    (found,) = HybridEngine([Ranking("a", "first"), Ranking("ab", "second")]).search(["?"], 2)
    assert [(hit.id, hit.text) for hit in found] == [("a", "first"), ("b", "second")]


def test_a_page_an_engine_returns_twice_counts_once():
    (found,) = HybridEngine([Ranking("aab")]).search(["?"], 5)
    assert [hit.score for hit in found] == pytest.approx([1 / 61, 1 / 62])


def test_depth_limits_what_is_fused_whatever_top_k_is():
    engine = HybridEngine([Ranking("abcdef"), Ranking("fedcba")], depth=2)
    assert ids(engine.search(["?"], 10**6)[0]) == ["a", "f", "b", "e"]
    assert ids(engine.search(["?"], 3)[0]) == ["a", "f", "b"]


def test_one_failing_engine_fails_the_search():
    class Down(Ranking):
        def search(self, queries, top_k):
            raise SearchUnavailable("down")

    with pytest.raises(SearchUnavailable, match="down"):
        HybridEngine([Ranking("a"), Down("b")]).search(["?"], 1)


def test_engines_that_disagree_on_the_number_of_results_are_refused():
    class Short(Ranking):
        def search(self, queries, top_k):
            return []

    with pytest.raises(ValueError):
        HybridEngine([Ranking("a"), Short("b")]).search(["?"], 1)


def test_it_samples_if_one_of_its_engines_does():
    pages = [Passage("1", "a", "b"), Passage("2", "c", "d")]
    assert isinstance(HybridEngine([Ranking("a"), BM25Engine(pages)]), PassageSampler)
    assert not isinstance(HybridEngine([Ranking("a")]), PassageSampler)


def test_fingerprint_depends_on_engines_their_order_and_every_setting():
    a, b = Ranking("a"), Ranking("b")
    engines = [
        HybridEngine([a, b]),
        HybridEngine([b, a]),
        HybridEngine([a]),
        HybridEngine([a, b], weights=[1, 2]),
        HybridEngine([a, b], k=10),
        HybridEngine([a, b], depth=10),
    ]
    assert len({engine.fingerprint() for engine in engines}) == len(engines)
    assert HybridEngine([Ranking("a"), Ranking("b")]).fingerprint() == engines[0].fingerprint()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"engines": []}, "at least one engine"),
        ({"weights": [1]}, "one weight per engine, got 1 for 2"),
        ({"weights": [1, 0]}, "positive"),
        ({"weights": [1, float("nan")]}, "positive"),
        ({"k": -1}, "k must be 0 or more"),
        ({"depth": 0}, "depth must be at least 1"),
    ],
)
def test_bad_settings_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        HybridEngine(**{"engines": [Ranking("a"), Ranking("b")], **arguments})


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_must_be_positive(top_k):
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        HybridEngine([Ranking("a")]).search(["?"], top_k)


def test_scores_of_the_engines_do_not_matter():
    loud = Ranking("ab")
    loud.hits = [dataclasses.replace(hit, score=1e9) for hit in loud.hits]
    assert HybridEngine([loud]).search(["?"], 2) == HybridEngine([Ranking("ab")]).search(["?"], 2)
