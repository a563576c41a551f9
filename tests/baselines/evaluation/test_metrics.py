"""Scorers on answers whose scores were worked out by hand; estimators against their definitions."""

from itertools import combinations

import numpy as np
import pytest

from baselines.evaluation.metrics import (
    SCORERS,
    pass_at_k,
    pass_hat_k,
    score,
    squad_exact_match,
    squad_f1,
    support_recall,
)


@pytest.mark.parametrize(
    ("prediction", "gold", "same"),
    [
        # The published normalisation: lower case, ASCII punctuation deleted, articles, white space.
        ("U.S.A.", "usa", True),
        ("1,000", "1000", True),
        ("a.b", "ab", True),
        ("The  Eiffel\tTower", "eiffel tower!", True),
        ("an apple a day", "apple day", True),
        ("café", "cafe", False),
        ("Paris France", "France Paris", False),
        ("theory", "ory", False),
    ],
)
def test_the_published_normalisation(prediction, gold, same):
    assert squad_exact_match(prediction, [gold]) is same
    assert score(prediction, [gold])["squad_exact_match"] == same


def test_f1_is_the_best_over_right_answers():
    # Two of three words are shared with a gold of two: precision 2/3, recall 1.
    assert squad_f1("green eggs ham", ["green eggs"]) == pytest.approx(0.8)
    assert squad_f1("green eggs ham", ["blue", "green eggs", "green eggs and ham"]) == pytest.approx(6 / 7)
    assert squad_f1("dog dog", ["dog"]) == pytest.approx(2 / 3)
    assert squad_f1("the", ["a"]) == 1.0 and squad_f1("cat", ["a"]) == 0.0


def test_cover_match_looks_both_ways_with_and_without_word_boundaries():
    names = ("cover_match", "substring_match", "within_gold", "substring_within_gold")
    found = {
        (prediction, gold): tuple(score(prediction, [gold])[name] for name in names)
        for prediction, gold in (
            ("in the year 1920", "1920"),
            ("1920", "20"),
            ("1920", "in 1920"),
            ("20", "1920"),
            ("blue", "red"),
        )
    }
    assert found == {
        ("in the year 1920", "1920"): (1, 1, 0, 0),
        ("1920", "20"): (0, 1, 0, 0),
        ("1920", "in 1920"): (0, 0, 1, 1),
        ("20", "1920"): (0, 0, 0, 1),
        ("blue", "red"): (0, 0, 0, 0),
    }


@pytest.mark.parametrize("nothing", ["", "  ", "\n"])
def test_no_answer_scores_nothing(nothing):
    assert score(nothing, ["a", "", "x"]) == dict.fromkeys(SCORERS, 0.0)


@pytest.mark.parametrize("right", range(6))
@pytest.mark.parametrize("k", range(1, 6))
def test_pass_at_k_and_pass_hat_k_are_means_over_all_draws(right, k):
    attempts = [number < right for number in range(5)]
    draws = list(combinations(attempts, k))
    assert pass_at_k(right, 5, k) == pytest.approx(np.mean([any(draw) for draw in draws]))
    assert pass_hat_k(right, 5, k) == pytest.approx(np.mean([all(draw) for draw in draws]))


def test_pass_at_k_is_unbiased():
    rng = np.random.default_rng(0)
    rights = rng.binomial(8, 0.3, size=20_000)
    assert np.mean([pass_at_k(int(c), 8, 3) for c in rights]) == pytest.approx(1 - 0.7**3, abs=0.01)
    assert np.mean([pass_hat_k(int(c), 8, 3) for c in rights]) == pytest.approx(0.3**3, abs=0.01)


@pytest.mark.parametrize(("right", "attempts", "k"), [(1, 2, 3), (1, 2, 0), (3, 2, 1), (-1, 2, 1)])
def test_impossible_counts_are_refused(right, attempts, k):
    for estimate in (pass_at_k, pass_hat_k):
        with pytest.raises(ValueError, match="must be from"):
            estimate(right, attempts, k)


def test_recall_counts_each_supporting_passage_once():
    assert support_recall(["a", "a", "b"], ["a", "c", "a"]) == 0.5
    assert support_recall([], ["a"]) == 0.0 and support_recall(["a"], []) is None
