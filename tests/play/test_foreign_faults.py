"""A panic or a stray cancellation, which are no `Exception`, end the games of that call, and no others."""

import asyncio

import pytest

from ssp_env.objects import ForeignFault, describe
from ssp_env.play import play, play_async
from ssp_env.search.tool import SearchCall, SearchTool
from tests.game.doubles import Shelf
from tests.play.players import Wanderer, make_games


class Panic(BaseException):
    pass


class Unspeakable(Exception):
    def __str__(self):
        raise Panic


FAULTS = [
    Panic("out of bounds"),
    asyncio.CancelledError("stray"),
    StopIteration(1),
    GeneratorExit(),
    Unspeakable(),
]
CAST = {
    "proposer": Wanderer(),
    "solver": Wanderer(),
    "reader": Wanderer(),
    "search": Shelf(),
    "judge": lambda request: True,
}


class Dying(Shelf):
    """Player, reader, judge and engine in one that raises what it was given when it is first asked."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.asked = 0

    def die(self):
        self.asked += 1
        if self.asked == 1:
            raise self.error

    def act(self, view):
        self.die()
        return Wanderer().act(view)

    def search(self, queries, top_k):
        self.die()
        return super().search(queries, top_k)

    def __call__(self, request):
        self.die()
        return True


class AsyncDying(Dying):
    async def act(self, view):
        return super().act(view)

    async def asearch(self, queries, top_k):
        return super().search(queries, top_k)

    async def __call__(self, request):
        return super().__call__(request)


def blocking(games, **services):
    return play(games, concurrency=1, **services)


def with_asyncio(games, **services):
    return asyncio.run(asyncio.wait_for(play_async(games, concurrency=1, **services), 30))


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("role", sorted(CAST))
@pytest.mark.parametrize(
    ("drive", "dying"), [(blocking, Dying), (with_asyncio, Dying), (with_asyncio, AsyncDying)]
)
def test_a_service_that_dies_ends_the_games_of_that_call_alone(drive, dying, role, error):
    outcomes = drive(make_games(4, attempts=1, judge=True), **{**CAST, role: dying(error)})
    failures = [outcome.failure for outcome in outcomes if outcome.verdict == "error"]
    assert len(failures) == 1 and len(outcomes) == 4
    # A coroutine that raises StopIteration raises RuntimeError in its place.
    assert type(error).__name__ in failures[0]


@pytest.mark.parametrize("drive", [blocking, with_asyncio])
def test_a_panic_of_a_player_is_the_callers_as_an_exception_if_wanted(drive):
    with pytest.raises(ForeignFault, match="Panic: out of bounds"):
        drive(make_games(2), **{**CAST, "solver": Dying(FAULTS[0])}, on_player_error="raise")


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_a_search_tool_says_that_its_engine_failed(error):
    tool = SearchTool(Dying(error))
    (failed,) = tool.run([SearchCall("belin")])
    assert failed.error is not None and failed.error.kind == "engine"
    (found,) = asyncio.run(asyncio.wait_for(tool.arun([SearchCall("corun")]), 30))
    assert found.error is None


def test_interrupts_are_nobodys_failure():
    with pytest.raises(KeyboardInterrupt):
        blocking(make_games(2), **{**CAST, "search": Dying(KeyboardInterrupt())})


def test_an_exception_without_text_is_described():
    assert describe(Unspeakable()) == "Unspeakable: its message cannot be read, str() raised Panic"
