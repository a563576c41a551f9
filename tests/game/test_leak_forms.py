"""Other forms of an answer: what each finds, what it does not, and that rules take them from the config."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.data import read_questions
from ssp_env.game import Game, GameConfig, Task
from ssp_env.game.leak_forms import LEAK_FORMS, names_in_form
from ssp_env.game.leaks import mentions
from ssp_env.game.rules import first_violation
from tests.game.doubles import QUESTION

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
WORDS = (
    *("who", "was", "the", "mother", "of", "mayor", "harbour", "town", "where", "in", "born", "lived", "and"),
    *("which", "year", "did", "first", "win", "1984", "20-1", "a", "B12", "to", "river", "between", "that"),
    *("wrote", "song", "-", "...", "(1999)", "its", "capital", "played", "for", "with", "on", "from", "MP3"),
    *(
        "Napoleon",
        "Atlantic",
        "King",
        "league",
        "episode",
        "season",
        "2:30",
        "50%",
        "A-Z",
        "is",
        "as",
        "U.S.",
    ),
)
NAMES = (
    "Berlin",
    "Ada Lovelace",
    "Mexico",
    "Queen Victoria",
    "2019",
    "The Beatles",
    "Kilimanjaro",
    "Oslo Fjord",
)
FOUND = {
    "inflection": [
        ("Who met the Tavors?", "Tavor"),
        ("Which city has a Beatle?", "The Beatles"),
        ("Who likes Távo\u200brs most?", "Tavor"),
        ("Wer sah die Ponys?", "Pony"),
        ("Кто родился в Москве?", "Москва"),
        ("Кто читал Толстого?", "Толстой"),
    ],
    "derivation": [
        ("Who is the Tavorian mayor?", "Tavor"),
        ("Which Mexicans sang?", "Mexico"),
        ("Which Chilean sang?", "Chile"),
        ("Is it Japanese?", "JAPAN"),
        ("Who is a Tavorite?", "Tavor"),
        ("Is it chaplinesque?", "Chaplin"),
    ],
    "split": [
        ("Who met Ta vor?", "Tavor"),
        ("Who met Ta-v or's aunt?", "Tavor"),
        ("Is it Love lace, A da?", "Lovelace, Ada"),
    ],
    "first_letters": [
        ("Who won the autumn victory of Ruvia?", "Tavor"),
        ("Is it Tango Alfa Victor Oscar Romeo?", "Tavor"),
        ("Is it Oscar-Sierra-Lima-Oscar?", "Oslo"),
        ("T as in Tango, A as in Alfa, V as in Victor, O as in Oscar, R as in Romeo?", "Tavor"),
        ("T for tea; A for all; V for vim; O is for owl, R like rain", "Tavor"),
        ("Is it T wie Tag, A wie Amt, V wie Vogel, O wie Ost, R wie Rad?", "Tavor"),
    ],
    "leetspeak": [
        ("Who met T4v0r?", "Tavor"),
        ("Who met T@vor?", "Tavor"),
        ("Is it 4da L0velace?", "Ada Lovelace"),
        ("Is it Be1in or Berl1n?", "Berlin"),
        ("Is it $toc|<holm or $tockho1m", "Stockholm"),
    ],
    "shifted": [
        ("Who met Wdyru?", "Tavor"),
        ("Who met S-z-u-n-q?", "Tavor"),
        ("Who met Gzeli?", "Tavor"),
        ("Is it BEB MPWFMBDF?", "Ada Lovelace"),
    ],
    "codes": [
        ("Is it 5461766f72?", "Tavor"),
        ("Is it 54 61 76 6F 72?", "Tavor"),
        ("Is it 0x54 0x61 0x76 0x6f 0x72?", "Tavor"),
        ("Is it e58c97e4baace5b882e995bf?", "北京市长"),
        ("Is it 01010100 01100001 01110110 01101111 01110010?", "Tavor"),
        ("Is it 84 97 118 111 114?", "Tavor"),
        ("Is it 84, 97, 118, 111, 114?", "Tavor"),
        ("Is it 124 141 166 157 162?", "Tavor"),
        ("Is it 20-1-22-15-18?", "Tavor"),
    ],
    "morse": [
        ("Is it - .- ...- --- .-.?", "Tavor"),
        ("Is it -/.-/...-/---/.-. ?", "Tavor"),
        ("Is it – ·– ···– ––– ·–· ?", "Tavor"),
        ("Is it ..--- ----- .---- ----.", "2019"),
    ],
    "surname": [
        ("Who taught Lovelace?", "Ada Lovelace"),
        ("Who taught A. Lovelace?", "Ada Lovelace"),
        ("Who taught Lovelace, Ada?", "Ada  Lovelace"),
        ("Who painted with Gogh?", "Vincent van Gogh"),
        ("Who wrote of King?", "Martin Luther King Jr."),
        ("Who flew with O'Brien?", "Miles O’Brien"),
        ("Кто слышал Армстронга или Армстронг?", "Луи Армстронг"),
    ],
    "numbers": [
        ("Who was born in two thousand and nineteen?", "2019"),
        ("Who was born in Twenty-Nineteen?", "2019"),
        ("Who was born in nineteen oh five?", "1905"),
        ("Who was born in ٢٠١٩?", "2019"),
        ("Who was born in MMXIX?", "2019"),
        ("Which Louis 14 was that?", "Louis XIV"),
        ("Is it on the 21st?", "twenty-first"),
        ("Are there 7 of them?", "Seven"),
        ("One of " * 200 + "them is number two thousand and nineteen here", "2019"),
        ("x " * 31 + "two thousand and nineteen", "2019"),
        ("x " * 62 + "two thousand and nineteen", "2019"),
    ],
    "reversed": [
        ("Who met rovaT?", "Tavor"),
        ("Is it ecalevoL adA?", "Ada Lovelace"),
        ("r-o-v-a-t", "Tavor"),
    ],
    "rot13": [("Who met Gnibe?", "Tavor"), ("Is it NQN YBIRYNPR?", "Ada Lovelace")],
    "base64": [
        ("Who met VGF2b3I=?", "Tavor"),
        ("Who met VGF2b3I ?", "Tavor"),
        ("Is it dGhlIHRvd24gVGF2b3I now?", "Tavor"),
        ("Is it 5YyX5Lqs?", "北京"),
        ("Is it VGF2\u200bb3I=?", "Tavor"),
        ("Is it /VGF2b3I=?", "Tavor"),
    ],
}
HONEST = {
    "derivation": [
        ("Who met the Octavorian?", "Tavor"),
        ("Is anyone in Manchester?", "Man"),
        ("Which chinaware is it?", "China"),
        ("Is Romeo in Parish?", "Rome"),
        ("Is it 1990s or 1990ish?", "1990"),
    ],
    "split": [("Who went in to it?", "Into"), ("Is a tavo rich?", "Tavor"), ("Is it Ta", "Tavor")],
    "first_letters": [
        ("When was it?", "Wwi"),
        ("Which town is on the river of that valley?", "Tavor"),
        ("The aunt versus our uncle?", "Tavor"),
    ],
    "leetspeak": [
        ("Who won 7001 of them?", "Tool"),
        ("Is B12 a vitamin?", "Biz"),
        ("Is it tall?", "Tail"),
        ("Who met T4v0rson?", "Tavor"),
        ("It is 100 + 400 = 500!", "Loss"),
    ],
    "shifted": [("Is green a colour?", "Term"), ("What did Wdy say?", "Tav"), ("Who was it?", "Tavor")],
    "codes": [
        ("Who was born in 1984, 1997 or 2018?", "Tavor"),
        ("Is the fee added to decade or facade?", "Tavor"),
        ("Did they win 20-1, 22-15 or 18-3?", "Tavor"),
        ("Is it 1.2.3?", "Abc"),
    ],
    "morse": [("Was it ... or - - - or . . .?", "Tavor"), ("Is it -.- then?", "K"), ("a - b - c", "Tavor")],
    "inflection": [("Who met the Octavors?", "Tavor"), ("Is a university near?", "City"), ("", "")],
    "surname": [
        ("Who taught Ada?", "Ada Lovelace"),
        ("Which X is it?", "Malcolm X"),
        ("Which Henry is the VIII here?", "Charles VIII"),
        ("Who owns rings?", "The Lord of the Rings"),
        ("Which cup was won?", "2019 Cup"),
        ("Who met TAVORSON?", "Ada Tavor"),
    ],
    "numbers": [
        ("Who was born in two thousand and eighteen?", "2019"),
        ("Who am I?", "1"),
        ("IIII or IM or MIXER?", "4"),
        ("Who won twenty of nineteen?", "2019"),
    ],
    "reversed": [("Who was it?", "Saw"), ("What is drawn?", "Ward"), ("Is this none?", "No")],
    "rot13": [("What is green?", "Tare"), ("Is it nag?", "Ant")],
    "base64": [("Who lives in the harbour town?", "Tavor"), ("a ab abc abcd", "i"), ("====", "x")],
}


@pytest.mark.parametrize("form", LEAK_FORMS)
def test_a_form_finds_what_it_is_for_and_the_plain_rule_does_not(form):
    for text, gold in FOUND[form]:
        assert names_in_form(text, ["nothing else", gold], [form]), text
        assert not mentions(text, [gold]), text


@pytest.mark.parametrize("form", LEAK_FORMS)
def test_a_form_refuses_no_honest_question(form):
    for text, gold in HONEST[form]:
        assert not names_in_form(text, [gold], [form]), text


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=25), st.sampled_from(NAMES))
def test_no_form_refuses_words_of_honest_questions(words, gold):
    assert not names_in_form(
        " ".join(words) + "?", [gold], [form for form in LEAK_FORMS if form != "surname"]
    )


@pytest.mark.skipif(not DATA.exists(), reason="needs the questions of ../shared/data")
@pytest.mark.parametrize("name", ["nq_dev_300", "hotpotqa_dev_200"])
def test_no_form_but_surnames_refuses_a_question_that_people_asked(name):
    forms = [form for form in LEAK_FORMS if form != "surname"]
    for one in read_questions(DATA / f"{name}.jsonl"):
        golds = (one.answer, *one.aliases)
        assert mentions(one.question, golds) or not names_in_form(one.question, golds, forms), one.question


def test_no_form_finds_what_another_is_for():
    kinds = {(text, gold): form for form, pairs in FOUND.items() for text, gold in pairs}
    both = {
        text for (text, gold), own in kinds.items() if names_in_form(text, [gold], set(LEAK_FORMS) - {own})
    }
    # The stemmer of Arabic writes its digits as all digits are written.
    assert both == {"Who was born in ٢٠١٩?"}


def test_other_forms_of_a_surname_are_found_with_both():
    asked = {"inflection": "Lovelaces", "reversed": "ecalevol", "rot13": "Ybirynpr", "base64": "TG92ZWxhY2U="}
    for form, name in asked.items():
        assert names_in_form(f"Who met {name}?", ["Ada Lovelace"], ["surname", form])
        assert not names_in_form(f"Who met {name}?", ["Ada Lovelace"], [form])


@pytest.mark.parametrize("form", LEAK_FORMS)
def test_a_question_is_refused_by_the_forms_of_its_rules_alone(form):
    text, gold = FOUND[form][0]
    arguments = {"golds": [gold], "queries": ["a", "b"], "evidence": [], "fruitless": 0}
    lenient = {"min_question_words": 1, "min_searches": 0}
    others = [other for other in LEAK_FORMS if other != form]
    assert first_violation(text, **arguments, config=GameConfig(**lenient)) is None
    assert first_violation(text, **arguments, config=GameConfig(leak_forms=others, **lenient)) is None
    strict = GameConfig(leak_forms=[form], **lenient)
    assert first_violation(text, **arguments, config=strict) == "answer_leak"
    strict = GameConfig(leak_forms=[form], answer_in_search=False, **lenient)
    arguments["queries"] = [text, "b"]
    assert first_violation(QUESTION, **arguments, config=strict) == "answer_in_search"


def test_forms_are_plain_data_in_one_order():
    config = GameConfig(leak_forms=["base64", "surname", "base64"])
    assert config.leak_forms == ("surname", "base64")
    assert config == GameConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert GameConfig().changed({"leak_forms": ["rot13"]}).leak_forms == ("rot13",)
    game = Game(Task("Tavor"), config, rng=1)
    restored = Game.restore(json.loads(json.dumps(game.snapshot())))
    assert restored.config == config and restored.snapshot() == game.snapshot()


@pytest.mark.parametrize(
    ("forms", "message"),
    [
        (["rot-13"], "did you mean 'rot13'"),
        (["backwards"], "unknown form of leak_forms 'backwards'"),
        ("rot", "unknown form of leak_forms 'rot': did you mean 'rot13'"),
        ([3], "unknown form of leak_forms '3'"),
    ],
)
def test_an_unknown_form_is_refused(forms, message):
    with pytest.raises(ValueError, match=message):
        GameConfig(leak_forms=forms)


@pytest.mark.parametrize("value", ["rot13", 3, None, True])
def test_a_file_of_rules_lists_forms(value):
    with pytest.raises(ValueError, match="expected a value of type list for the rule leak_forms, got"):
        GameConfig().changed({"leak_forms": value})


def test_a_form_whose_library_is_missing_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "text_to_num", None)
    with pytest.raises(ValueError, match=r"leak_forms: .*pip install 'ssp-env\[leaks\]'"):
        GameConfig(leak_forms=["numbers"])
    assert GameConfig(leak_forms=["rot13"]).leak_forms == ("rot13",)


@pytest.mark.parametrize("form", LEAK_FORMS)
def test_no_text_and_no_answer_is_too_odd(form):
    odd = [
        "",
        " ",
        "\x00",
        "\ud800",
        "\u0301",
        "\u200b",
        "北",
        "MDCLXVI" * 9,
        "A'" * 99,
        "١" * 99,
        "=" * 9,
        "a" * 999,
    ]
    for text in odd:
        assert names_in_form(f"Is it {text} or Tavor?", [*odd, "Tavor"], [form]) in (True, False)
