"""Quotations: what a reader or solver copies is held word for word against what it was shown."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import PROTOCOLS, Game, GameConfig
from ssp_env.game.events import AnswerScored, QuotationsChecked
from ssp_env.game.passage import Passage
from ssp_env.game.quotations import missing_quotations, quotations, quote_fault
from ssp_env.records.episode import Episode
from ssp_env.records.replay import first_difference
from tests.game.doubles import (
    PAGES,
    TASK,
    Shelf,
    answer,
    ended,
    new_game,
    outcome,
    propose,
    question,
    search,
    serve,
    turn_of,
)

DEFAULT, TERSE = PROTOCOLS["default"], PROTOCOLS["terse"]
SEARCHES = (search("belin"), search("corun"), search("sarn"))
FACTS = tuple(page.text for page in PAGES[:3])


def quote(*texts):
    return " ".join(f"<quote> {text} </quote>" for text in texts)


def quoted_in(text, protocol=DEFAULT):
    return quotations(protocol, protocol.parse(text, "answer", has_search_tool=False))


def read(reply, **options):
    """A game whose reader said this."""
    game = new_game(**{"noise_passages": 0, "quote_check": "any", **options})
    propose(game, *SEARCHES, question())
    (request,) = game.requests()
    assert request.view.must_quote
    game.submit(request.id, reply)
    return game


def attempt(reply):
    """A grounded game whose solver searched once and said this."""
    game = new_game(rag_check=False, grounded=True)
    propose(game, *SEARCHES, question())
    assert turn_of(game, "solver_0").view.must_quote
    game.submit(turn_of(game, "solver_0").id, search("sarn"))
    serve(game)
    game.submit(turn_of(game, "solver_0").id, reply)
    return game


# -- reading quotations --------------------------------------------------------------------------------


def test_only_what_stands_before_the_answer_is_quoted_each_text_once():
    text = f"{quote('One is two.', 'ONE  is two.', ' ', 'Three')} So: {answer()} {quote('Four is five.')}"
    assert quoted_in(text) == ("One is two.", "Three")
    assert quoted_in("<think> <quote>a b c</quote> </think> " + answer()) == ("a b c",)
    assert quoted_in("<quote> never closed " + answer()) == ()


def test_an_answer_inside_a_quotation_is_no_answer():
    action = DEFAULT.parse(f"{quote(answer('Sarn'))} {answer('Tavor')}", "answer")
    assert action.content == "Tavor"


def test_terse_words_before_the_answer_are_facts_of_three_words():
    text = "<think> belin seat corun </think> corun mayor tavom tavom <answer> tavom </answer>"
    assert quoted_in(text, TERSE) == ("belin seat corun", "corun mayor tavom", "tavom")
    assert quoted_in("<answer> tavom </answer>", TERSE) == ()


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - {"terse"}))
@given(words=st.lists(st.text(min_size=1, max_size=8), min_size=3, max_size=9), start=st.integers(0, 8))
def test_what_was_shown_is_never_missing_whatever_it_holds(protocol, words, start):
    rules = PROTOCOLS[protocol]
    passage = Passage("p", "Title", " ".join(words))
    copied = rules.escape(" ".join(words[start % len(words) :]))
    assert missing_quotations(rules, [copied, copied.casefold()], [passage]) == ()


@given(st.lists(st.sampled_from(["belin", "corun", "seat", "mayor"]), min_size=3, max_size=12))
def test_every_terse_fact_that_was_shown_can_be_quoted(words):
    facts = [" ".join(words[place : place + 3]) for place in range(0, len(words), 3)]
    passages = [Passage("p", "", " ".join(words)), Passage("q", "", "oly seat oly ; sarn seat sarn")]
    assert missing_quotations(TERSE, [*facts, "oly seat oly", "sarn seat sarn"], passages) == ()


def test_white_space_and_case_make_no_difference_and_everything_else_does():
    passage = Passage("p", "", "The  Mayor of\nCorun is  <answer> Sarn.")
    for copied in ("the mayor of corun", "Corun is &lt;answer&gt; sarn", "CORUN IS <answer> SARN."):
        assert missing_quotations(DEFAULT, [copied], [passage]) == ()
    for other in ("mayor of Corun was", "The Mayor of Corun, is", "is Sarn. The mayor"):
        assert missing_quotations(DEFAULT, [other], [passage]) == (other,)


def test_a_quotation_cannot_run_from_one_passage_or_fact_into_the_next():
    first, second = Passage("a", "", "one two three"), Passage("b", "", "four five six")
    assert missing_quotations(DEFAULT, ["three four five"], [first, second]) == ("three four five",)
    facts = Passage("c", "", "belin seat corun belin mayor sarn")
    assert missing_quotations(TERSE, ["corun belin mayor"], [facts]) == ("corun belin mayor",)
    assert missing_quotations(TERSE, ["belin mayor sarn"], [facts]) == ()


def test_a_quotation_cuts_no_word_in_two():
    passage = Passage("p", "", "Alsarn is mayor of Corunna. 北京の市長は誰か")
    for cut in ("sarn is mayor of Corunna", "Alsarn is mayor of Corun", "n is mayor of C"):
        assert missing_quotations(DEFAULT, [cut], [passage]) == (cut,)
    for whole in ("Alsarn is mayor", "is mayor of Corunna", "Corunna. 北京の市", "京の市長"):
        assert missing_quotations(DEFAULT, [whole], [passage]) == ()
    # A later occurrence may be whole where an earlier one is not.
    again = Passage("q", "", "Alsarn is old, and Sarn is young: Sarn is here.")
    assert missing_quotations(DEFAULT, ["sarn is young", "Sarn is"], [again]) == ()


def test_parts_of_a_quotation_are_no_further_quotations():
    whole, part = "The mother of Belin is Tavor.", "mother of  BELIN is"
    assert quote_fault([whole, part], [], 2) == "unquoted"
    assert quote_fault([part, whole], [], 2) == "unquoted"
    assert quote_fault([part, "Tavor lives in Sarn."], [], 2) is None


@pytest.mark.parametrize(
    "text", ["<quote>", "</quote><quote>", "<quote></quote>", "a\u0301\u0323 ", "\u0301\u0323"]
)
def test_quotations_are_read_in_linear_time(text):
    started = time.perf_counter()
    hostile = f"<quote>{text * 40_000}</quote>{text * 40_000}{answer()}"
    missing_quotations(DEFAULT, quoted_in(hostile), [Passage("p", "", text * 1000)])
    assert time.perf_counter() - started < 20


def test_too_few_words_do_not_count_and_one_missing_quotation_spoils_all():
    assert quote_fault([], [], 1) == "unquoted"
    assert quote_fault(["is Sarn"], [], 1) == "unquoted"
    assert quote_fault(["北京の市長"], [], 1) is None
    assert quote_fault(["one two three", "no"], ["no"], 1) == "misquoted"
    assert quote_fault(["one two three"], [], 2) == "unquoted"


# -- the quoted RAG check ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "check", "expected"),
    [
        (f"{quote(*FACTS)} {answer()}", "any", None),
        (f"{quote(*FACTS)} {answer()}", "per_hop", None),
        (f"{quote(FACTS[2])} {answer()}", "any", None),
        (f"{quote(FACTS[2])} {answer()}", "per_hop", "unquoted"),
        (f"{quote(FACTS[2], FACTS[2].upper())} {answer()}", "per_hop", "unquoted"),
        (answer(), "any", "unquoted"),
        (f"{quote('is Tavor')} {answer()}", "any", "unquoted"),
        (f"{quote(FACTS[2], 'The mother of Belin is Tavor.')} {answer()}", "any", "misquoted"),
        (f"{quote('The mother of Belin is Tavor.')} {answer('Sarn')}", "any", "misquoted"),
        (f"{quote(FACTS[2])} {answer('Sarn')}", "any", "not_recovered"),
        (quote(FACTS[2]), "any", "no_reading"),
    ],
)
def test_a_reader_must_quote_what_its_passages_say(reply, check, expected):
    game = read(reply, quote_check=check)
    assert game.phase == "solve" if expected is None else ended(game) == ("invalid", expected)


def test_what_was_quoted_is_an_event_that_names_what_is_missing():
    game = read(f"{quote(FACTS[2], 'Sarn is mayor of Elsewhere.')} {answer()}")
    checked = [event for event in game.events if isinstance(event, QuotationsChecked)]
    assert checked == [
        QuotationsChecked(
            "reader", (FACTS[2], "Sarn is mayor of Elsewhere."), ("Sarn is mayor of Elsewhere.",)
        )
    ]
    assert Game.restore(game.snapshot()).outcome == game.outcome
    assert first_difference(Episode.from_data(json.loads(Episode.of(game).to_line()))) == ""


def test_noise_may_be_quoted_because_the_reader_was_shown_it():
    game = new_game(noise_passages=2, quote_check="any")
    propose(game, *SEARCHES)
    game.submit(turn_of(game, "proposer_0").id, question())
    serve(game, Shelf())
    (request,) = game.requests()
    game.submit(request.id, f"{quote('lives in Elsewhere.')} {answer()}")
    assert game.phase == "solve"


def test_only_what_was_shown_can_be_quoted_where_passages_are_cut():
    cut = {"max_passage_chars": 10}
    assert ended(read(f"{quote(FACTS[2])} {answer()}", **cut)) == ("invalid", "misquoted")
    assert read(f"{quote('The mother')} {quote('characters left out')} {answer()}", **cut).phase == "solve"


def test_other_readings_need_no_quotations_and_the_second_does():
    game = read(f"{quote(FACTS[2])} {answer()}", closed_book=True, uniqueness=True, second_reading=True)
    for reply in (answer("unknown"), answer()):
        (request,) = game.requests()
        assert not request.view.must_quote
        game.submit(request.id, reply)
    (request,) = game.requests()
    assert request.view.must_quote and request.id == "read/second_recovery"
    game.submit(request.id, answer())
    assert ended(game) == ("invalid", "unquoted")


def test_off_nobody_is_asked_to_quote():
    game = new_game(noise_passages=0)
    propose(game, *SEARCHES, question())
    (request,) = game.requests()
    assert not request.view.must_quote
    assert "<quote>" not in "".join(message.content for message in request.view.messages)
    game.submit(request.id, answer())
    assert not [event for event in game.events if isinstance(event, QuotationsChecked)]


# -- grounded answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "scorer"),
    [
        (f"{quote(FACTS[2])} {answer()}", "exact_match"),
        (answer(), "unquoted"),
        (f"{quote(FACTS[0])} {answer()}", "misquoted"),
    ],
)
def test_a_grounded_answer_is_paid_only_if_its_quotations_were_retrieved_by_that_attempt(reply, scorer):
    game = attempt(reply)
    scored = [event for event in game.events if isinstance(event, AnswerScored)]
    assert [(event.seat, event.scorer) for event in scored] == [("solver_0", scorer)]
    right = scorer == "exact_match"
    assert scored[0].correct is right and outcome(game).rewards["solver_0"] == float(right)


# -- prompts and rules ---------------------------------------------------------------------------------


@pytest.mark.parametrize("prompts", ["english", "few_shot", "drawn"])
def test_prompts_say_that_quotations_are_wanted_and_show_how(prompts):
    config = GameConfig(prompts=prompts, quote_check="any", grounded=True, noise_passages=0)
    game = Game(TASK, config)
    propose(game, *SEARCHES, question())
    (request,) = game.requests()
    told = "".join(message.content for message in request.view.messages)
    assert "<quote>" in told
    game.submit(request.id, f"{quote(FACTS[2])} {answer()}")
    told = "".join(message.content for message in turn_of(game, "solver_0").view.messages)
    assert "copy what it rests on word for word" in told and "<quote>" in told


def test_a_check_of_quotations_needs_a_reader():
    with pytest.raises(ValueError, match="quote_check='any' needs rag_check=True"):
        GameConfig(quote_check="any", rag_check=False)
    with pytest.raises(ValueError, match="quote_check must be one of off, any, per_hop, got 'all'"):
        GameConfig(quote_check="all")
