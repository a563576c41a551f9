"""Escapes in questions: which are read out, and texts that have none."""

from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import GameConfig
from ssp_env.game.disguises import unescaped
from ssp_env.game.rules import first_violation

WAYS = {
    "decimal references": "".join(f"&#{ord(sign)};" for sign in "Tavor"),
    "references without semicolons": "".join(f"&#{ord(sign)} " for sign in "Tavor"),
    "hexadecimal references": "".join(f"&#x{ord(sign):X};" for sign in "Tavor"),
    "a named reference": "Tav&oacute;r",
    "percent signs": "".join(f"%{ord(sign):02X}" for sign in "Tavor"),
    "percent signs twice": "".join(f"%25{ord(sign):02x}" for sign in "Tavor"),
    "an escaped reference": "&amp;#84;avor",
    "JSON": "".join(f"\\u{ord(sign):04x}" for sign in "Tavor"),
    "Python": "".join(f"\\x{ord(sign):02x}" for sign in "Tavor"),
    "long Python": "".join(f"\\U{ord(sign):08x}" for sign in "Tavor"),
    "JavaScript": "".join(f"\\u{{{ord(sign):x}}}" for sign in "Tavor"),
    "code points": " ".join(f"U+{ord(sign):04X}" for sign in "Tavor"),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_escaped_answer_is_refused(way):
    lenient = GameConfig(min_question_words=1, min_searches=0)
    assert first_violation(f"Who met {WAYS[way]} there?", ["Tavor"], [], [], lenient) == "answer_leak"
    strict = GameConfig(min_question_words=1, min_searches=0, answer_in_search=False)
    arguments = (["Tavor"], [f"who is {WAYS[way]}"], [], strict)
    assert first_violation("Who was it then?", *arguments) == "answer_in_search"


def test_other_forms_are_looked_for_in_what_is_read_out():
    forms = GameConfig(min_question_words=1, min_searches=0, leak_forms=["reversed"])
    assert first_violation("Who met %72ovaT there?", ["Tavor"], [], [], forms) == "answer_leak"


@given(st.text(st.characters(exclude_characters="%&\\+"), max_size=80))
def test_a_text_without_signs_of_escapes_stays(text):
    assert unescaped(text) == text


@pytest.mark.parametrize(
    "text",
    ["AT&T in 5 % of all", "R&D;", "&#0;", "&#x110000;", "&#" + "9" * 5000 + ";", "%", "%4", "\\u12", "U+1F",
     "a+b", "C:\\new", "&zzzz;"],
)  # fmt: skip
def test_what_is_no_escape_stays(text):
    assert unescaped(text) == text


def test_the_time_is_linear_in_the_text():
    start = thread_time()
    for unit in ("&", "&#", "&#x", "%", "%25", "\\", "\\u", "&amp;", "&aaaaaaaa", "U+", "&#9"):
        unescaped(unit * (500_000 // len(unit)))
    assert thread_time() - start < 20
