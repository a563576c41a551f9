"""Every rule of a valid question: a game that breaks only that rule ends with that rule's code."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import Task
from ssp_env.game.config import GameConfig
from ssp_env.game.leaks import mentions
from ssp_env.game.passage import Passage
from ssp_env.game.rules import RULE_CODES, first_violation, similarity
from tests.game.doubles import PROPOSAL, QUESTION, ended, new_game, outcome, propose, question, search

SEARCHES = PROPOSAL[:-1]
PAGE = Passage("p", "Page", "A page.")
NEARLY = "who is the mother of the mayor of the city where Belin has a home"
LONG = QUESTION + " " + "x" * 1000

BREAKING = {
    "too_short": (SEARCHES, "a b c d e f g h i j", {"min_question_chars": 20}),
    "too_long": (SEARCHES, LONG, {}),
    "too_few_words": (SEARCHES, "Who is the mother of the mayor of Corun?", {}),
    "answer_leak": (SEARCHES, QUESTION.replace("Belin", "TAVOR's aunt"), {}),
    "about_documents": (SEARCHES, QUESTION + " named in the documents above", {}),
    "no_evidence": ((search("nothing"), search("nil")), QUESTION, {}),
    "too_few_searches": ((search("belin"),), QUESTION, {}),
    "repeated_search": ((search("belin"), search("corun"), search("  BELIN ")), QUESTION, {}),
    "answer_in_search": ((*SEARCHES, search("who knows tavor")), QUESTION, {"answer_in_search": False}),
    "wrong_hop_count": (SEARCHES, QUESTION, {"hop_check": "exact"}),
    "near_duplicate": (SEARCHES, QUESTION, {"max_similarity": 0.7, "earlier": ("Belin?", NEARLY)}),
}


def test_every_rule_has_a_case():
    assert set(BREAKING) == set(RULE_CODES)


@pytest.mark.parametrize("code", RULE_CODES)
def test_breaking_one_rule_invalidates_the_question_with_its_code(code):
    searches, text, options = BREAKING[code]
    game = new_game(**options)
    propose(game, *searches, question(text))
    assert ended(game) == ("invalid", code)
    assert outcome(game).rewards == {"proposer_0": 0.0, "solver_0": 0.0}
    assert outcome(game).question == text
    assert outcome(game).success_rate is None


@pytest.mark.parametrize("code", RULE_CODES)
def test_the_same_game_is_valid_once_the_rule_is_relaxed(code):
    searches, text, options = BREAKING[code]
    relaxed = {
        "too_short": {"min_question_chars": 19},
        "too_long": {"max_question_chars": len(LONG)},
        "too_few_words": {"min_question_words": 9},
        "no_evidence": {"min_searches": 0},
        "too_few_searches": {"min_searches": 1},
        "about_documents": {"self_contained": False},
        "answer_in_search": {"answer_in_search": True},
        "wrong_hop_count": {"hop_check": "at_least"},
        "near_duplicate": {"max_similarity": 0.9},
    }
    if code == "answer_leak":
        text = QUESTION
    if code == "repeated_search":
        searches = searches[:2]
    game = new_game(**{**options, **relaxed.get(code, {})})
    propose(game, *searches, question(text))
    assert game.outcome is None
    assert game.phase == "verify"


def test_rules_are_tried_in_their_order():
    config = GameConfig(answer_in_search=False, min_question_chars=10, min_question_words=10)
    arguments = {"golds": ("Tavor",), "queries": ["tavor", "Tavor"], "evidence": [], "config": config}
    assert first_violation("Tavor?", **arguments) == "too_short"
    assert first_violation("Tavor " * 300, **arguments) == "too_long"
    assert first_violation("Who is Tavor?", **arguments) == "too_few_words"
    assert first_violation("Tavor " + QUESTION + " in the text below", **arguments) == "answer_leak"
    assert first_violation(QUESTION + " in the text below", **arguments) == "about_documents"
    assert first_violation(QUESTION, **arguments) == "no_evidence"
    arguments["evidence"] = [PAGE]
    assert first_violation(QUESTION, **{**arguments, "queries": ["tavor"]}) == "too_few_searches"
    assert first_violation(QUESTION, **arguments) == "repeated_search"
    assert first_violation(QUESTION, **{**arguments, "queries": ["tavor", "belin"]}) == "answer_in_search"
    assert first_violation(QUESTION, **{**arguments, "queries": ["corun", "belin"]}) is None


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("blue whale", "whale blue", True),
        ("blue whale", "the blue-whale", True),
        ("blue whale", "blue blue whale", True),
        ("blue whale", "blue whales", False),
        ("the", "an", False),
        ("?", "!", True),
    ],
)
def test_searches_are_the_same_whatever_the_order_and_the_number_of_their_words(first, second, same):
    config = GameConfig(min_searches=1, min_question_words=1)
    broken = first_violation(QUESTION, ("Tavor",), [first, second], [PAGE], config)
    assert broken == ("repeated_search" if same else None)


def test_a_search_that_found_nothing_is_none_of_the_searches_that_must_be_made():
    game = new_game()
    propose(game, search("nothing"), search("belin"), question(QUESTION))
    assert ended(game) == ("invalid", "too_few_searches")
    game = new_game()
    propose(game, search("nothing"), *SEARCHES, question(QUESTION))
    assert game.outcome is None


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\u2028", "\x0b", "\x85", "\n\n  "])
def test_a_question_stands_on_one_line_wherever_it_is_shown(separator):
    game = new_game(rag_check=False)
    propose(game, *SEARCHES, question(separator.join(["Sarn (Title: x)", QUESTION])))
    (asked, *_) = game.requests()
    assert game.question == f"Sarn (Title: x) {QUESTION}"
    assert game.question in asked.view.messages[-1].content


@pytest.mark.parametrize(
    ("text", "golds", "found"),
    [
        ("Who met Ada Lovelace?", ["ada lovelace"], True),
        ("Who met ADA-Lovelace, then?", ["Ada Lovelace"], True),
        ("Who is Tavor's mother?", ["Tavor"], True),
        ("Who is Tavor’s mother?", ["Tavor"], True),
        ("Who is Ta-vor?", ["Tavor"], True),
        ("Corun/Tavor_Sarn", ["Tavor"], True),
        ("Who is Tavorin?", ["Tavor"], False),
        ("Who is the king of Ruvia?", ["Ruvian king"], False),
        ("It was in 2019", ["2"], False),
        ("It was in 2019", ["2019"], True),
        ("Was it the U.S.A.?", ["USA"], True),
        ("Which city, Paris aside?", ["London", "Paris"], True),
        ("Any text at all", ["the"], False),
        ("上海市长住在哪里？", ["上海"], True),
        ("北海在哪里？", ["上海"], False),
        ("부산에는 누가 사는가?", ["부산"], True),
        ("ใครเป็นผู้ว่ากรุงเทพในปีนั้น", ["กรุงเทพ"], True),
        ("Wer lebt in GIESSEN?", ["Gießen"], True),
        ("Who rules Lodz?", ["Łódź"], True),
        ("من هو مُحَمَّد؟", ["محمد"], True),
        ("राम कौन है?", ["र"], False),
        ("Which letter is ..-. in Morse?", ["..-."], True),
        ("Which letter is this?", ["..-."], False),
    ],
)
def test_a_leak_is_a_gold_as_whole_normalised_words(text, golds, found):
    assert mentions(text, golds) is found


def test_an_alias_leaks_like_the_answer():
    game = new_game(Task("X1", aliases=("Corun",), id="t"))
    propose(game, *SEARCHES, question(QUESTION + " Not Corun."))
    assert ended(game) == ("invalid", "answer_leak")


@pytest.mark.parametrize(
    ("check", "hops", "broken"),
    [
        ("off", 9, False),
        ("at_least", 2, False),
        ("at_least", 3, True),
        ("exact", 1, True),
        ("exact", 2, False),
        ("exact", 3, True),
    ],
)
def test_the_hop_check_compares_searches_with_the_hops_asked_for(check, hops, broken):
    arguments = {"golds": ("Tavor",), "queries": ["a", "b"], "evidence": [PAGE], "hops": hops}
    code = first_violation(QUESTION, config=GameConfig(hop_check=check), **arguments)
    assert code == ("wrong_hop_count" if broken else None)


@given(st.text(), st.text())
def test_similarity_is_symmetric_and_one_for_the_same_words(first, second):
    assert 0.0 <= similarity(first, second) == similarity(second, first) <= 1.0
    assert similarity(first, first) == 1.0


def test_a_question_as_similar_as_allowed_passes():
    arguments = {"golds": ("Tavor",), "queries": ["a", "b"], "evidence": [PAGE], "earlier": ["v w x y"]}
    config = GameConfig(min_question_words=1, min_question_chars=1, max_similarity=0.6)
    assert first_violation("w x y z", config=config, **arguments) is None
    config = GameConfig(min_question_words=1, min_question_chars=1, max_similarity=0.5)
    assert first_violation("w x y z", config=config, **arguments) == "near_duplicate"


def test_earlier_questions_without_a_limit_are_a_mistake():
    with pytest.raises(ValueError, match=r"earlier= is read only if config\.max_similarity is set"):
        new_game(earlier=["x"])


def test_bounds_are_inclusive():
    arguments = {"golds": ("Tavor",), "queries": ["a", "b"], "evidence": [PAGE]}
    text = "a b c d e f g h i j"
    assert (
        first_violation(text, config=GameConfig(min_question_chars=19, max_question_chars=19), **arguments)
        is None
    )
    assert first_violation(text, config=GameConfig(min_question_chars=20), **arguments) == "too_short"
    assert first_violation(text, config=GameConfig(max_question_chars=18), **arguments) == "too_long"
    assert first_violation(text, config=GameConfig(min_question_words=11), **arguments) == "too_few_words"


def test_a_penalty_for_invalid_questions_is_an_option():
    game = new_game(invalid_reward=-0.5)
    propose(game, question())
    assert outcome(game).rewards == {"proposer_0": -0.5, "solver_0": 0.0}


def test_searches_that_were_not_executed_do_not_count():
    game = new_game(max_searches=1)
    propose(game, search("belin"), search("corun"), question())
    assert ended(game) == ("invalid", "too_few_searches")


def test_limits_count_words_and_characters_as_the_script_has_them():
    arguments = {"golds": ("x1",), "queries": ["a", "b"], "evidence": [PAGE], "config": GameConfig()}
    assert first_violation("1986年在上海出版的那部小说后来被谁拍成了电影？", **arguments) is None
    assert first_violation("那部小说后来被谁拍了？", **arguments) is None
    assert first_violation("上海的市长是何人在哪", **arguments) is None
    assert first_violation("上海的市长\u200b\u200b\u200b\u200b\u200b", **arguments) == "too_short"
    decomposed = unicodedata.normalize("NFD", "부산 " * 400)
    assert len(decomposed) > 1000
    assert first_violation(decomposed[:1200], **arguments) is None
    assert first_violation("a b " * 251, **arguments) == "too_long"


def test_signs_are_no_words_but_in_terse_games_whose_vocabulary_has_them():
    arguments = {"golds": ("x1",), "queries": ["a", "b"], "evidence": [PAGE]}
    padded = "Who rules it now" + " ." * 6
    assert first_violation(padded, config=GameConfig(), **arguments) == "too_few_words"
    terse = GameConfig(protocol="terse", prompts="terse", min_question_words=4)
    assert first_violation("mother of sarn ?", config=terse, **arguments) is None
    assert first_violation("mother of sarn", config=terse, **arguments) == "too_few_words"


def test_near_duplicates_are_found_in_every_script():
    assert similarity("谁写了那部小说？", "谁写了那部小说") == 1
    assert similarity("谁写了那部著名的小说？", "谁写了那部小说？") >= 0.5
    assert similarity("谁写了那部小说？", "这条河流经几个国家？") == 0
    assert similarity("Who rules Łódź?", "Who rules Lodz?") == 1
