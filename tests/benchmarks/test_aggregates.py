"""Interquartile means, intervals and probabilities of improvement against values worked out by hand."""

import numpy as np
import pytest

from benchmarks.aggregates import interquartile_mean, probability_of_improvement, stratified_interval


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.3], 0.3), ([1.0, 2.0], 1.5), ([9.0, 1.0, 2.0, 3.0], 2.5), ([0, 1, 2, 3, 100], 2.0), (range(8), 3.5)],
)
def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end(scores, expected):
    assert interquartile_mean(np.array(scores, dtype=float)) == pytest.approx(expected)


def test_a_better_algorithm_improves_with_certainty_and_an_equal_one_with_a_half():
    low, high = np.array([0.1, 0.2]), np.array([0.3, 0.4, 0.5])
    assert probability_of_improvement(high, low) == 1.0
    assert probability_of_improvement(low, high) == 0.0
    assert probability_of_improvement(low, low) == 0.5


def test_an_interval_comes_from_runs_drawn_within_each_algorithm():
    low, high = np.array([0.1, 0.2]), np.array([0.15, 0.4])
    bounds = stratified_interval(probability_of_improvement, high, low)
    assert bounds == (0.0, 1.0) == stratified_interval(probability_of_improvement, low, high)
    scores = np.linspace(0, 1, 40)
    bottom, top = stratified_interval(interquartile_mean, scores, repetitions=2000)
    assert bottom < interquartile_mean(scores) < top and top - bottom < 0.5
    assert stratified_interval(interquartile_mean, np.full(5, 0.7)) == pytest.approx((0.7, 0.7))
    assert stratified_interval(interquartile_mean, scores, repetitions=50, seed=1) == stratified_interval(
        interquartile_mean, scores, repetitions=50, seed=1
    )
