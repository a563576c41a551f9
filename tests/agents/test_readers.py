"""Readings by majority: what is elected, and that a failed reading is unknown, never a judgement."""

import asyncio

import pytest

from agents.readers import AsyncVotingReader, VotingReader, majority
from agents.scripted import ScriptedReader
from ssp_env.game import PROTOCOLS, Reply
from ssp_env.play import play, play_async
from ssp_env.testing import check_reader
from tests.game.doubles import Shelf
from tests.play.players import Wanderer, make_games

DEFAULT = PROTOCOLS["default"]


def answer(text):
    return Reply(f"<answer> {text} </answer>")


@pytest.mark.parametrize(
    ("answers", "elected"),
    [
        (["Sarn", "Tavor", "Tavor"], 1),
        (["Sarn", "the TAVOR", "Tavor."], 1),
        (["Sarn", "Tavor"], 0),
        (["Sarn", "Tavor", "Belin", "Tavor", "Sarn"], 0),
        (["Sarn"], 0),
    ],
)
def test_the_answer_of_most_readings_is_taken_as_it_was_first_given(answers, elected):
    assert majority(list(map(answer, answers)), DEFAULT) == answer(answers[elected])


def test_a_reading_without_an_answer_has_no_vote():
    replies = [Reply("hm"), Reply("<search> x </search>"), answer("Sarn")]
    assert majority(replies, DEFAULT) == answer("Sarn")
    assert majority(replies[:2], DEFAULT) == Reply("hm")


class Fickle:
    """Gives its answers in turns."""

    def __init__(self, *answers):
        self.answers = answers
        self.views = []

    def act(self, view):
        self.views.append(view)
        said = self.answers[(len(self.views) - 1) % len(self.answers)]
        if isinstance(said, Exception):
            raise said
        return said


class AsyncFickle(Fickle):
    async def act(self, view):
        if self.answers == ("late",):
            await asyncio.Event().wait()
        return super().act(view)


class AsyncFickleBatch(Fickle):
    async def act_batch(self, views):
        return [self.act(view) for view in views]


TAVOR = "<answer> Tavor </answer>"
SARN = "<answer> Sarn </answer>"


def outcomes(reader, **options):
    players = {"proposer": Wanderer(), "solver": Wanderer(), "reader": reader, "search": Shelf()}
    games = make_games(3)
    if hasattr(reader, "act_batch"):
        return play(games, **players)
    return asyncio.run(play_async(games, **players, **options))


READERS = [(VotingReader, Fickle), (AsyncVotingReader, AsyncFickle), (AsyncVotingReader, AsyncFickleBatch)]


@pytest.mark.parametrize(("reader", "agent"), READERS)
def test_games_are_read_by_majority(reader, agent):
    said = agent(SARN, TAVOR, TAVOR)
    assert {outcome.verdict for outcome in outcomes(reader(said))} == {"valid"}
    assert len(said.views) == 9
    assert len({view.conversation_id for view in said.views}) == 9
    said = agent(SARN, SARN, TAVOR)
    assert {outcome.reason for outcome in outcomes(reader(said))} == {"not_recovered"}


@pytest.mark.parametrize("failure", [ConnectionError("died"), 42], ids=["raises", "no text"])
@pytest.mark.parametrize(("reader", "agent"), READERS)
def test_one_failed_reading_makes_the_question_neither_valid_nor_invalid(reader, agent, failure):
    results = outcomes(reader(agent(TAVOR, failure, TAVOR)))
    assert {(outcome.verdict, outcome.reason) for outcome in results} == {("error", "error")}
    assert not any(reward for outcome in results for reward in outcome.rewards.values())


def test_a_reading_that_takes_too_long_makes_the_question_neither_valid_nor_invalid():
    results = outcomes(AsyncVotingReader(AsyncFickle("late")), timeout=0.05)
    assert {outcome.verdict for outcome in results} == {"error"}


def test_a_voting_reader_keeps_the_contract_of_readers():
    check_reader(VotingReader(ScriptedReader("perfect"), protocol="terse"))


@pytest.mark.parametrize("reader", [VotingReader, AsyncVotingReader])
def test_there_is_at_least_one_vote(reader):
    with pytest.raises(ValueError, match="votes must be at least 1, got 0"):
        reader(Fickle(), 0)
