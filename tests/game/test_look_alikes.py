"""Letters that look like those of the answer: which are found, and honest questions of other scripts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.data import read_questions
from ssp_env.game import GameConfig
from ssp_env.game.disguises import latin, mentions_look_alike
from ssp_env.game.leaks import mentions
from ssp_env.game.rules import first_violation

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
RUSSIAN = (
    *("кто", "а", "в", "с", "о", "и", "но", "нет", "сто", "рок", "нос", "тот", "вот", "кот", "рот", "сор"),
    *("хор", "год", "мэр", "города", "который", "родился", "у", "реки"),
)
GREEK = (
    *("ποιος", "η", "ο", "το", "τον", "να", "και", "που", "είναι", "από", "την", "στο", "του", "με", "σε"),
    *("για", "ως", "γιος", "πόλη", "νησί", "ποταμός"),
)
ENGLISH = ["A", "B", "C", "O", "CTO", "Pot", "Bot", "Ho", "Tavor", "Ada Lovelace", "2019", "Boston", "Nyoto"]


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("T\u0430v\u043er", "Tavor"),
        ("\u03a4av\u03bfr", "Tavor"),
        ("T-\u0430-v-\u043e-r", "Tavor"),
        ("\u0410da Lov\u0435lace", "Ada Lovelace"),
        ("B\u03b5lin", "Belin"),
        ("Ir\u0430n or \u0406ran", "Iran"),
        ("\u0406ran", "Iran"),
        ("US\u0410", "USA"),
        ("\u0421\u0421\u0421\u0420", "CCCP"),
        ("CCCP", "\u0421\u0421\u0421\u0420"),
        ("Mo\u0441\u043aва", "Москва"),
        ("Ko\u043doda", "Kohoda"),
        ("T\u0251vor", "Tavor"),
        ("T\u13aavor", "Tavor"),
        ("\ua4d4av\u043er", "Tavor"),
    ],
)
def test_an_answer_in_letters_that_look_alike_is_found(text, gold):
    assert mentions_look_alike(f"Who met {text} there?", ["nothing", gold])
    assert not mentions(f"Who met {text} there?", [gold])
    lenient = GameConfig(min_question_words=1, min_searches=0)
    assert first_violation(f"Who met {text} there?", [gold], [], [], lenient) == "answer_leak"


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Is a tall man Tavorin, or Octavor?", "Tavor"),
        ("\u0422\u0430\u0432\u043e\u0440", "Tavor"),
        ("Was it \u00deora?", "Pora"),
        ("\u0431\u0435\u0440\u0435\u0433", "Bepe"),
        ("Is it 2\u043e19?", "2O19x"),
        ("在USA的城市", "US"),
    ],
)
def test_other_words_are_not(text, gold):
    assert not mentions_look_alike(text, [gold])


@given(st.lists(st.sampled_from(RUSSIAN), min_size=1, max_size=20), st.sampled_from(ENGLISH))
def test_honest_questions_in_russian_stay(words, gold):
    assert not mentions_look_alike(" ".join(words), [gold])


@given(st.lists(st.sampled_from(GREEK), min_size=1, max_size=20), st.sampled_from(ENGLISH))
def test_honest_questions_in_greek_stay(words, gold):
    assert not mentions_look_alike(" ".join(words), [gold])


@given(st.text(st.characters(max_codepoint=0x24F), max_size=60), st.text(max_size=20))
def test_words_in_latin_letters_are_what_they_are(text, gold):
    assert latin(text) == text
    assert not mentions_look_alike(text, [gold]) or mentions(latin(text), [latin(gold)])


@pytest.mark.skipif(not DATA.exists(), reason="needs the questions of ../shared/data")
@pytest.mark.parametrize("name", ["nq_dev_300", "hotpotqa_dev_200"])
def test_no_question_that_people_asked_is_refused(name):
    for asked in read_questions(DATA / f"{name}.jsonl"):
        golds = (asked.answer, *asked.aliases)
        assert mentions(asked.question, golds) or not mentions_look_alike(asked.question, golds)
