"""Other forms of an answer: what each finds, what it does not, and that rules take them from the config."""

import json
import sys

import pytest

from ssp_env.game import Game, GameConfig, Task
from ssp_env.game.leak_forms import LEAK_FORMS, names_in_form
from ssp_env.game.leaks import mentions
from ssp_env.game.rules import first_violation
from tests.game.doubles import QUESTION

FOUND = {
    "inflection": [
        ("Who met the Tavors?", "Tavor"),
        ("Which city has a Beatle?", "The Beatles"),
        ("Who likes Távo\u200brs most?", "Tavor"),
        ("Wer sah die Ponys?", "Pony"),
        ("Кто родился в Москве?", "Москва"),
        ("Кто читал Толстого?", "Толстой"),
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
