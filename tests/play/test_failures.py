"""Services that die in the middle of 100 games: who asked them is unknown, everybody else plays on."""

import asyncio
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from ssp_env.game.events import GameBroken
from ssp_env.game.passage import Passage
from ssp_env.play import play, play_async
from tests.game.doubles import Shelf
from tests.play.players import Hurried, Wanderer, make_games

GAMES = 100


class Mortal(Shelf):
    """Reader, judge and engine in one; after `calls` calls everything it is asked raises."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls
        self.refused = 0

    def live(self):
        self.calls -= 1
        if self.calls < 0:
            self.refused += 1
            raise ConnectionError("died")

    def act(self, view):
        self.live()
        return Wanderer().act(view)

    def search(self, queries, top_k):
        self.live()
        return super().search(queries, top_k)

    def __call__(self, request):
        self.live()
        return request.candidate == "Sarn"


def games_of():
    return make_games(GAMES, attempts=2, judge=True)


def cast(**services):
    defaults = {
        "proposer": Wanderer(),
        "solver": Wanderer(),
        "reader": Wanderer(),
        "search": Shelf(),
        "judge": lambda request: request.candidate == "Sarn",
    }
    return {**defaults, **services}


def play_with_asyncio(games, **options):
    options["proposer"] = Hurried(options["proposer"])
    return asyncio.run(play_async(games, **options))


@pytest.fixture(scope="module")
def undisturbed():
    outcomes = play(games_of(), **cast())
    assert {outcome.verdict for outcome in outcomes} == {"valid", "invalid"}
    return outcomes


def check(games, outcomes, undisturbed, source):
    """Broken games pay nobody and say what broke them; the others are as if nothing had happened."""
    broken = [index for index, outcome in enumerate(outcomes) if outcome.verdict == "error"]
    assert 0 < len(broken) < GAMES
    for index, (game, outcome) in enumerate(zip(games, outcomes)):
        if index in broken:
            assert isinstance(game.events[-1], GameBroken)
            assert re.match(
                rf"{source}(_\d)?( for (proposer|reader|solver_\d))?: \w+(: |$)", game.events[-1].detail
            )
            assert outcome.reason == "error" and outcome.success_rate is None
            assert set(outcome.rewards.values()) == {0.0}
        else:
            assert outcome == undisturbed[index]
    return len(broken)


@pytest.mark.parametrize("driver", [play, play_with_asyncio])
@pytest.mark.parametrize(("source", "calls"), [("reader", 40), ("judge", 12), ("search", 30)])
def test_a_service_that_dies_breaks_the_games_that_ask_it_afterwards(driver, source, calls, undisturbed):
    games, service = games_of(), Mortal(calls)
    outcomes = driver(games, **cast(**{source: service}), concurrency=10, cohort=10)
    broken = check(games, outcomes, undisturbed, source)
    # A judge may be asked twice at a time by one game, and an engine by several games.
    assert broken == service.refused if source == "reader" else service.refused > 0


@pytest.mark.parametrize("driver", [play, play_with_asyncio])
def test_a_player_that_dies_breaks_the_games_that_ask_it_afterwards(driver, undisturbed):
    games, solver = games_of(), Mortal(100)
    outcomes = driver(games, **cast(solver=solver), concurrency=10, cohort=10)
    check(games, outcomes, undisturbed, "solver")
    assert solver.refused > 0


# -- a server ----------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Reads at `/read`, searches at `/search`."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/read":
            reply = "<answer> Sarn </answer>" if asked["wrong"] else "<answer> Tavor </answer>"
        else:
            found = Shelf().search(asked["queries"], asked["top_k"])
            reply = [[[page.id, page.title, page.text] for page in pages] for pages in found]
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Keep quiet."""


class Server:
    """A server on this machine that can be shut down at any time."""

    def __init__(self):
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def shut_down(self):
        if self.thread.is_alive():
            self.http.shutdown()
            self.thread.join()
            self.http.server_close()


@contextmanager
def serving():
    server = Server()
    try:
        yield server
    finally:
        server.shut_down()


def reading(view):
    return {"wrong": Wanderer().act(view) != "<answer> Tavor </answer>"}


class HttpReader:
    def __init__(self, client):
        self.client = client

    def act(self, view):
        return self.client.post("/read", json=reading(view)).raise_for_status().json()


class AsyncHttpReader(HttpReader):
    async def act(self, view):
        return (await self.client.post("/read", json=reading(view))).raise_for_status().json()


def pages_of(response):
    return [[Passage(*page) for page in pages] for pages in response.raise_for_status().json()]


class HttpEngine(Shelf):
    def __init__(self, client):
        super().__init__()
        self.client = client

    def search(self, queries, top_k):
        return pages_of(self.client.post("/search", json={"queries": queries, "top_k": top_k}))


class AsyncHttpEngine(HttpEngine):
    async def search(self, queries, top_k):
        return pages_of(await self.client.post("/search", json={"queries": queries, "top_k": top_k}))


def killing(server, after):
    """Count ends, and shut the server down at the given one."""
    ended = []

    def on_outcome(game):
        ended.append(game.id)
        if len(ended) == after:
            server.shut_down()

    return on_outcome


@pytest.mark.parametrize(("source", "service"), [("reader", HttpReader), ("search", HttpEngine)])
def test_a_server_shut_down_between_rounds(source, service, undisturbed):
    games = games_of()
    with serving() as server, httpx.Client(base_url=server.url) as client:
        outcomes = play(
            games,
            **cast(**{source: service(client)}),
            concurrency=10,
            cohort=10,
            on_outcome=killing(server, 35),
        )
    check(games, outcomes, undisturbed, source)


@pytest.mark.parametrize(("source", "service"), [("reader", AsyncHttpReader), ("search", AsyncHttpEngine)])
def test_a_server_shut_down_under_asyncio(source, service, undisturbed):
    games = games_of()

    async def scenario():
        with serving() as server:
            async with httpx.AsyncClient(base_url=server.url) as client:
                return await play_async(
                    games,
                    **cast(**{source: service(client)}),
                    concurrency=10,
                    cohort=10,
                    timeout=30,
                    on_outcome=killing(server, 35),
                )

    check(games, asyncio.run(scenario()), undisturbed, source)
