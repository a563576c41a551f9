"""One text in many code points and scripts: what counts as a word, and what is the same text."""

import unicodedata
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.scoring.words import count_words, fold, pair_characters, searchable, split_words

SAME = {
    "composed and decomposed": ("Málaga", unicodedata.normalize("NFD", "Málaga")),
    "full width": ("Ａｐｏｌｌｏ１３", "Apollo13"),
    "ligature": ("Griﬃth", "Griffith"),
    "soft hyphen": ("Donau\u00addampf", "Donaudampf"),
    "zero width": ("Mekong\u200b\u2060", "Mekong"),
    "Turkish dotted capital": ("İzmir", "izmir"),
    "Turkish dotless letter": ("Diyarbakır", "diyarbakir"),
    "Arabic vowel marks": ("مُحَمَّد", "محمد"),
    "Arabic stretched": ("محـــمد", "محمد"),
    "Hebrew points": ("שָׁלוֹם", "שלום"),
    "direction marks": ("\u202bחיפה\u202c", "חיפה"),
    "half-width kana": ("ﾀﾞﾑ", "ダム"),
    "Korean jamo": (unicodedata.normalize("NFD", "부산"), "부산"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_code_points_make_no_difference(one, other):
    assert fold(one) == fold(other)


def test_sharp_s_is_two_letters():
    assert fold("Gießen") == fold("GIESSEN")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("two words", ["two", "words"]),
        ("東京タワーは1958年", ["東", "京", "タ", "ワ", "ー", "は", "1958", "年"]),
        ("สี่", ["สี่"]),
        ("한강은 길다", ["한", "강", "은", "길", "다"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("", []),
    ],
)
def test_words(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("state-of-the-art - yes ?", 2),
        (" . , \u2026 \u00ad", 0),
        ("1986年出版的小说，作者是谁？", 11),
        ("누가 이 책을 썼습니까?", 4),
        ("", 0),
    ],
)
def test_word_counts(text, count):
    assert count_words(text) == count


@given(st.text(st.characters(max_codepoint=0x17F)))
def test_latin_words_are_counted_at_spaces(text):
    words = [word for word in text.split() if any(unicodedata.category(sign)[0] in "LN" for sign in word)]
    assert count_words(text) == len(words)
    assert split_words(text) == text.split()


@given(st.text())
def test_any_text_is_unified_once_and_searchable(text):
    for singles in (True, False):
        assert searchable(text, singles=singles).isascii() or not text.isascii()


def test_pairs_overlap_and_single_characters_stay():
    assert pair_characters("東京都 山").split() == ["東京", "京都", "山"]
    assert pair_characters("東京都", singles=True).split() == ["東京", "京都", "東", "京", "都"]
    assert pair_characters(fold("がぎ")).split() == ["がぎ"]


def test_a_tower_of_marks_takes_linear_time():
    marks = "a" + "\u0323\u0301\u05b0\u064e" * 50_000
    start = perf_counter()
    for function in (fold, split_words, count_words, pair_characters):
        function(marks)
    searchable(marks, singles=True)
    assert perf_counter() - start < 10
