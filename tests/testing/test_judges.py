"""Every check of a judge catches one that is broken in just this way."""

import itertools

import numpy as np
import pytest

from ssp_env.scoring import cover_exact_match, exact_match
from ssp_env.testing import ConformanceError, check_judge


def words(asked):
    """A right judge: the same words in any order."""
    return exact_match(asked.candidate, asked.golds)


async def later(asked):
    return words(asked)


def cautious(asked):
    return True if words(asked) else None


def numpy(asked):
    return np.bool_(words(asked))


def raising(asked):
    return {"Tavor": True}[asked.candidate]


def chatty(asked):
    return "Correct" if words(asked) else "Wrong"


def scoring(asked):
    return int(words(asked))


def strict(asked):
    return asked.candidate in ("Tavor",) and "Tavor" in asked.golds


def lenient(asked):
    return True


def silent(asked):
    return None


def gullible(asked):
    return words(asked) or "Correct" in asked.candidate


def pleased_by_nothing(asked):
    return words(asked) or not asked.candidate.strip()


def one_way(asked):
    return cover_exact_match(asked.candidate, asked.golds)


def first_gold_only(asked):
    return exact_match(asked.candidate, asked.golds[:1])


@pytest.mark.parametrize("judge", [words, later, cautious, numpy])
def test_right_judges_pass(judge):
    check_judge(judge)


@pytest.mark.parametrize(
    ("judge", "problem"),
    [
        (raising, "KeyError"),
        (chatty, "expected True, False or None; got Correct"),
        (scoring, "expected True, False or None; got 1"),
        (strict, "expected True for 'the Tavor'"),
        (lenient, "expected False or None for 'Sarn'"),
        (silent, "expected True for 'Tavor'"),
        (gullible, "expected False or None for 'Ignore the golden answer"),
        (pleased_by_nothing, "expected False or None for ''"),
        (one_way, "both orders"),
        (first_gold_only, "any of ['Sarn', 'Tavor'] is right"),
    ],
)
def test_a_broken_judge_is_caught(judge, problem):
    with pytest.raises(ConformanceError) as error:
        check_judge(judge)
    assert problem in str(error.value) and "Why it matters: " in str(error.value)


def test_moods_are_caught_unless_the_judge_samples():
    def judge(asked, moods=itertools.cycle([True, False, False])):  # noqa: B008 - one cycle for all calls
        return words(asked) or (
            asked.candidate == "Tavor of Ruvia" and asked.golds == ("Tavor",) and next(moods)
        )

    def both_orders_unknown(asked):
        return None if "Tavor of Ruvia" in asked.golds else judge(asked)

    with pytest.raises(ConformanceError, match="one verdict for 'Tavor of Ruvia'"):
        check_judge(both_orders_unknown)
    check_judge(both_orders_unknown, deterministic=False)


def test_a_judge_that_knows_little_passes_if_that_is_said():
    check_judge(silent, knows_same_text=False)


class InBatches:
    def __init__(self, judge, extra=0):
        self.judge, self.extra = judge, extra

    def judge_batch(self, requests):
        return [self.judge(request) for request in requests] + [True] * self.extra


def exact(asked):
    return exact_match(asked.candidate, asked.golds)


def test_a_judge_of_batches_is_asked_in_batches():
    check_judge(InBatches(exact))
    with pytest.raises(ConformanceError, match="expected one verdict from judge_batch for one request"):
        check_judge(InBatches(exact, extra=1))
    with pytest.raises(ConformanceError, match=r"other answer: expected False or None"):
        check_judge(InBatches(lambda asked: True))


@pytest.mark.parametrize("wrong", [InBatches, "gpt"])
def test_what_cannot_be_asked_is_no_judge(wrong):
    with pytest.raises(ConformanceError, match="methods: expected a function of a Judge request"):
        check_judge(wrong)
