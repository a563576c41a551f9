"""Answers are normalised and compared, disguises folded, verdicts read, and intervals hold their coverage."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game.leaks import mentions
from ssp_env.scoring import (
    answer_forms,
    answer_key,
    cover_exact_match,
    exact_match,
    f1_score,
    normalize_answer,
    parse_verdict,
    substring_exact_match,
    wilson_interval,
)
from ssp_env.scoring.words import fold


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
        ("café", "cafe", True),
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
        ("the", "a", 0.0),
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


@pytest.mark.parametrize(
    ("prediction", "gold", "same"),
    [
        (",", "An", False),
        ("The", "An", False),
        ("a", "the a", False),
        ("..-.", "-.--", False),
        ("?!", "…", False),
        ("THE", "the", True),
        ("An.", "an", True),
        ("..-.", "..-.", True),
        (" ", "", True),
    ],
)
def test_answers_of_articles_or_punctuation_are_compared_as_they_are(prediction, gold, same):
    assert exact_match(prediction, gold) is exact_match(gold, prediction) is same
    assert (f1_score(prediction, gold) == 1) is same


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("Ma\u0301laga", "Málaga"),
        ("１９８４", "1984"),
        ("Donau\u00addampf", "Donaudampf"),
        ("İZMİR", "izmir"),
        ("GIESSEN", "Gießen"),
        ("مُحَمَّد", "محمد"),
        ("上海。", "上海"),
        ("“Ulysses”", "Ulysses"),
        ("1914–1918", "1914-1918"),
        ("8 1\x812 in", "8 12 in"),
        ("10,000", "10000"),
    ],
)
def test_code_points_and_punctuation_of_any_script_decide_nothing(prediction, gold):
    assert exact_match(prediction, gold)
    assert f1_score(gold, prediction) == 1


def test_words_of_unspaced_scripts_are_characters():
    assert f1_score("上海市", "上海") == pytest.approx(0.8)
    assert f1_score("南京", "上海") == 0
    assert cover_exact_match("書いたのは夏目漱石です。", "夏目漱石")
    assert cover_exact_match("부산은 항구다", "부산")
    assert cover_exact_match("เมืองหลวงคือกรุงเทพ", "กรุงเทพ")
    assert not cover_exact_match("書いたのは夏目です。", "漱石")
    assert cover_exact_match("1958年", "1958") and not cover_exact_match("1958年", "58")


def test_yes_and_no_share_nothing_with_longer_answers():
    assert f1_score("yes", "Yes.") == 1
    assert f1_score("yes it is", "yes") == f1_score("no", "no man's land") == f1_score("yes", "no") == 0
    assert f1_score("yes it is", ["yes", "it is"]) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("prediction", "gold", "whole_words", "anywhere"),
    [
        ("in 1920", "20", False, True),
        ("in Paris", "Paris", True, True),
        ("in Paris", "Rome", False, False),
        ("blood group A", "A", True, True),
        ("blood group B", "...", False, False),
        ("it says ..-. there", "..-.", True, True),
        ("anything", "", False, False),
    ],
)
def test_two_cover_matches(prediction, gold, whole_words, anywhere):
    assert cover_exact_match(prediction, gold) is whole_words
    assert substring_exact_match(prediction, gold) is anywhere


@given(st.text(), st.text())
def test_answers_are_the_same_if_their_keys_are(one, other):
    assert exact_match(one, other) is (answer_key(one) == answer_key(other))
    assert exact_match(one, one)


@given(st.text(string.printable))
def test_ascii_answers_are_normalised_as_in_squad(text):
    assert answer_forms(text)[0] == normalize_answer(text)


@given(st.text(), st.lists(st.text(), max_size=3))
def test_scores_agree_with_each_other(prediction, golds):
    score = f1_score(prediction, golds)
    assert 0 <= score <= 1
    if exact_match(prediction, golds):
        assert score == 1
    if cover_exact_match(prediction, golds):
        assert score > 0


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
    assert fold(text) == folded


@given(st.text(), st.text())
def test_folding_goes_character_by_character_and_never_fails(first, second):
    assert fold(first) + fold(second) == fold(first + second)
    assert fold(fold(first)) == fold(first)


def test_scores_fold_what_the_leak_test_folds_and_the_normalisation_of_squad_does_not():
    assert normalize_answer("café") != normalize_answer("cafe")
    for said, gold in (
        ("café", "cafe"),
        ("Łódź", "Lodz"),
        ("ᴛᴀᴠᴏʀ", "Tavor"),
        ("T\u20dda\u1ab0vor", "tavor"),
    ):
        assert exact_match(said, gold) and f1_score(said, gold) == 1 and mentions(f"Is {said} it?", [gold])


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
        ("❌ Correct", None),
        ("!Correct", None),
        ("~~Correct~~", None),
        ("¬correct", None),
        ("≠ correct", None),
        ("✅ Correct", True),
        ("✅ wrong", None),
        ("Correct!", True),
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


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_published_values(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_more_confidence_is_wider():
    low, high = wilson_interval(30, 100, confidence=0.99)
    assert low < wilson_interval(30, 100)[0] < 0.3 < wilson_interval(30, 100)[1] < high


def test_without_trials_nothing_is_known():
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 10**9).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_interval_holds_the_proportion_and_mirrors(counts):
    successes, trials = counts
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    assert (low == 0) == (successes == 0)
    assert (high == 1) == (successes == trials)
    mirrored = wilson_interval(trials - successes, trials)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(
    ("successes", "trials", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0), (1, 5, 0.0)]
)
def test_impossible_counts_and_confidences_are_refused(successes, trials, confidence):
    with pytest.raises(ValueError, match=r"successes must be|confidence must be"):
        wilson_interval(successes, trials, confidence)
