"""Aggregates over runs and tasks equal rliable's, in value and in the draws of their bootstrap."""

import numpy as np
import pytest

from baselines.comparison import aggregates

metrics = pytest.importorskip("rliable.metrics", reason="needs rliable: make parity")
pytestmark = pytest.mark.filterwarnings("default")

RNG = np.random.default_rng(0)
ONES, OTHERS = RNG.random((6, 4)), RNG.random((5, 4)).round(1)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (aggregates.interquartile_mean, "aggregate_iqm"),
        (aggregates.median, "aggregate_median"),
        (aggregates.mean, "aggregate_mean"),
        (aggregates.optimality_gap, "aggregate_optimality_gap"),
    ],
)
def test_aggregates(ours, theirs):
    for scores in (ONES, OTHERS, 2 * ONES):
        assert ours(scores) == pytest.approx(getattr(metrics, theirs)(scores))


def test_probability_of_improvement():
    for pair in ((ONES, OTHERS), (OTHERS, ONES), (OTHERS, OTHERS[::-1])):
        expected = metrics.probability_of_improvement(*pair)
        assert aggregates.probability_of_improvement(*pair) == pytest.approx(expected)
