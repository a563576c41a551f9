"""Players, engines and readers for many games at once: quick, slow, broken, and games to give them."""

import asyncio
import json
import re
import time

import numpy as np

from ssp_env.game import Game, GameConfig, Task
from ssp_env.game.events import EvidenceMixed
from ssp_env.game.passage import Passage
from tests.game.doubles import PAGES, PROPOSAL, Shelf, answer, question, search


def make_games(count=4, corpora=("",), **options):
    return [
        Game(
            Task("Tavor", id=f"g{index}", corpus=corpora[index % len(corpora)]),
            GameConfig(**options),
            rng=index,
        )
        for index in range(count)
    ]


def shelf_of(corpus):
    """Pages like the usual ones, with ids of their own."""
    return Shelf([Passage(f"{corpus}/{page.id}", page.title, page.text) for page in PAGES])


def number_of(view):
    return int(re.sub(r"\D", "", view.game_id))


class Wanderer:
    """Searches, stumbles and finishes in a way that differs from game to game and from seat to seat."""

    def act(self, view):
        turn = sum(message.role == "assistant" for message in view.messages)
        wait = (number_of(view) + len(view.seat) + ord(view.seat[-1])) % 3
        if view.role == "proposer":
            if number_of(view) % 7 == 6:
                return question("short")
            return [*PROPOSAL[:2], *[search(f"nobody {n}") for n in range(wait)], question()][turn]
        if view.role == "reader":
            return answer("Sarn" if number_of(view) % 5 == 4 else "Tavor")
        if turn > wait:
            return answer("Sarn" if wait == 1 or number_of(view) % 4 == 3 else "Tavor")
        return search("corun") if turn else "hm"


class Batched:
    """A batched player around a one-view one."""

    def __init__(self, player):
        self.player = player
        self.sizes = []

    def act_batch(self, views):
        self.sizes.append(len(views))
        return [self.player.act(view) for view in views]


class Hurried:
    """Draws how long to wait before it answers, so that answers arrive in any order."""

    def __init__(self, player, seed=0):
        self.player = player
        self.rng = np.random.default_rng(seed)

    async def act(self, view):
        for _ in range(self.rng.integers(6)):
            await asyncio.sleep(0)
        return self.player.act(view)


class HurriedBatch(Hurried):
    """The same in batches."""

    async def act_batch(self, views):
        await asyncio.sleep(0)
        return [await Hurried.act(self, view) for view in views]


class Drowsy:
    """A player without a coroutine function that sleeps at random."""

    def __init__(self, player, seed=0):
        self.player = player
        self.rng = np.random.default_rng(seed)

    def act(self, view):
        time.sleep(self.rng.uniform(0, 0.001))
        return self.player.act(view)


class AsyncShelf(Shelf):
    """A shelf whose `search` is a coroutine function."""

    async def search(self, queries, top_k):
        await asyncio.sleep(0)
        return Shelf.search(self, queries, top_k)


class Broken:
    """An engine, player or judge that raises."""

    def search(self, queries, top_k):
        raise ConnectionError("no route to host")

    def fingerprint(self):
        return "broken"

    def act(self, view):
        raise TimeoutError("no reply")


def recorded(games):
    """Everything that happened, as bytes per game."""
    return [f"{json.dumps(game.snapshot())}\n{game.events}\n{game.outcome}".encode() for game in games]


def noise_ids(game):
    (event,) = [event for event in game.events if isinstance(event, EvidenceMixed)]
    return event.noise_ids
