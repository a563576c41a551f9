"""One engine for games that are driven apart: their noise is what the others found, as in one driver."""

import asyncio
import threading

import numpy as np
import pytest

from ssp_env.game import Game, GameConfig, Task
from ssp_env.game.events import EvidenceMixed
from ssp_env.play import play_async
from ssp_env.search.engine import PassageStore
from ssp_env.search.shared import SharedEngine
from tests.game.doubles import PAGES, QUESTION, Shelf, answer, question, search


class Apart:
    """Finds the two pages that its game is about."""

    def __init__(self, *titles):
        self.titles = titles

    def act(self, view):
        turn = sum(message.role == "assistant" for message in view.messages)
        if view.role != "proposer":
            return answer("Tavor")
        return [*map(search, self.titles), question(QUESTION)][turn]


def test_games_that_are_driven_apart_are_noise_for_each_other():
    engine = SharedEngine(Shelf())
    engine.engine.sample = lambda *_: pytest.fail("the corpus was not needed")

    async def one(name, *titles):
        game = Game(Task("Tavor", hops=2, id=name), GameConfig(noise_passages=2))
        await play_async([game], proposer=Apart(*titles), solver=Apart(), search=engine)
        return game

    async def both():
        await engine.asearch(["belin", "nobody 1"], top_k=2)
        return await one("a", "corun", "sarn")

    game = asyncio.run(both())
    (mixed,) = [event for event in game.events if isinstance(event, EvidenceMixed)]
    assert {passage.id for passage in mixed.passages} > {"p1", "p2"}
    assert len(mixed.noise_ids) == 2


def test_noise_is_what_was_found_lately_and_then_the_corpus():
    engine = SharedEngine(Shelf(), most=2)
    for title in ("belin", "corun", "sarn"):
        engine.search([title], top_k=1)
    rng = np.random.default_rng(0)
    assert {passage.id for passage in engine.sample(rng, 2, exclude=())} == {"p1", "p2"}
    more = engine.sample(rng, 4, exclude={"p1"})
    assert more[0].id == "p2" and len({passage.id for passage in more} - {"p1"}) == 4


def test_an_engine_that_cannot_sample_gives_what_was_found():
    class Searcher:
        def search(self, queries, top_k):
            return [[PAGES[0]] for _ in queries]

        def fingerprint(self):
            return "searcher"

    engine = SharedEngine(Searcher())
    assert engine.sample(np.random.default_rng(0), 2, exclude=()) == []
    engine.search(["belin"], top_k=1)
    assert engine.sample(np.random.default_rng(0), 2, exclude=()) == [PAGES[0]]
    assert engine.fingerprint() == "searcher" and not isinstance(engine, PassageStore)


def test_a_blocking_engine_is_called_once_at_a_time_and_another_side_by_side():
    class Counting(Shelf):
        def __init__(self):
            super().__init__()
            self.lock = threading.Lock()

        def search(self, queries, top_k):
            assert self.lock.acquire(blocking=False), "two calls at a time"
            try:
                return super().search(queries, top_k)
            finally:
                self.lock.release()

    class Waiting(Shelf):
        inside = most = 0

        async def asearch(self, queries, top_k):
            self.inside += 1
            self.most = max(self.most, self.inside)
            await asyncio.sleep(0)
            self.inside -= 1
            return Shelf.search(self, queries, top_k)

    async def many(engine):
        return await asyncio.gather(*(engine.asearch(["belin"], 1) for _ in range(20)))

    found = asyncio.run(many(SharedEngine(Counting())))
    assert [[passage.id for passage in one[0]] for one in found] == [["p0"]] * 20
    waiting = Waiting()
    asyncio.run(many(SharedEngine(waiting)))
    assert waiting.most == 20


def test_the_number_of_passages_kept_is_checked():
    with pytest.raises(ValueError, match="most"):
        SharedEngine(Shelf(), most=0)
