"""Folding of disguises: what looks alike becomes alike, whatever the text, one character at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.scoring import fold_disguises, normalize_answer


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Tavor", "tavor"),
        ("\uff34\uff41\uff56\uff4f\uff52", "tavor"),
        ("Ta\u200b\u2060\u00advor\ufeff", "tavor"),
        ("naïve café Ångström", "naive cafe angstrom"),
        ("cafe\u0301", "cafe"),
        ("Straße", "strasse"),
        ("ﬁnal ½", "final 1⁄2"),
        ("a\u00a0b\tc\n", "a b\tc\n"),
        ("x²", "x2"),
        ("עברית नमस्ते", "עברית नमस्ते"),
        ("ΑΒΓ Тавор", "αβγ тавор"),
        ("a\U000e0041\ufe0fb", "ab"),
    ],
)
def test_disguises_are_folded(text, folded):
    assert fold_disguises(text) == folded


@given(st.text(), st.text())
def test_folding_goes_character_by_character_and_never_fails(first, second):
    assert fold_disguises(first) + fold_disguises(second) == fold_disguises(first + second)
    assert fold_disguises(fold_disguises(first)) == fold_disguises(first)


def test_scores_do_not_fold():
    assert normalize_answer("café") != normalize_answer("cafe")
