"""One seat of a game stepped with asyncio: the same game as when a player takes it."""

import asyncio

import pytest

from ssp_env.game import Game, GameConfig, Task
from ssp_env.play import OneSeat, play
from tests.game.doubles import QUESTION, Shelf, answer, question, search
from tests.play.players import Broken

KNOWN = Task("Tavor", question="Who?", id="known")
ASKED = Task("Tavor", hops=2, id="asked")
LINES = {
    "proposer": (search("belin"), search("corun"), question(QUESTION)),
    "solver": (search("belin"), answer("Tavor")),
    "reader": (answer("Tavor"),),
}


class ByRole:
    """Says the lines of its role, one a turn."""

    def act(self, view):
        return LINES[view.role][sum(message.role == "assistant" for message in view.messages)]


class AsyncByRole:
    async def act(self, view):
        return ByRole().act(view)


class Batched:
    def act_batch(self, views):
        return [ByRole().act(view) for view in views]


def stepped(game, seat, player, **others):
    async def run():
        async with OneSeat(game, seat, search=Shelf(), **others) as one:
            views = []
            while one.view is not None:
                views.append(one.view)
                await one.step(player.act(one.view))
            return views

    return asyncio.run(run())


@pytest.mark.parametrize("others", [ByRole(), AsyncByRole(), Batched()])
@pytest.mark.parametrize(
    ("task", "seat", "attempts"),
    [(ASKED, "proposer_0", 2), (ASKED, "solver_0", 1), (ASKED, "solver_1", 3), (KNOWN, "solver_0", 1)],
)
def test_a_stepped_seat_plays_the_game_that_a_player_plays(task, seat, attempts, others):
    stepping, playing = (Game(task, GameConfig(attempts=attempts, noise_passages=2)) for _ in range(2))
    views = stepped(stepping, seat, ByRole(), proposer=others, solver=others)
    play([playing], proposer=ByRole(), solver=ByRole(), search=Shelf())
    assert stepping.outcome == playing.outcome
    assert sorted(map(repr, stepping.events)) == sorted(map(repr, playing.events))
    assert {view.seat for view in views} == {seat} and len(views) == (3 if seat == "proposer_0" else 2)


def test_a_seat_that_gets_no_turn_sees_nothing():
    game = Game(ASKED, GameConfig(min_searches=9))
    assert stepped(game, "solver_0", ByRole(), proposer=ByRole(), solver=ByRole()) == []
    assert game.outcome.reason == "too_few_searches"


def test_the_reader_plays_where_the_seat_that_reads_is_stepped():
    game = Game(ASKED, GameConfig(attempts=1, noise_passages=0))
    views = stepped(game, "solver_0", ByRole(), proposer=ByRole(), reader=ByRole())
    assert [view.phase for view in views] == ["solve", "solve"]
    assert game.outcome.reason == "solved"


def test_who_fails_ends_the_game_as_error():
    game = Game(ASKED, GameConfig(attempts=1))
    assert stepped(game, "solver_0", ByRole(), proposer=Broken(), solver=ByRole()) == []
    assert game.outcome.verdict == "error" and game.outcome.failure.startswith("proposer: ")


@pytest.mark.parametrize(
    ("task", "seat", "options", "others", "message"),
    [
        (
            ASKED,
            "solver_0",
            {},
            {},
            "plays the proposer and the reader of game 'asked' beside solver_0",
        ),
        (ASKED, "proposer_0", {}, {"reader": ByRole()}, r"nobody plays the solver .*pass solver="),
        (ASKED, "proposer_0", {"rag_check": False}, {}, "nobody plays the solver"),
        (KNOWN, "solver_1", {"attempts": 2}, {}, "nobody plays the solver"),
        (KNOWN, "solver_7", {}, {}, "expected a seat of the game, proposer_0, solver_0, got 'solver_7'"),
    ],
)
def test_a_game_in_which_a_seat_has_no_player_is_refused(task, seat, options, others, message):
    with pytest.raises(ValueError, match=message):
        OneSeat(Game(task, GameConfig(**options)), seat, search=Shelf(), **others)


def test_a_seat_without_a_turn_is_told_so_and_leaving_early_stops_the_game():
    async def run():
        game = Game(KNOWN)
        async with OneSeat(game, "solver_0", search=Shelf()) as one:
            await one.step(answer("Tavor"))
            with pytest.raises(RuntimeError, match="solver_0 has no turn any more"):
                await one.step("more")
        left = Game(KNOWN)
        async with OneSeat(left, "solver_0", search=Shelf()) as one:
            await one.step(search("belin"))
        return left, asyncio.all_tasks() - {asyncio.current_task()}

    left, tasks = asyncio.run(run())
    assert left.outcome is None and not tasks
