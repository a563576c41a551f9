"""Interquartile means, intervals and probabilities of improvement against values worked out by hand."""

import numpy as np
import pytest

from baselines.comparison.aggregates import (
    interquartile_band,
    interquartile_mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    profile_band,
    stratified_interval,
)


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


TABLE = np.array([[0.1, 0.5, 0.9], [0.3, 0.5, 0.7], [0.2, 0.8, 1.5], [0.0, 0.6, 0.4]])
"""Four runs of three tasks; the figures below were worked out by hand from rliable's definitions."""


def test_aggregates_are_over_runs_and_tasks_together():
    # Sorted: 0 .1 .2 | .3 .4 .5 .5 .6 .7 | .8 .9 1.5.
    assert interquartile_mean(TABLE) == pytest.approx(0.5)
    # Means of tasks: .15, .6, .875.
    assert median(TABLE) == pytest.approx(0.6)
    # What is above 1 counts as 1: the sum is 6.0 of 12.
    assert optimality_gap(TABLE) == pytest.approx(1 - 6.0 / 12)
    shares = performance_profile(TABLE, np.array([0.0, 0.5, 1.0]))
    assert shares.tolist() == pytest.approx([11 / 12, 5 / 12, 1 / 12])


def test_they_equal_scipys():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    ones, others = rng.random((7, 5)), rng.random((4, 5)).round(1)
    assert interquartile_mean(ones) == pytest.approx(stats.trim_mean(ones, 0.25, axis=None))
    shares = [
        stats.mannwhitneyu(ones[:, task], others[:, task], alternative="greater").statistic / 28
        for task in range(5)
    ]
    assert probability_of_improvement(ones, others) == pytest.approx(np.mean(shares))


def test_tasks_are_drawn_apart_unless_runs_are_drawn_whole():
    """Runs that are good at everything differ more from each other than tasks drawn apart can show."""
    good = np.repeat(np.linspace(0, 1, 8)[:, None], 6, axis=1)
    widths = {}
    for whole in (False, True):
        low, high = stratified_interval(lambda s: float(s.mean()), good, repetitions=1000, whole_runs=whole)
        widths[whole] = high - low
    assert widths[True] > 1.8 * widths[False] > 0


def test_a_band_has_the_interquartile_mean_in_it_at_every_point():
    values = np.random.default_rng(0).random((5, 8))
    middle, low, high = interquartile_band(values, repetitions=500)
    assert middle == pytest.approx([interquartile_mean(point) for point in values])
    assert (low < middle).all() and (middle < high).all()
    _, low, high = interquartile_band(values[:, :1])
    assert (low == high).all()


def test_the_band_of_a_profile_holds_it_and_narrows_with_runs():
    rng = np.random.default_rng(0)
    thresholds = np.array([-0.1, 0.5, 1.0])
    widths = []
    for runs in (4, 64):
        scores = rng.random((runs, 3))
        low, high = profile_band(scores, thresholds)
        profile = performance_profile(scores, thresholds)
        assert np.all(low <= profile) and np.all(profile <= high)
        assert (low[0], high[0], low[2], high[2]) == (1.0, 1.0, 0.0, 0.0)
        widths.append(high[1] - low[1])
    assert widths[1] < widths[0] / 2
