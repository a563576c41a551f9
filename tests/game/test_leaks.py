"""The answer in a question: disguises that are caught, disguises that are not, and honest questions."""

from time import thread_time

import pytest

from ssp_env.game.leaks import mentions

CAUGHT = {
    "en dash": "T–a–v–o–r",
    "minus": "Ta−vor",
    "middle dot": "T·a·v·o·r",
    "bullet": "Ta•vor",
    "typographic apostrophe": "Tavor’s",
    "apostrophe within": "Ta’vor",
    "acute accent alone": "Ta´vor",
    "emoji": "T😀a😀v😀o😀r",
    "emoji after it": "Tavor🙂who",
    "both cleanings": "T-a-v-o-r/who",
    "both cleanings within": "who/Ta.vor-then",
    "enclosing circles": "T\u20dda\u20ddv\u20ddo\u20ddr\u20dd",
    "marks of another block": "T\u1ab0a\u1dc0v\ufe20o\u20d0r",
    "Thai mark": "T\u0e31avor",
    "voiced kana mark": "Ta\u3099vor",
    "braille blank": "T\u2800a\u2800v\u2800o\u2800r",
    "braille blank after it": "Tavor\u2800who",
    "zero width space after it": "Tavor\u200bwho",
    "filler after it": "who\u3164Tavor",
    "spaced": "T a v o r",
    "spaced by no-break spaces": "T\u00a0a\u00a0v\u00a0o\u00a0r",
    "spaced and dotted": "T. a. v. o. r.",
    "spaced widely": "T   a   v   o   r",
    "small capitals": "ᴛᴀᴠᴏʀ",
    "regional indicators": "🇹🇦🇻🇴🇷",
    "negative squares": "🆃🅰🆅🅾🆁",
    "stroked": "Ŧȧvøɍ",
    "mathematical": "𝒯𝖆𝔳𝙤𝚛",
    "superscript": "ᵀᵃᵛᵒʳ",
    "underscores": "_Tavor_",
    "markup": "**Ta**vor",
    "entity": "Tavor&amp;",
    "escaped line break": "Tavor\\nwho",
    "tags": "\U000e0061Ta\ufe0fvor",
}


@pytest.mark.parametrize("kind", CAUGHT)
def test_a_disguised_answer_is_caught(kind):
    assert mentions(f"Which town is {CAUGHT[kind]} and who rules it?", ["Tavor"])
    assert mentions(CAUGHT[kind], ["x", "TAVOR"])


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("AdaLovelace", "Ada Lovelace"),
        ("Ada\nLovelace", "Ada Lovelace"),
        ("A.d.a L.o.v.e.l.a.c.e", "Ada Lovelace"),
        ("A d a  L o v e l a c e", "Ada Lovelace"),
        ("Ada the Lovelace", "Ada Lovelace"),
        ("Lord of Rings", "The Lord of the Rings"),
        ("T h e B e a t l e s", "The Beatles"),
        ("B e a t l e s", "The Beatles"),
        ("Spider Man", "Spider-Man"),
        ("Spiderman", "Spider-Man"),
        ("U S A", "U.S.A."),
        ("U.S.A.", "USA"),
        ("深 圳", "深圳"),
        ("深·圳", "深圳"),
        ("in深圳?", "深圳"),
        ("ナツメ・ソウセキ", "ナツメソウセキ"),
        ("대 전", "대전"),
        ("หัวหิน", "หัวหิน"),
        ("वह दिल्‍ली में", "दिल्ली"),
        ("Is it ...---... ?", "...---..."),
        ("What does - mean?", "-"),
        ("What is 🎉?", "🎉"),
    ],
)
def test_an_answer_of_several_words_or_of_another_script_is_caught(text, gold):
    assert mentions(text, [gold])


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Tavorin", "Tavor"),
        ("Octavor", "Tavor"),
        ("Ta vor", "Tavor"),
        ("an other one", "Another"),
        ("in to it", "Into"),
        ("This is a test", "Hisis"),
        ("In 2019", "20"),
        ("1.9 million", "9.1"),
        ("Who is it?", "?"),
        ("well-known", "-"),
        ("any article at all", "the"),
        ("a the an", "The The"),
        ("राम कौन है", "र"),
        ("ใครอยู่", "ก"),
        ("Ma\u0301laga", "laga"),
        ("Which plan b c?", "plan b c d"),
        ("a b", "ab"),
    ],
)
def test_an_honest_question_is_none(text, gold):
    assert not mentions(text, [gold])


NOT_CAUGHT = {
    "inflection": "Tavors",
    "part of a name": "Lovelace",
    "one space within a word": "Ta vor",
    "reversed": "rovaT",
    "rot13": "Gnibe",
    "base64": "VGF2b3I=",
    "look-alikes of other scripts": "Таvоr",
    "digits for letters": "T4v0r",
    "turned letters": "ɹoʌɐT",
    "escapes": "&#84;avor",
    "Morse": "- .- ...- --- .-.",
    "letters between others": "xTxaxvxoxrx",
}


@pytest.mark.parametrize("kind", NOT_CAUGHT)
def test_what_is_documented_as_not_caught(kind):
    assert not mentions(f"Which town is {NOT_CAUGHT[kind]} ?", ["Tavor", "Ada Lovelace"])


def test_the_time_is_linear_in_the_text():
    start = thread_time()
    for unit in ("a", "a ", "a-", "\u0301", "\u200b", "北", "a b"):
        mentions(unit * 200_000, ["aaaaaaaaab", "a a a a a a b", "北京", "the a"])
    assert thread_time() - start < 20
