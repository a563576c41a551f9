"""Answers of which normalising leaves nothing are compared as they were before."""

import pytest

from ssp_env.scoring import exact_match, f1_score


@pytest.mark.parametrize(
    ("said", "gold"), [(".", "A"), ("the", "A"), ("...--", "....-"), ("?", "!!!"), ("an", "The The")]
)
def test_different_answers_are_not_the_same(said, gold):
    assert not exact_match(said, gold) and f1_score(said, gold) == 0


@pytest.mark.parametrize(("said", "gold"), [("a", "A"), ("....-", "....-")])
def test_the_same_answer_is(said, gold):
    assert exact_match(said, gold) and f1_score(said, gold) == 1
