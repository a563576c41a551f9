"""Verdicts: asked for once, kept, and unknown where the judge fails."""

import pytest

from baselines.evaluation.judging import ask_judge, key_of, verdict_on
from tests.baselines.evaluation.sets import answer


class Counting:
    def __init__(self, verdict=True):
        self.asked = []
        self.verdict = verdict

    def __call__(self, request):
        self.asked.append(request)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


ANSWERS = [
    answer(0),
    answer(1, False),
    answer(1, False, attempt=1),
    answer(2, answer=" "),
    answer(3, failure="x"),
]


def test_only_wrong_answers_are_asked_about_and_each_once():
    judge = Counting()
    verdicts = ask_judge("j", judge, ANSWERS)
    assert [(request.question, request.candidate, request.golds) for request in judge.asked] == [
        ("Question 1?", "blue", ("yes it is",))
    ]
    assert [verdict_on(one, verdicts) for one in ANSWERS[:4]] == [1.0, 1.0, 1.0, 0.0]


def test_verdicts_are_kept_by_judge_and_a_torn_line_is_asked_again(tmp_path):
    path = tmp_path / "out" / "verdicts.jsonl"
    ask_judge("j", Counting(), ANSWERS, path=path)
    silent = Counting(RuntimeError("not again"))
    assert ask_judge("j", silent, ANSWERS, path=path) == {key_of(ANSWERS[1]): True} and not silent.asked
    other = Counting(False)
    assert ask_judge("other", other, ANSWERS, path=path) == {key_of(ANSWERS[1]): False}
    path.write_text(path.read_text().splitlines()[0][:-5])
    fresh = Counting()
    ask_judge("j", fresh, ANSWERS, path=path)
    assert len(fresh.asked) == 1
    assert ask_judge("j", Counting(RuntimeError("no")), ANSWERS, path=path) == {key_of(ANSWERS[1]): True}


async def later(request):
    if request.candidate == "blue":
        raise TimeoutError("too slow")
    return False


class Batch:
    def judge_batch(self, requests):
        return [None if request.candidate == "blue" else False for request in requests]


@pytest.mark.parametrize("judge", [later, Batch()])
def test_a_judge_of_any_kind_may_fail_on_one_answer(judge):
    answers = [answer(0, False), answer(1, answer="green")]
    failures = []
    verdicts = ask_judge("j", judge, answers, on_failure=failures.append)
    assert [verdict_on(one, verdicts) for one in answers] == [None, 0.0]
    assert all("too slow" in failure for failure in failures)


def test_what_a_judge_raises_is_told():
    failures = []
    assert ask_judge("j", Counting(ValueError("bad key")), ANSWERS, on_failure=failures.append) == {}
    assert failures and "bad key" in failures[0]
