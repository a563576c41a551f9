"""The asyncio driver: nobody waits for a slow game, nothing is left behind, whatever ends it."""

import asyncio
import signal
import threading
from contextlib import contextmanager

import pytest

from ssp_env.game.events import GameBroken
from ssp_env.play import AsyncDriver, Services, play, play_async
from tests.game.doubles import PERFECT, PROPOSAL, Script, Shelf, answer
from tests.play.players import (
    AsyncShelf,
    Batched,
    Broken,
    Hurried,
    HurriedBatch,
    Wanderer,
    make_games,
    recorded,
    shelf_of,
)

PROPOSER = Script(*PROPOSAL)
LIMIT = 60.0
"""Seconds after which a test that would hang fails instead."""


def run(coroutine):
    """Run to the end, and see that no task is left."""

    async def main():
        result = await asyncio.wait_for(coroutine, LIMIT)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    return asyncio.run(main())


def played(games, **services):
    services = {"proposer": PROPOSER, "solver": PERFECT, "search": Shelf(), **services}
    return play_async(games, **services)


class Never:
    """Never answers in some games, and in the others not before those hang; tells what was cancelled."""

    def __init__(self, *hanging):
        self.hanging = hanging
        self.asked = []
        self.cancelled = []

    async def act(self, view):
        if view.game_id not in self.hanging:
            while len(self.asked) < len(self.hanging):
                await asyncio.sleep(0.001)
            return answer()
        self.asked.append(view.game_id)
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.append(view.game_id)


# -- who is asked, and how ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [lambda player: player, Batched, Hurried, HurriedBatch])
@pytest.mark.parametrize("engine", [Shelf(), AsyncShelf()])
def test_players_and_engines_of_every_kind_play_the_same_games(kind, engine):
    player = kind(Wanderer())
    games, others = make_games(12, attempts=2), make_games(12, attempts=2)
    outcomes = run(played(games, proposer=player, solver=player, search=engine))
    assert outcomes == play(others, proposer=Wanderer(), solver=Wanderer(), search=Shelf())
    assert recorded(games) == recorded(others)


def test_an_engines_asearch_is_preferred():
    class Both(Shelf):
        async def asearch(self, queries, top_k):
            return Shelf.search(self, queries, top_k)

        def search(self, queries, top_k):
            raise AssertionError("asked in a thread")

    assert [outcome.reason for outcome in run(played(make_games(2), search=Both()))] == ["solved"] * 2


def test_a_judge_may_be_asynchronous():
    async def judge(request):
        await asyncio.sleep(0)
        return request.candidate == "Lady T."

    games = make_games(2, judge=True)
    outcomes = run(played(games, solver=Script(answer("Lady T.")), reader=PERFECT, judge=judge))
    assert [outcome.reason for outcome in outcomes] == ["solved"] * 2


def test_a_function_may_turn_out_to_be_asynchronous():
    class Sneaky:
        def act(self, view):
            return Hurried(PERFECT).act(view)

    outcomes = run(played(make_games(2), solver=Sneaky(), judge=lambda request: None))
    assert [outcome.reason for outcome in outcomes] == ["solved"] * 2


def test_queries_and_views_of_many_games_share_a_call():
    shelf, proposer, solver = Shelf(), Batched(PROPOSER), HurriedBatch(PERFECT)
    run(played(make_games(6, attempts=2), proposer=proposer, solver=solver, search=shelf))
    assert proposer.sizes == [6, 6, 6, 6]
    assert [len(batch) for batch in shelf.batches] == [6, 6, 6]


@pytest.mark.parametrize("role", ["search", "solver"])
def test_engines_and_batch_agents_get_one_call_at_a_time(role):
    class Alone(Shelf):
        """Notices company."""

        def __init__(self):
            super().__init__()
            self.lock = threading.Lock()

        def act_batch(self, views):
            with self.alone():
                return [answer() for _ in views]

        def search(self, queries, top_k):
            with self.alone():
                return super().search(queries, top_k)

        @contextmanager
        def alone(self):
            assert self.lock.acquire(blocking=False), "called twice at a time"
            threading.Event().wait(0.001)
            yield
            self.lock.release()

    games = make_games(20, attempts=2)
    outcomes = run(played(games, **{"proposer": Hurried(PROPOSER), role: Alone()}))
    assert [outcome.reason for outcome in outcomes] == ["solved"] * 20


def test_engines_of_different_corpora_are_searched_side_by_side():
    together = threading.Barrier(2)

    class Meeting(Shelf):
        def search(self, queries, top_k):
            together.wait(LIMIT)
            return super().search(queries, top_k)

    left, right = shelf_of("left").pages, shelf_of("right").pages
    games = make_games(2, ("left", "right"))
    run(played(games, search={"left": Meeting(left), "right": Meeting(right)}))
    assert [game.outcome.reason for game in games] == ["solved"] * 2


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_threads_than_allowed_call_one_view_players(threads):
    class Counting:
        now = most = 0

        def act(self, view):
            self.now += 1
            self.most = max(self.most, self.now)
            threading.Event().wait(0.01)
            self.now -= 1
            return answer()

    solver = Counting()
    run(played(make_games(12), solver=solver, threads=threads))
    assert solver.most == threads


def test_ends_are_reported_and_awaited():
    seen = []

    async def slowly(game):
        await asyncio.sleep(0)
        seen.append(game.id)

    run(played(make_games(3), on_outcome=slowly))
    run(played(make_games(3), on_outcome=lambda game: seen.append(game.id)))
    assert sorted(seen) == ["g0", "g0", "g1", "g1", "g2", "g2"]


# -- slow games --------------------------------------------------------------------------------------------


def test_a_slow_game_stops_no_other():
    async def scenario():
        gate, ended = asyncio.Event(), []

        class Waits:
            async def act(self, view):
                if view.game_id == "g3":
                    await gate.wait()
                return answer()

        def on_outcome(game):
            ended.append(game.id)
            if len(ended) == 19:
                gate.set()

        await played(make_games(20), solver=Waits(), reader=PERFECT, on_outcome=on_outcome, concurrency=4)
        assert ended[-1] == "g3"

    run(scenario())


def test_a_slow_player_without_a_coroutine_function_stops_no_other_game():
    gate, ended = threading.Event(), []

    class Waits:
        def act(self, view):
            if view.game_id == "g3":
                gate.wait(LIMIT)
            return answer()

    def on_outcome(game):
        ended.append(game.id)
        if len(ended) == 19:
            gate.set()

    run(played(make_games(20), solver=Waits(), reader=PERFECT, on_outcome=on_outcome))
    assert ended[-1] == "g3"


def test_a_call_that_takes_too_long_ends_its_game_and_is_cancelled():
    reader, games = Never("g1"), make_games(4)
    outcomes = run(played(games, reader=reader, timeout=0.2))
    assert [outcome.verdict for outcome in outcomes] == ["valid", "error", "valid", "valid"]
    assert games[1].events[-1] == GameBroken("read", "reader: TimeoutError: no result within 0.2 s")
    assert reader.cancelled == ["g1"]


def test_a_thread_that_takes_too_long_is_abandoned():
    gate = threading.Event()

    class Stuck:
        def act(self, view):
            if view.game_id == "g1":
                gate.wait(LIMIT)
            return answer()

    try:
        outcomes = run(played(make_games(4), reader=Stuck(), timeout=0.2, threads=1))
    finally:
        gate.set()
    assert [outcome.verdict for outcome in outcomes] == ["valid", "error", "valid", "valid"]


def test_an_engine_that_hangs_breaks_the_games_that_asked_it():
    gate = threading.Event()

    class Stuck(Shelf):
        def search(self, queries, top_k):
            gate.wait(LIMIT)
            return []

    games = make_games(4, ("left", "right"))
    try:
        outcomes = run(played(games, search={"left": shelf_of("left"), "right": Stuck()}, timeout=0.2))
    finally:
        gate.set()
    assert [outcome.verdict for outcome in outcomes] == ["valid", "error", "valid", "error"]


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_a_timeout_is_above_0(timeout):
    with pytest.raises(ValueError, match="timeout must be above 0 seconds"):
        AsyncDriver([], Services(proposer=PROPOSER, solver=PERFECT, search=Shelf()), timeout=timeout)


def test_there_is_at_least_one_thread():
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        AsyncDriver([], Services(proposer=PROPOSER, solver=PERFECT, search=Shelf()), threads=0)


# -- the end of everything ---------------------------------------------------------------------------------


def test_what_a_player_raises_is_the_callers_if_wanted_and_the_rest_is_cancelled():
    class Fails(Never):
        async def act(self, view):
            await super().act(view)
            raise LookupError("no such word")

    solver = Fails("g0", "g1")

    async def scenario():
        with pytest.raises(LookupError, match="no such word"):
            await played(make_games(3), solver=solver, reader=PERFECT, on_player_error="raise")

    run(scenario())
    assert sorted(solver.cancelled) == ["g0", "g1"]


def test_without_that_it_ends_the_game():
    outcomes = run(played(make_games(2), solver=Broken(), reader=PERFECT))
    assert [outcome.verdict for outcome in outcomes] == ["error", "error"]


def test_cancelling_cancels_every_call():
    solver = Never("g0", "g1", "g2")

    async def scenario():
        playing = asyncio.create_task(played(make_games(3), solver=solver, reader=PERFECT))
        while len(solver.asked) < 3:
            await asyncio.sleep(0.001)
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing

    run(scenario())
    assert sorted(solver.cancelled) == ["g0", "g1", "g2"]


def test_an_interrupt_from_the_keyboard_cancels_every_call():
    class Interrupts(Never):
        async def act(self, view):
            await super().act(view)
            signal.raise_signal(signal.SIGINT)

    solver = Interrupts("g0", "g1")
    # Jobs in the background of a shell ignore the signal, and so would what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(played(make_games(3), solver=solver, reader=PERFECT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert sorted(solver.cancelled) == ["g0", "g1"]


def test_leaving_early_cancels_every_call():
    solver = Never("g1")

    async def scenario():
        services = Services(proposer=PROPOSER, solver=solver, reader=PERFECT, search=Shelf())
        async with AsyncDriver(make_games(3), services) as driver:
            async for _ in driver:
                if driver.alive == 1:
                    break
            assert not driver.done

    run(scenario())
    assert solver.cancelled == ["g1"]


# -- step by step ------------------------------------------------------------------------------------------


def test_a_cancelled_step_loses_nothing():
    async def scenario():
        games, others = make_games(8, attempts=2), make_games(8, attempts=2)
        player = Hurried(Wanderer())
        services = Services(proposer=player, solver=player, search=AsyncShelf())
        async with AsyncDriver(games, services, concurrency=3) as driver:
            while not driver.done:
                step = asyncio.create_task(driver.step())
                await asyncio.sleep(0)
                step.cancel()
                await asyncio.gather(step, return_exceptions=True)
                await driver.step()
        play(others, proposer=Wanderer(), solver=Wanderer(), search=Shelf())
        assert recorded(games) == recorded(others)

    run(scenario())


def test_a_step_asks_again_what_an_exception_left_open():
    class Once(Wanderer):
        raised = False

        def act(self, view):
            if view.phase == "solve" and view.game_id == "g1" and not self.raised:
                self.raised = True
                raise LookupError("once")
            return super().act(view)

    async def scenario():
        games, others = make_games(5), make_games(5)
        player = Once()
        services = Services(proposer=player, solver=player, search=Shelf(), on_player_error="raise")
        async with AsyncDriver(games, services) as driver:
            with pytest.raises(LookupError):
                async for _ in driver:
                    pass
            async for _ in driver:
                pass
        play(others, proposer=Wanderer(), solver=Wanderer(), search=Shelf())
        assert recorded(games) == recorded(others)

    run(scenario())
