"""Prompts and rules cannot disagree: a prompt tells every rule that is on, in its numbers, and no other."""

import re
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import PROTOCOLS, Budget, GameConfig, Task
from ssp_env.game.config import PROMPT_STYLES
from ssp_env.game.leak_forms import LEAK_FORMS
from ssp_env.game.outcome import REASON_CODES
from ssp_env.game.prompts import prompt_style
from ssp_env.game.prompts.demonstrations import DRAWN, FEW_SHOT
from ssp_env.game.rules import RULE_CODES, first_violation

TELLING = [name for name in PROMPT_STYLES if name != "terse"]
FORMS = {
    "inflection": ("inflected", "Tavors"),
    "derivation": ("as an adjective or an inhabitant", "Tavorian"),
    "surname": ("by a surname alone", "Lovelace"),
    "numbers": ("with a number written otherwise", "two thousand and nineteen"),
    "split": ("with spaces in it", "Ta vor"),
    "first_letters": ("by first letters of words", "the autumn victory of Ruvia"),
    "leetspeak": ("with digits or signs for letters", "T4v0r"),
    "reversed": ("spelled backwards", "rovaT"),
    "rot13": ("in rot13", "Gnibe"),
    "shifted": ("with its letters shifted", "Wdyru"),
    "base64": ("in base64", "VGF2b3I="),
    "codes": ("in codes of its letters", "5461766f72"),
    "morse": ("in Morse code", "- .- ...- --- .-."),
}
BUDGETS = st.builds(
    Budget,
    max_searches=st.integers(0, 1200),
    max_turns=st.integers(1, 1200),
    retries=st.integers(0, 3),
    max_tokens=st.none() | st.integers(1, 10**6),
)


@st.composite
def configs(draw):
    least = draw(st.integers(0, 2000))
    return GameConfig(
        protocol=draw(st.sampled_from(sorted(PROTOCOLS))),
        prompts=draw(st.sampled_from(TELLING)),
        top_k=draw(st.integers(1, 20)),
        proposer=draw(BUDGETS),
        solver=draw(BUDGETS),
        min_searches=draw(st.integers(0, 5)),
        hop_check=draw(st.sampled_from(["off", "at_least", "exact"])),
        min_question_chars=least,
        max_question_chars=draw(st.integers(least, 5000)),
        min_question_words=draw(st.integers(0, 30)),
        leak_forms=draw(st.sets(st.sampled_from(LEAK_FORMS))),
        answer_in_search=draw(st.booleans()),
        self_contained=draw(st.booleans()),
        max_similarity=draw(st.none() | st.sampled_from([0.0, 0.25, 0.333, 0.8, 1.0])),
        rag_check=(rag_check := draw(st.booleans())),
        quote_check=draw(st.sampled_from(["off", "any", "per_hop"])) if rag_check else "off",
        noise_passages=draw(st.integers(0, 9)),
        noise_unit=draw(st.sampled_from(["passage", "evidence"])),
        closed_book=draw(st.booleans()),
        uniqueness=draw(st.booleans()),
    )


class Telling(NamedTuple):
    """How a rule must read: a pattern whose groups are its numbers, whether it is on, and the numbers."""

    pattern: str
    active: bool = True
    numbers: tuple[int | float, ...] = ()


def with_noise(config, lead):
    """The pattern of what a reader reads, and its numbers."""
    if not config.noise_passages:
        return rf"{lead} the passages that you found(?! and)", ()
    unit = "other" if config.noise_unit == "passage" else "other game"
    those = "" if config.noise_unit == "passage" else "those of "
    return rf"{lead} the passages that you found and {those}at most # {unit}(?:s|(?<=1 {unit})) among them", (
        config.noise_passages,
    )


def with_forms(config, lead):
    """The pattern of what a text may not name, and in which forms."""
    listed = ", ".join(phrase for form, (phrase, _) in FORMS.items() if form in config.leak_forms)
    not_even = ", not even " + " or ".join(listed.rsplit(", ", 1)) if listed else ""
    return rf"{lead}{not_even}\."


def rules_told(config, hops):
    """Every reason for which a proposal can be thrown out, and how the proposer must be told."""
    readings = with_noise(config, "recovers the answer from")
    listing = with_noise(config, "lists every answer that fits, from")
    hop_words = {"off": "(?:exactly|at least)", "at_least": "at least", "exact": "exactly"}[config.hop_check]
    return {
        "malformed": Telling(
            r"# turns? without a complete action (?:is|are) forgiven; with one more you forfeit",
            config.proposer.retries > 0,
            (config.proposer.retries,),
        ),
        "turn_limit": Telling(r"You have # turns?, (?:each|which)", True, (config.proposer.max_turns,)),
        "token_limit": Telling(
            r"You may write # tokens? over all turns",
            config.proposer.max_tokens is not None,
            (config.proposer.max_tokens,),
        ),
        "too_short": Telling(
            "question has at least # characters?", config.min_question_chars > 0, (config.min_question_chars,)
        ),
        "too_long": Telling("question has at most # characters?", True, (config.max_question_chars,)),
        "too_few_words": Telling(
            "question has at least # words?", config.min_question_words > 0, (config.min_question_words,)
        ),
        "answer_leak": Telling(
            with_forms(config, r'contains neither the answer nor another name of it \("Lady Tavor"\)')
        ),
        "about_documents": Telling(
            "does not speak of documents or passages that somebody was given", config.self_contained
        ),
        "no_evidence": Telling("Your searches have found something", config.min_searches > 0),
        "too_few_searches": Telling(
            r"You have made at least # search(?:es)? that found something\.",
            config.min_searches > 0,
            (config.min_searches,),
        ),
        "repeated_search": Telling("All your searches are different"),
        "answer_in_search": Telling(
            with_forms(config, "No search contains the answer or another name of it"),
            not config.answer_in_search,
        ),
        "wrong_hop_count": Telling(
            rf"You have made {hop_words} # search(?:es)?, as many as there are hops",
            config.hop_check != "off",
            (hops,),
        ),
        "near_duplicate": Telling(
            "of all words in it and in an earlier one, at most # % are in both",
            config.max_similarity is not None and config.max_similarity < 1,
            (100 * (config.max_similarity or 0),),
        ),
        "no_reading": Telling(readings[0], config.rag_check, readings[1]),
        "not_recovered": Telling(readings[0], config.rag_check, readings[1]),
        "unquoted": Telling(
            "The reader proves the answer by at least # facts? copied",
            config.quote_check != "off",
            (hops if config.quote_check == "per_hop" else 1,),
        ),
        "misquoted": Telling(
            "Every fact that the reader copies stands word for word in one of these passages",
            config.quote_check != "off",
        ),
        # What a second reading asks for is what the first one asks for.
        "not_confirmed": Telling(readings[0], config.rag_check, readings[1]),
        "closed_book": Telling("A reader who sees no passage does not find", config.closed_book),
        "not_unique": Telling(listing[0], config.uniqueness, listing[1]),
    }


def preamble(style, config, role, hops=2):
    """What a prompt says of the rules: the whole of it, or what stands before the demonstrations."""
    opened = prompt_style(style)
    if role == "proposer":
        messages = opened.proposer(config, Task("Tavor", aliases=("Lady Tavor",), hops=hops))
        first_task = "\n\nAnswer: "
    else:
        messages, first_task = opened.solver(config, "Who is it?"), "\n\nQuestion: "
    if style == "english":
        return "\n".join(message.content for message in messages)
    return messages[0].content.partition(first_task)[0]


def found(pattern, text):
    """The numbers of every place that the pattern matches."""
    matches = re.finditer(pattern.replace("#", r"([\d.,]*\d)"), text)
    return [tuple(float(number.replace(",", "")) for number in match.groups()) for match in matches]


@given(configs(), st.integers(1, 20))
def test_every_rule_that_is_on_is_told_in_its_own_numbers_and_no_other(config, hops):
    told = preamble(config.prompts, config, "proposer", hops)
    for code, (pattern, active, numbers) in rules_told(config, hops).items():
        expected = [tuple(map(pytest.approx, map(float, numbers)))] if active else []
        assert found(pattern, told) == expected, code


@given(configs())
def test_a_form_of_the_answer_is_refused_where_the_prompt_tells_it_and_nowhere_else(config):
    told = preamble(config.prompts, config, "proposer")
    golds = ["Tavor", "Ada Lovelace", "2019"]
    form = replace(
        config, min_question_chars=0, max_question_chars=5000, min_question_words=0, min_searches=0,
        hop_check="off", max_similarity=None,
    )  # fmt: skip
    for phrase, name in FORMS.values():
        asked = f"Who met {name} there?"
        refused = first_violation(asked, golds, [], [], form) == "answer_leak"
        searched = first_violation("Who was there?", golds, [asked], [], form) == "answer_in_search"
        assert refused == (phrase in told), phrase
        assert searched == (refused and not config.answer_in_search), phrase


def test_the_table_has_every_form():
    assert tuple(FORMS) == LEAK_FORMS


def test_the_table_has_every_reason_by_which_a_proposal_can_be_thrown_out():
    told = rules_told(GameConfig(), 2)
    assert set(told) == set(REASON_CODES) - {"solved", "unsolved", "error"}
    assert set(RULE_CODES) <= set(told)


@given(configs())
def test_limits_are_told_to_both_players(config):
    for role, budget in (("proposer", config.proposer), ("solver", config.solver)):
        told = preamble(config.prompts, config, role)
        final = "question" if role == "proposer" else "answer"
        expected = [(float(budget.max_searches),)] if budget.max_searches else []
        assert found("At most # search(?:es)? (?:is|are) carried out", told) == expected
        assert ("No search is carried out" in told) == (budget.max_searches == 0)
        returned = [(float(config.top_k),)] if budget.max_searches else []
        assert found("returns at most # passages?", told) == returned
        assert found("You have # turns?, ", told) == [(float(budget.max_turns),)]
        assert f"write the {final} in " in told
        expected = [] if budget.max_tokens is None else [(float(budget.max_tokens),)]
        assert found("You may write # tokens? over all turns", told) == expected
        assert ("With a turn without a complete action you forfeit" in told) == (budget.retries == 0)


@given(configs())
def test_numbers_agree_with_their_nouns(config):
    for role in ("proposer", "solver"):
        told = preamble(config.prompts, config, role)
        for number, noun in re.findall(
            r"(?<![\d.,])(\d[\d,]*) (character|word|search|turn|token|passage|fact|other game)(?!\w)", told
        ):
            assert number == "1", f"{number} {noun}"
        assert not re.search(
            r"(?<![\d.,])1 (characters|words|searches|turns|tokens|passages|facts|others|other games)\b", told
        )


@pytest.mark.parametrize("style", TELLING)
def test_a_proposer_who_need_not_search_is_told_so(style):
    for config in (GameConfig(min_searches=0), GameConfig(min_searches=0).with_budget(max_searches=0)):
        assert "No search is needed." in preamble(style, config, "proposer")
        assert "No search is needed." not in preamble(style, config, "solver")
        hops = replace(config, hop_check="at_least")
        assert "No search is needed." not in preamble(style, hops, "proposer")
    assert "No search is needed." not in preamble(style, GameConfig(), "proposer")


@given(configs())
def test_examples_keep_the_form_that_the_rules_ask_for(config):
    form = replace(config, prompts="english", min_searches=0, hop_check="off")
    told = preamble("english", form, "proposer")
    shown = re.findall(r"^N = \d: (.*)$", told, re.MULTILINE)
    assert all(first_violation(question, [], [], [], form) is None for question in shown)
    assert ("Questions of the right kind" in told) == bool(shown)
    assert told.count("for example") == bool(shown)


@pytest.mark.parametrize("style", [FEW_SHOT, DRAWN], ids=["few_shot", "drawn"])
@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"hop_check": "exact", "max_similarity": 0.5}, True),
        ({"min_searches": 3}, False),
        ({"min_question_words": 60}, False),
        ({"max_question_chars": 40}, False),
        ({"answer_in_search": False}, False),
        ({"top_k": 2}, False),
        ({"proposer": Budget(max_turns=2)}, False),
        ({"proposer": Budget(max_searches=1)}, False),
    ],
)
def test_demonstrations_that_break_the_rules_are_shown_only_if_all_do_and_called_so(style, change, kept):
    config = GameConfig(**change)
    (message,) = style.proposer(config, Task("Tavor"))
    assert ("They were played by other rules." in message.content) is not kept
    assert all(one.keeps(config, "question") is kept for one in style.demonstrations)
    assert all(one.question in message.content for one in style.demonstrations)


def test_demonstrations_that_keep_the_rules_are_preferred():
    words = sorted(len(one.question.split()) for one in FEW_SHOT.demonstrations)
    config = GameConfig(min_question_words=words[-1])
    (message,) = FEW_SHOT.proposer(config, Task("Tavor"))
    shown = [one for one in FEW_SHOT.demonstrations if one.question in message.content]
    assert 0 < len(shown) < len(FEW_SHOT.demonstrations)
    assert all(len(one.question.split()) == words[-1] for one in shown)
    assert "other rules" not in message.content


def test_a_solver_is_shown_games_within_its_own_limits():
    (message,) = FEW_SHOT.solver(GameConfig(solver=Budget(max_turns=2)), "Who?")
    assert [one.answer for one in FEW_SHOT.demonstrations if one.question in message.content] == [
        "Ines Duarte"
    ]


@pytest.mark.parametrize("style", TELLING)
def test_of_hundreds_of_aliases_ten_are_named_and_the_rest_counted(style):
    task = Task("Tavor", aliases=tuple(f"Lady {number}" for number in range(312)))
    told = "\n".join(message.content for message in prompt_style(style).proposer(GameConfig(), task))
    assert '"Lady 9" and 302 more)' in told and "Lady 10" not in told
