"""What may be served when: admission, cohorts, stages; and that company and order of answers play no part."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.game import Game, GameConfig, Noise, Read, Search, Task, Turn
from ssp_env.game.events import EvidenceMixed
from ssp_env.game.passage import Passage
from ssp_env.play import play, play_async
from ssp_env.play.schedule import DEFAULT_COHORT, Schedule
from tests.game.doubles import PROPOSAL, Shelf, answer, search
from tests.play.players import (
    AsyncShelf,
    Batched,
    Drowsy,
    Hurried,
    HurriedBatch,
    Wanderer,
    make_games,
    recorded,
    shelf_of,
)


def accept(game):
    """Any game can be played."""


def serve(ask):
    """What the usual players and engines answer."""
    request = ask.request
    if isinstance(request, Turn | Read):
        return Wanderer().act(request.view)
    if isinstance(request, Search):
        return Shelf().search([request.query], request.top_k)[0]
    assert isinstance(request, Noise)
    return ask.pool.draw(ask.game, request, 0).passages


def play_in_random_order(schedule, rng):
    """Answer one request at a time, any one that is open; return how many games were at play each time."""
    asks, alive = [], []
    while not schedule.done:
        asks += schedule.take()
        alive.append(schedule.alive)
        if asks:
            ask = asks.pop(rng.randrange(len(asks)))
            schedule.submit(ask, serve(ask))
        schedule.ended()
    return alive


# -- concurrency -------------------------------------------------------------------------------------------


def everything(count, corpora, attempts):
    return make_games(count, corpora, attempts=attempts, top_k=2, noise_passages=3, judge=True)


async def play_hurried(games, engines, seed, **options):
    """With answers that arrive in an order drawn from `seed`."""
    engines = {corpus: AsyncShelf(shelf.pages) for corpus, shelf in engines.items()}
    player = Hurried(Wanderer(), seed)

    async def judge(request):
        await asyncio.sleep(0)
        return request.candidate != "Sarn"

    await play_async(games, proposer=player, solver=player, search=engines, judge=judge, **options)


CORPORA = ["left", "middle", "right"]
ENGINES = {corpus: shelf_of(corpus) for corpus in CORPORA}


def judge(request):
    return request.candidate != "Sarn"


@pytest.fixture(scope="module")
def expected():
    games = everything(60, CORPORA, attempts=2)
    play(games, proposer=Wanderer(), solver=Wanderer(), search=ENGINES, judge=judge, cohort=20, seed=3)
    reasons = {game.outcome.reason for game in games}
    assert reasons >= {"solved", "unsolved", "not_recovered", "too_short"}, "the games differ"
    return recorded(games)


@pytest.mark.parametrize("concurrency", [1, 16, 256])
@pytest.mark.parametrize("player", [Wanderer(), Batched(Wanderer())])
def test_rounds_give_the_same_games_at_any_concurrency(concurrency, player, expected):
    games = everything(60, CORPORA, attempts=2)
    play(
        iter(games),
        proposer=player,
        solver=player,
        search=ENGINES,
        judge=judge,
        cohort=20,
        seed=3,
        concurrency=concurrency,
    )
    assert recorded(games) == expected


@pytest.mark.parametrize("concurrency", [1, 16, 256])
@pytest.mark.parametrize("player", [Hurried(Wanderer()), HurriedBatch(Wanderer()), Drowsy(Wanderer())])
def test_asyncio_gives_the_same_games_at_any_concurrency(concurrency, player, expected):
    games = everything(60, CORPORA, attempts=2)
    asyncio.run(
        play_async(
            games,
            proposer=player,
            solver=player,
            search=ENGINES,
            judge=judge,
            cohort=20,
            seed=3,
            concurrency=concurrency,
        )
    )
    assert recorded(games) == expected


@settings(max_examples=40)
@given(
    count=st.integers(1, 8),
    attempts=st.integers(1, 3),
    cohort=st.integers(1, 8),
    concurrency=st.integers(1, 8),
    delays=st.integers(0, 2**32),
)
def test_no_order_of_answers_changes_a_game(count, attempts, cohort, concurrency, delays):
    together, apart = everything(count, CORPORA, attempts), everything(count, CORPORA, attempts)
    play(together, proposer=Wanderer(), solver=Wanderer(), search=ENGINES, judge=judge, cohort=cohort)
    asyncio.run(play_hurried(apart, ENGINES, delays, cohort=cohort, concurrency=concurrency))
    assert recorded(together) == recorded(apart)


@settings(max_examples=50)
@given(
    count=st.integers(0, 20),
    cohort=st.integers(1, 10),
    concurrency=st.integers(1, 10),
    rng=st.randoms(use_true_random=False),
)
def test_no_more_games_are_at_play_than_the_limit_and_none_is_stuck(count, cohort, concurrency, rng):
    games = make_games(count, attempts=2)
    schedule = Schedule(iter(games), accept, concurrency=concurrency, cohort=cohort)
    alive = play_in_random_order(schedule, rng)
    assert max(alive, default=0) <= concurrency + cohort
    assert all(game.outcome is not None for game in games)


def test_results_are_submitted_in_the_order_of_the_requests():
    games = make_games(2, attempts=3, rag_check=False), make_games(2, attempts=3, rag_check=False)
    for seed, played in enumerate(games):
        play_in_random_order(Schedule(played, accept), random.Random(seed))
    assert recorded(games[0]) == recorded(games[1])


# -- cohorts -----------------------------------------------------------------------------------------------


class OwnPages(Shelf):
    """Every query finds one page of its own; the corpus has none to sample."""

    def search(self, queries, top_k):
        return [[Passage(query, query, "page")] for query in queries]

    def sample(self, rng, count, exclude):
        return []


class Namer:
    """Searches for pages that carry the game's id."""

    def act(self, view):
        turn = sum(message.role == "assistant" for message in view.messages)
        if view.phase != "propose":
            return answer()
        return [search(f"{view.game_id} a"), search(f"{view.game_id} b"), PROPOSAL[-1]][turn]


def lenders(game):
    """Ids of the games whose pages came as noise."""
    (event,) = [event for event in game.events if isinstance(event, EvidenceMixed)]
    return {passage_id.split()[0] for passage_id in event.noise_ids}


@pytest.mark.parametrize("concurrency", [1, 3, 100])
def test_only_the_games_of_a_cohort_lend_each_other_noise(concurrency):
    games = make_games(10, noise_passages=100)
    play(games, proposer=Namer(), solver=Namer(), search=OwnPages(), cohort=4, concurrency=concurrency)
    for first in (0, 4, 8):
        cohort = {f"g{index}" for index in range(first, min(first + 4, 10))}
        for game in games[first : first + 4]:
            assert lenders(game) == cohort - {game.id}


def test_the_games_of_a_list_are_one_cohort_and_those_of_an_iterator_several():
    count = DEFAULT_COHORT + 4
    together, streamed = (make_games(count, noise_passages=1000) for _ in range(2))
    play(together, proposer=Namer(), solver=Namer(), search=OwnPages())
    play(iter(streamed), proposer=Namer(), solver=Namer(), search=OwnPages())
    assert len(lenders(together[0])) == count - 1
    assert len(lenders(streamed[0])) == DEFAULT_COHORT - 1
    assert len(lenders(streamed[-1])) == 3


def test_a_game_that_was_over_still_lends_its_evidence():
    games = make_games(3, noise_passages=100)
    play(games[:1], proposer=Namer(), solver=Namer(), search=OwnPages())
    play(games, proposer=Namer(), solver=Namer(), search=OwnPages())
    assert lenders(games[1]) == {"g0", "g2"}


def test_games_that_wait_for_their_cohort_make_room():
    games = make_games(6, noise_passages=1)
    schedule = Schedule(games, accept, concurrency=2, cohort=6)
    asks, first_noise = [], None
    while first_noise is None:
        asks += schedule.take()
        assert len({ask.index for ask in asks}) <= 2
        ask = asks.pop(0)
        if isinstance(ask.request, Noise):
            first_noise = ask
        else:
            schedule.submit(ask, serve(ask))
    assert all(game.phase == "verify" or game.outcome for game in games)


# -- admission ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["concurrency", "cohort"])
def test_limits_are_at_least_1(option):
    with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
        Schedule([], accept, **{option: 0})


def test_an_iterator_is_drawn_from_as_there_is_room():
    drawn = []

    def stream():
        for game in make_games(20):
            drawn.append(game.id)
            yield game

    schedule = Schedule(stream(), accept, concurrency=5, cohort=3)
    assert drawn == []
    schedule.take()
    assert len(drawn) == 5


def test_a_duplicate_in_an_iterator_is_named_when_it_comes():
    games = [*make_games(3), *make_games(1)]
    with pytest.raises(ValueError, match=r"distinct ids .* got 'g0' twice"):
        play(iter(games), proposer=Wanderer(), solver=Wanderer(), search=Shelf(), concurrency=1)


def test_a_stream_may_use_an_id_again_once_its_cohort_is_over():
    stream = (Game(Task("Tavor", id=f"g{index % 4}"), GameConfig()) for index in range(12))
    outcomes = play(stream, proposer=Wanderer(), solver=Wanderer(), search=Shelf(), cohort=2, concurrency=1)
    assert len(outcomes) == 12


def test_a_game_of_an_iterator_without_an_engine_is_named_when_it_comes():
    games = iter(make_games(2, ("left", "moon")))
    with pytest.raises(ValueError, match="no search engine for corpus 'moon'"):
        play(games, proposer=Wanderer(), solver=Wanderer(), search={"left": Shelf()})
