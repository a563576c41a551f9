"""An engine that loses results: always the same ones, about as many as it should, and never silently."""

import numpy as np
import pytest

from ssp_env.search import BM25Engine, Passage
from ssp_env.search.degraded import DegradedEngine
from ssp_env.testing import check_engine

PAGES = [Passage(str(n), f"Page {n}", f"word{n % 7} common text of page {n}") for n in range(60)]
ENGINE = BM25Engine(PAGES)


def test_results_keep_their_order_and_lose_about_the_share_that_was_said():
    lossy = DegradedEngine(ENGINE, 0.3)
    queries = [f"word{n} common page {m}" for n in range(7) for m in range(20)]
    kept = total = 0
    for whole, left in zip(ENGINE.search(queries, 10), lossy.search(queries, 10), strict=True):
        assert [passage for passage in whole if passage in left] == left
        kept, total = kept + len(left), total + len(whole)
    assert kept / total == pytest.approx(0.7, abs=0.05)


def test_what_is_lost_depends_on_query_and_seed_alone():
    first, again = DegradedEngine(ENGINE, 0.5), DegradedEngine(ENGINE, 0.5)
    queries = ["common page 1", "common page 2"]
    assert (
        first.search(queries, 10) == again.search(queries, 10) == [first.search([q], 10)[0] for q in queries]
    )
    other = DegradedEngine(ENGINE, 0.5, seed=1)
    assert other.search(queries, 10) != first.search(queries, 10)
    prints = {engine.fingerprint() for engine in (ENGINE, first, other, DegradedEngine(ENGINE, 0.4))}
    assert len(prints) == 4 and again.fingerprint() == first.fingerprint()


def test_without_loss_it_is_the_engine_and_noise_is_never_lost():
    whole = DegradedEngine(ENGINE, 0.0)
    assert whole.search(["common"], 5) == ENGINE.search(["common"], 5)
    drawn = DegradedEngine(ENGINE, 0.9).sample(np.random.default_rng(0), 5, {"1"})
    assert len(drawn) == 5
    check_engine(lambda passages: DegradedEngine(BM25Engine(passages), 0.0))


def test_bad_shares_and_engines_without_passages_are_refused():
    with pytest.raises(ValueError, match="drop must be from 0 to below 1, got 1"):
        DegradedEngine(ENGINE, 1)

    class Bare:
        def search(self, queries, top_k):
            return [[] for _ in queries]

        def fingerprint(self):
            return "bare"

    with pytest.raises(TypeError, match="Bare has no passages to draw noise from"):
        DegradedEngine(Bare(), 0.1).sample(np.random.default_rng(0), 1, ())
