import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.scoring import parse_verdict


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Correct", True),
        ("correct.", True),
        (" \nCORRECT!\n", True),
        ("**Correct**", True),
        ("_correct_", True),
        ('"Correct"', True),
        ("Verdict: Correct", True),
        ("**Final verdict:** correct", True),
        ("Judgement: Correct", True),
        ("Judgment - Correct", None),
        ("Wrong", False),
        ("wrong.", False),
        ("Incorrect", False),
        ("incorrect.", False),
        ("Not correct.", False),
        ("NOT CORRECT", False),
        ("Result: incorrect", False),
        ("", None),
        ("   ", None),
        ("Correct or wrong", None),
        ("Correct. Wrong.", None),
        ("Not wrong", None),
        ("not incorrect", None),
        ("The answer is correct", None),
        ("Correct, because both name the city.", None),
        ("Correctly", None),
        ("incorrectly", None),
        ("notcorrect", None),
        ("yes", None),
        ("1", None),
        ("Verdict:", None),
    ],
)
def test_verdict(reply, verdict):
    assert parse_verdict(reply) is verdict


def test_a_long_reply_is_read_in_linear_time():
    # Quadratic backtracking would take minutes.
    for filler in (":", "_", " ", "*:", "answer:"):
        assert parse_verdict("answer" + filler * 200_000 + "x") is None


@given(st.text())
def test_any_reply_has_a_defined_verdict(reply):
    assert parse_verdict(reply) in (True, False, None)
    # No reply that says the opposite, too, is a verdict.
    assert parse_verdict(f"{reply} correct wrong") is None
