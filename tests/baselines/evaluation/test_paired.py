"""Paired tests against exact values, and against what they are for: questions that both answered."""

import numpy as np
import pytest

from baselines.evaluation.judging import key_of
from baselines.evaluation.paired import compare, mcnemar
from tests.baselines.evaluation.sets import answer


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    # R: binom.test(1, 6), binom.test(8, 10), binom.test(5, 10), binom.test(0, 5).
    [(1, 5, 0.21875), (8, 2, 0.109375), (5, 5, 1.0), (0, 5, 0.0625), (0, 0, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_test(only_first, only_second, p):
    assert mcnemar(only_first, only_second).p_value == pytest.approx(p)
    assert mcnemar(only_second, only_first).p_value == pytest.approx(p)


def test_mcnemar_of_thousands_is_finite():
    assert 0 < mcnemar(1000, 1200).p_value < 0.001


def test_a_difference_is_of_questions_that_both_answered():
    first = [answer(n, n < 8) for n in range(10)] + [answer(10, failure="x"), answer(99)]
    second = [answer(n, n < 5) for n in range(11)]
    found = compare(first, second)["s"]["exact_match"]
    assert (found.questions, found.first, found.second) == (10, 0.8, 0.5)
    assert found.difference == pytest.approx(0.3) and 0.0 <= found.low < 0.3 < found.high <= 0.6
    assert (found.mcnemar.only_first, found.mcnemar.only_second) == (3, 0)
    assert compare(first, second) == compare(first, second)


def test_pairs_tell_more_than_two_intervals():
    first = [answer(n, n % 2 == 0 or n < 8) for n in range(200)]
    second = [answer(n, n % 2 == 0) for n in range(200)]
    found = compare(first, second)["s"]["exact_match"]
    assert found.low == pytest.approx(0.005, abs=0.006) and found.p_value < 0.1
    assert found.high < 0.05


def test_nothing_is_found_where_nothing_is():
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(10):
        ones, others = rng.random((2, 80)) < 0.5
        pair = [[answer(n, bool(right)) for n, right in enumerate(drawn)] for drawn in (ones, others)]
        found += compare(*pair)["s"]["exact_match"].p_value < 0.05
    assert found <= 2


def test_several_attempts_are_averaged_and_have_no_mcnemar():
    first = [answer(n, attempt=a) for n in range(4) for a in range(2)]
    second = [answer(n, a == 0, attempt=a) for n in range(4) for a in range(2)]
    found = compare(first, second)["s"]["exact_match"]
    assert (found.first, found.second, found.mcnemar) == (1.0, 0.5, None)
    assert compare(first, second)["s"]["f1"].mcnemar is None


def test_worlds_are_drawn_whole():
    def of(worlds):
        right = [answer(n, True, world=worlds(n)) for n in range(40)]
        other = [answer(n, n >= 20, world=worlds(n)) for n in range(40)]
        return compare(right, other)["s"]["exact_match"]

    alike, mixed = of(lambda n: str(n // 10)), of(lambda n: str(n % 4))
    assert alike.high - alike.low > mixed.high - mixed.low


def test_verdicts_are_compared_where_both_are_known():
    first, second = [answer(0, False), answer(1, False)], [answer(0, False), answer(1, False)]
    verdicts = [{key_of(first[0]): True}, {key_of(second[0]): False, key_of(second[1]): True}]
    # The two answers are the same text, but were judged apart.
    found = compare(first, second, judge="j", verdicts=verdicts)["s"]["judge"]
    assert (found.questions, found.first, found.second) == (1, 1.0, 0.0)


def test_evaluations_of_other_questions_are_refused():
    with pytest.raises(ValueError, match=r"no question in common.*the first is of s, the second of t"):
        compare([answer(0)], [answer(0, set="t")])
