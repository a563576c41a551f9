"""Figures of answers made by hand: means, intervals, clusters, groups, and published averages."""

import pytest

from baselines.evaluation.figures import by_field, by_set, figures_of, mean_over_sets
from baselines.evaluation.judging import key_of
from baselines.evaluation.question_sets import AVERAGES
from ssp_env.scoring import wilson_interval
from tests.baselines.evaluation.sets import answer


def test_shares_and_their_wilson_intervals():
    found = figures_of([answer(n, n < 3) for n in range(10)])
    figure = found.by_name["exact_match"]
    assert (figure.value, figure.questions, figure.scorer) == (0.3, 10, "exact_match")
    assert (figure.low, figure.high) == pytest.approx(wilson_interval(3, 10))
    assert (found.questions, found.attempts, found.errors) == (10, 10, 0)


def test_every_figure_is_named_by_its_scorer():
    answers = [answer(n, n < 3, supporting=["a"], found=[["1", "a"]]) for n in range(4)]
    verdicts = {key_of(answers[3]): True}
    found = figures_of(answers, judge="chat:big", verdicts=verdicts)
    assert found.by_name["judge"].scorer == "exact match, else judge chat:big"
    assert found.by_name["judge"].value == 1.0 and found.by_name["exact_match"].value == 0.75
    assert all(figure.scorer for figure in found.by_name.values())
    assert "judge" not in figures_of(answers).by_name


def test_a_verdict_that_is_unknown_is_neither_right_nor_wrong():
    answers = [answer(0), answer(1, False), answer(2, False)]
    found = figures_of(answers, judge="j", verdicts={key_of(answers[1]): False})
    assert found.unjudged == 1
    assert (found.by_name["judge"].value, found.by_name["judge"].questions) == (0.5, 2)


def test_failed_attempts_count_in_no_share():
    answers = [answer(0), answer(1, failure="solver: gone"), answer(2, failure="solver: gone")]
    found = figures_of(answers)
    assert found.by_name["exact_match"].value == 1.0
    assert (found.questions, found.errors, found.failures) == (3, 2, {"solver: gone": 2})
    assert figures_of([answers[1]]).by_name["exact_match"].value is None


def test_attempts_at_one_question_are_one_cluster_and_questions_of_a_world_are_one():
    agree = [answer(n, n < 3, attempt=a) for n in range(6) for a in range(4)]
    figure = figures_of(agree).by_name["exact_match"]
    assert (figure.low, figure.high) == pytest.approx(wilson_interval(3, 6))
    alike = [answer(n, n < 30, world=f"w{n % 30 // 5 if n < 30 else 6 + n % 30 // 5}") for n in range(60)]
    spread = [answer(n, n < 30, world=f"w{n % 12}") for n in range(60)]
    by_world, mixed = (figures_of(answers).by_name["exact_match"] for answers in (alike, spread))
    assert by_world.high - by_world.low > 1.5 * (mixed.high - mixed.low)


def test_f1_never_pretends_to_know_more_than_exact_match():
    found = figures_of([answer(n, n < 3) for n in range(10)]).by_name
    assert (found["f1"].low, found["f1"].high) == (found["exact_match"].low, found["exact_match"].high)


def test_pass_at_k_over_questions():
    # One question is right in 1 of 4 attempts, the other in 4 of 4.
    answers = [answer(0, a == 0, attempt=a) for a in range(4)] + [answer(1, attempt=a) for a in range(4)]
    found = figures_of(answers).by_name
    assert [found[f"exact_match pass@{k}"].value for k in (1, 2, 4)] == [0.625, 0.75, 1.0]
    assert [found[f"exact_match pass^{k}"].value for k in (1, 2, 4)] == [0.625, 0.5, 0.5]
    assert not any("pass" in name for name in figures_of([answer(0)]).by_name)


def test_an_attempt_that_failed_leaves_its_question_out_of_larger_k():
    answers = [
        answer(0, attempt=0),
        answer(0, attempt=1, failure="x"),
        answer(1, attempt=0),
        answer(1, attempt=1),
    ]
    found = figures_of(answers).by_name
    assert found["exact_match pass@1"].questions == 2 and found["exact_match pass@2"].questions == 1


def test_recall_is_of_titles_or_of_ids_where_questions_name_them():
    titles = [answer(0, supporting=["A", "B"], found=[["9", "A"]]), answer(1)]
    figure = figures_of(titles).by_name["support_recall"]
    assert (figure.value, figure.questions, figure.scorer) == (0.5, 1, "supporting passages found, by title")
    ids = [answer(0, supporting=["9"], by_id=True, found=[["9", "A"]])]
    figure = figures_of(ids).by_name["support_recall"]
    assert (figure.value, figure.scorer) == (1.0, "supporting passages found, by id")
    assert "support_recall" not in figures_of([answer(0)]).by_name


def test_searches_are_means_with_intervals_around_them():
    figure = figures_of([answer(n, searches=n % 3) for n in range(9)]).by_name["searches"]
    assert figure.value == 1.0 and 0 < figure.low < 1 < figure.high < 2


# -- groups ------------------------------------------------------------------------------------------------


def test_fields_break_figures_down_and_numbers_are_in_order():
    answers = [answer(n, n % 2 == 0, fields={"hops": 10 if n > 3 else 2, "type": "x"}) for n in range(6)]
    found = by_field([*answers, answer(9)], "hops")
    assert list(found) == ["2", "10"] and [group.questions for group in found.values()] == [4, 2]
    with pytest.raises(ValueError, match=r"no question has the field 'hop'; the fields are hops, type"):
        by_field(answers, "hop")


PUBLISHED = {
    "NQ": 54.8, "TriviaQA": 73.4, "PopQA": 51.8, "HotpotQA": 51.8, "2Wiki": 38.8, "MuSiQue": 21.2,
    "Bamboogle": 54.4,
}  # fmt: skip
"""A published row; its averages are 60.0, 41.55 and 49.5."""


def test_averages_are_the_published_ones():
    answers = [
        answer(n, n < round(share * size / 100), set=name)
        for name, share in PUBLISHED.items()
        for size in [125 if name == "Bamboogle" else 500]
        for n in range(size)
    ]
    means = {label: figures["exact_match"] for label, figures in mean_over_sets(by_set(answers)).items()}
    assert list(means) == list(AVERAGES)
    assert means["general"].value == pytest.approx(0.600)
    assert means["multi-hop"].value == pytest.approx(0.4155)
    assert round(100 * means["all seven"].value, 1) == 49.5
    assert means["all seven"].questions == 3125
    # Seven independent sets: about a point of standard error.
    assert 0.015 < means["all seven"].high - means["all seven"].value < 0.025


def test_a_mean_that_is_not_complete_is_not_called_one():
    two = by_set([answer(0, set="NQ"), answer(0, False, set="HotpotQA")])
    assert list(mean_over_sets(two)) == ["mean of 2 sets"]
    assert mean_over_sets(two)["mean of 2 sets"]["exact_match"].value == 0.5
    assert mean_over_sets(by_set([answer(0)])) == {}
    three = by_set([answer(0, set=name) for name in AVERAGES["general"]])
    assert list(mean_over_sets(three)) == ["general", "mean of 3 sets"]
