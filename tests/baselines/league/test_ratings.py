"""Cross-play as arrays, ratings that agree with the model they are drawn from, and trends of a sequence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.league.cross_play import CrossPlay
from baselines.league.ratings import ELO, rate, trends


def played(points, valid=None, names=None):
    points = np.asarray(points, dtype=float)
    proposers = names or [f"p{i}" for i in range(points.shape[0])]
    solvers = names or [f"s{i}" for i in range(points.shape[1])]
    valid = np.ones((points.shape[0], points.shape[2])) if valid is None else np.asarray(valid, dtype=float)
    return CrossPlay(proposers, solvers, points, valid)


def drawn(proposers, solvers, tasks, rng):
    """Games whose solver wins with the probability that Bradley and Terry's model gives."""
    odds = np.exp(np.subtract.outer(-np.asarray(proposers), -np.asarray(solvers)))
    wins = rng.random((len(proposers), len(solvers), tasks)) < (odds / (1 + odds))[:, :, None]
    return played(wins)


def test_shares_leave_failed_games_out_and_success_invalid_questions():
    games = played([[[1.0, 0.5, np.nan, 1.0]]], valid=[[1, 1, 1, 0]])
    assert games.shares[0, 0] == pytest.approx(2.5 / 3)
    assert games.success[0, 0] == pytest.approx(0.75)
    assert games.valid_rates[0] == pytest.approx(0.75)


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=4))
def test_no_pair_is_exploited_by_less_than_nothing_and_the_worst_case_bounds_every_share(rows):
    games = played([[[share] for share in row] for row in rows])
    proposers, solvers = games.worst_case()
    for row in range(len(rows)):
        for column in range(3):
            assert games.exploitability(row, column) >= 0
            share = games.shares[row, column]
            assert solvers[column] <= share and proposers[row] <= 1 - share


def test_a_saddle_point_cannot_be_exploited():
    games = played([[[0.5], [0.4]], [[0.9], [0.6]]])
    assert games.exploitability(0, 0) == pytest.approx(0.0)
    assert games.exploitability(1, 1) == pytest.approx(0.9 - 0.4)


def test_ratings_recover_the_strengths_that_the_games_were_drawn_from():
    rng = np.random.default_rng(0)
    proposers, solvers = [0.5, -1.0, 0.0], [1.0, 0.0, -0.5, 0.0]
    rated = {(one.role, one.name): one for one in rate(drawn(proposers, solvers, 2000, rng), repetitions=50)}
    for role, names, strengths in (("proposer", "p", proposers), ("solver", "s", solvers)):
        for place, strength in enumerate(strengths):
            one = rated[role, f"{names}{place}"]
            assert one.elo == pytest.approx(ELO * strength, abs=20)
            assert one.low < one.elo < one.high


def test_ratings_order_the_sides_and_the_same_seed_gives_the_same_intervals():
    games = drawn([0.0, 1.0], [2.0, -1.0], 60, np.random.default_rng(1))
    rated = rate(games, repetitions=20)
    assert [one.elo for one in rated] == sorted((one.elo for one in rated), reverse=True)
    assert rated == rate(games, repetitions=20) != rate(games, repetitions=20, seed=1)
    assert sum(one.elo for one in rated) == pytest.approx(0, abs=1e-6)


def test_who_always_wins_has_a_finite_rating():
    rated = rate(played(np.ones((2, 1, 5))), repetitions=5)
    assert rated[0].role == "solver" and all(np.isfinite(one.elo) for one in rated)


def test_a_side_whose_games_all_failed_is_named():
    with pytest.raises(ValueError, match="every game of the solver s1 ended in an error"):
        rate(played([[[1.0], [np.nan]]]))


def test_a_sequence_that_grows_stronger_is_seen_to():
    names = ["20", "40", "60"]
    shares = [[[0.5], [0.7], [0.9]], [[0.3], [0.5], [0.8]], [[0.1], [0.2], [0.5]]]
    found = trends(played(shares, names=names), names)
    for trend in found.values():
        assert trend.beaten == 1.0 and trend.correlation == pytest.approx(1.0)
    assert found["solver"].against_past == pytest.approx([0.5, 0.6, (0.9 + 0.8 + 0.5) / 3])
    falling = trends(played(shares[::-1], names=names), names)["proposer"]
    assert falling.beaten == 0.0 and falling.correlation == pytest.approx(-1.0)
    level = trends(played(np.full((3, 3, 1), 0.5), names=names), names)["solver"]
    assert level.beaten == 0.5 and level.correlation == 0.0


def test_the_intervals_of_a_sequence_are_those_of_other_tasks():
    names = ["20", "40"]
    points = np.random.default_rng(0).integers(2, size=(2, 2, 40)).astype(float)
    points[0, 0] = 1.0
    for trend in trends(played(points, names=names), names).values():
        (low, high), (worse, better) = trend.intervals
        assert low == high == trend.against_past[0]
        assert worse < trend.against_past[1] < better and 0.1 < better - worse < 0.4


def test_bad_shapes_and_players_of_one_role_are_refused():
    with pytest.raises(ValueError, match="expected points of the shape"):
        CrossPlay(["p"], ["s"], np.zeros((2, 1, 3)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="p0 does not take part in both roles"):
        trends(played(np.zeros((2, 2, 1))), ["p0", "p1"])


def test_drawn_tasks_keep_all_their_games():
    games = played(np.arange(6).reshape(1, 2, 3) / 6, valid=[[1, 0, 1]])
    drawn = games.resampled([2, 2, 1])
    assert drawn.points.tolist() == games.points[:, :, [2, 2, 1]].tolist()
    assert drawn.valid.tolist() == [[1, 1, 0]]
