"""The optional readings beside the RAG check: no passages at all, and every answer that fits."""

import pytest

from ssp_env.game import Failure, Judge, Noise, Read
from ssp_env.game.events import AnswerScored, EvidenceMixed, ReadingGiven
from tests.game.doubles import QUESTION, answer, ended, new_game, outcome, propose, question, search, turn_of

SEARCHES = (search("belin"), search("corun"), search("sarn"))


def proposed(**options):
    """A game whose question keeps the rules, without noise."""
    game = new_game(noise_passages=0, **options)
    propose(game, *SEARCHES, question())
    return game


def awaiting(**options):
    """A game whose question has just been proposed."""
    game = new_game(**options)
    propose(game, *SEARCHES)
    game.submit(turn_of(game, "proposer_0").id, question())
    return game


def reading(game):
    (request,) = game.requests()
    assert isinstance(request, Read)
    return request


def say(game, *lines):
    for line in lines:
        game.submit(reading(game).id, line)
    return game


def shown(request):
    return "\n".join(message.content for message in request.view.messages)


def test_readings_come_one_after_the_other_and_end_in_the_attempts():
    game = proposed(closed_book=True, uniqueness=True)
    asked = []
    for line in (answer(), answer("unknown"), answer()):
        request = reading(game)
        asked.append((request.id, request.view.probe, request.view.conversation_id))
        game.submit(request.id, line)
    assert asked == [
        ("read", "recovery", ("task-0", "solver_0", "verify")),
        ("read/closed_book", "closed_book", ("task-0", "solver_0", "verify/closed_book")),
        ("read/uniqueness", "uniqueness", ("task-0", "solver_0", "verify/uniqueness")),
    ]
    assert game.phase == "solve"
    assert [e.probe for e in game.events if isinstance(e, ReadingGiven)] == [row[1] for row in asked]


@pytest.mark.parametrize("prompts", ["english", "few_shot", "terse"])
def test_the_closed_book_reader_sees_the_question_and_no_page(prompts):
    game = proposed(rag_check=False, closed_book=True, prompts=prompts)
    request = reading(game)
    assert QUESTION in shown(request)
    assert not [page for page in game.evidence if page.text in shown(request)]
    assert not [event for event in game.events if isinstance(event, EvidenceMixed)]
    assert (request.view.turns_left, request.view.searches_left) == (1, 0)


@pytest.mark.parametrize("said", [answer(), answer("The tavor of ruvia")])
def test_a_question_answered_from_memory_is_invalid(said):
    game = say(proposed(rag_check=False, closed_book=True), said)
    assert ended(game) == ("invalid", "closed_book")
    assert set(outcome(game).rewards.values()) == {0.0}


@pytest.mark.parametrize("said", [answer("Sarn"), "I cannot say", ""])
def test_a_question_not_answered_from_memory_goes_on(said):
    assert say(proposed(rag_check=False, closed_book=True), said).phase == "solve"


@pytest.mark.parametrize("prompts", ["english", "few_shot", "terse"])
def test_the_uniqueness_reader_sees_question_and_evidence_in_the_order_of_the_rag_check(prompts):
    game = proposed(uniqueness=True, prompts=prompts)
    request = reading(game)
    places = [shown(request).index(page.text) for page in game.evidence]
    game.submit(request.id, answer())
    again = [shown(reading(game)).index(page.text) for page in game.evidence]
    assert sorted(range(3), key=places.__getitem__) == sorted(range(3), key=again.__getitem__)
    assert QUESTION in shown(reading(game))


@pytest.mark.parametrize(
    ("listing", "valid"),
    [
        ("Tavor", True),
        ("- Tavor\n- Tavor of Ruvia", True),
        ("1. tavor; the Tavor", True),
        ("Tavor; Sarn", False),
        ("1) Sarn\n2) Tavor", False),
        ("Sarn", False),
        ("Tavor, Sarn", False),
    ],
)
def test_a_question_is_unique_if_every_listed_answer_is_right(listing, valid):
    game = say(proposed(rag_check=False, uniqueness=True), answer(listing))
    assert (game.phase == "solve") is valid
    if not valid:
        assert ended(game) == ("invalid", "not_unique")


def test_a_reader_that_lists_nothing_leaves_uniqueness_unshown():
    assert ended(say(proposed(rag_check=False, uniqueness=True), "hm")) == ("invalid", "no_reading")


def test_a_listing_of_separators_alone_leaves_uniqueness_unshown():
    assert ended(say(proposed(rag_check=False, uniqueness=True), answer(";"))) == ("invalid", "no_reading")


def test_a_judge_decides_listed_answers_one_by_one():
    game = say(proposed(rag_check=False, uniqueness=True, judge=True), answer("Lady T; Tavor; Tavora"))
    asked = []
    while game.phase == "verify":
        (request,) = game.requests()
        assert isinstance(request, Judge)
        asked.append((request.id, request.candidate))
        game.submit(request.id, True)
    assert asked == [("reader/uniqueness/judge", "Lady T"), ("reader/uniqueness/judge/2", "Tavora")]
    scored = [(e.answer, e.scorer) for e in game.events if isinstance(e, AnswerScored)]
    assert scored == [("Lady T", "judge"), ("Tavor", "exact_match"), ("Tavora", "judge")]


def test_noise_is_asked_for_once_and_only_if_somebody_reads_passages():
    game = awaiting(rag_check=False, closed_book=True, uniqueness=True)
    assert [type(request) for request in game.requests()] == [Noise]
    game.submit("noise", [])
    say(game, answer("unknown"))
    assert reading(game).view.probe == "uniqueness"
    game = awaiting(rag_check=False, closed_book=True)
    assert reading(game).view.probe == "closed_book"


@pytest.mark.parametrize("probe", ["closed_book", "uniqueness"])
def test_a_failed_probe_is_unknown_never_valid_and_never_invalid(probe):
    game = proposed(rag_check=False, **{probe: True})
    game.submit(f"read/{probe}", Failure("reader: down"))
    assert ended(game) == ("error", "error")
    assert set(outcome(game).rewards.values()) == {0.0}


def test_whole_evidence_is_asked_for_as_noise():
    game = awaiting(noise_unit="evidence", noise_passages=2)
    (request,) = game.requests()
    assert request == Noise("noise", 2, frozenset({"p0", "p1", "p2"}), "evidence")
    assert request.passages == 6
