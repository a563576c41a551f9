import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.scoring import cover_exact_match, exact_match, f1_score, normalize_answer


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("U.S.A.", "usa"),
        ("1,000", "1000"),
        ("a.b", "ab"),
        ("The  Eiffel\tTower\n", "eiffel tower"),
        ("an apple a day", "apple day"),
        ("Theatre of Athens", "theatre of athens"),
        # Punctuation goes before articles do.
        ("t.h.e. end", "end"),
        ("A-Team", "ateam"),
        ("the", ""),
        ("?!", ""),
        ("", ""),
        # Only ASCII punctuation is deleted; accents and other scripts stay.
        ("Café “Größe”", "café “größe”"),
        ("北京", "北京"),
    ],
)
def test_normalization(text, normalized):
    assert normalize_answer(text) == normalized


@given(st.text())
def test_normalization_is_clean(text):
    normalized = normalize_answer(text)
    assert not set(normalized) & set(string.punctuation)
    assert not {"a", "an", "the"} & set(normalized.split())
    assert normalized == " ".join(normalized.split())


@pytest.mark.parametrize(
    ("prediction", "gold", "same"),
    [
        ("U.S.A.", "usa", True),
        ("1,000", "1000", True),
        ("a.b", "ab", True),
        ("The Beatles", "beatles", True),
        ("  paris ", "Paris!", True),
        ("café", "cafe", False),
        ("Paris France", "France Paris", False),
        ("Paris", "Paris, France", False),
        ("", "Paris", False),
        ("10", "1.0", True),
    ],
)
def test_exact_match(prediction, gold, same):
    assert exact_match(prediction, gold) is same
    assert exact_match(gold, [prediction]) is same


def test_any_gold_will_do_and_none_matches_nothing():
    assert exact_match("nyc", ("New York", "NYC"))
    assert not exact_match("ny", ("New York", "NYC"))
    assert not exact_match("N", "New York")  # a string is one gold, not many characters
    assert not exact_match("x", [])


@pytest.mark.parametrize(
    ("prediction", "golds", "score"),
    [
        ("the Eiffel Tower", "eiffel tower", 1.0),
        ("tower of Paris", ["the Paris tower"], 0.8),
        ("one two", "one two three four", 2 / 3),
        ("x x y", "x y y", 2 / 3),
        ("Rome", ["Paris", "Rome Italy"], 2 / 3),
        ("Rome", "Paris", 0.0),
        ("", "Paris", 0.0),
        ("the", "a", 1.0),
        ("x", [], 0.0),
    ],
)
def test_f1_score(prediction, golds, score):
    assert f1_score(prediction, golds) == pytest.approx(score)


@pytest.mark.parametrize(
    ("prediction", "golds", "covered"),
    [
        ("It stands in Paris, France.", "Paris", True),
        ("The U.S.A. won", ["Canada", "usa"], True),
        ("in New York City", "New York", True),
        ("York is New", "New York", False),
        ("in 1920", "2", False),
        ("party", "art", False),
        ("anything", "the", False),
        ("", "the", False),
        ("", "Paris", False),
        ("Paris", [], False),
    ],
)
def test_cover_exact_match(prediction, golds, covered):
    assert cover_exact_match(prediction, golds) is covered


@given(st.text(), st.lists(st.text(), max_size=3))
def test_scores_agree_with_each_other(prediction, golds):
    score = f1_score(prediction, golds)
    assert 0 <= score <= 1
    if exact_match(prediction, golds):
        assert score == 1
    if cover_exact_match(prediction, golds):
        assert score > 0
