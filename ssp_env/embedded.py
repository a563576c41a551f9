"""The arena that ships with the package: a tiny generated world to play in without files or network."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from ssp_env.game import Game, GameConfig, Task
from ssp_env.game.config import TERSE_RULES
from ssp_env.search.bm25 import BM25Engine
from ssp_env.worlds import World, world_preset

_HOPS = (1, 2, 3)
_QUESTIONS_PER_HOPS = 40


@lru_cache(maxsize=1)
def embedded_world() -> World:
    """The first tiny training world: 24 entities with invented names, rendered tersely."""
    return World(world_preset("tiny"))


@lru_cache(maxsize=1)
def embedded_engine() -> BM25Engine:
    """The search engine over the pages of the embedded world."""
    return BM25Engine(embedded_world().passages(), stem=False, drop_stop_words=False)


@lru_cache(maxsize=1)
def embedded_tasks() -> tuple[Task, ...]:
    """One task per entity and hop count, from 1 to 3."""
    world = embedded_world()
    return tuple(
        Task(entity.name, entity.aliases, hops, id=f"{world.id}/{entity.name}/{hops}")
        for entity in world.entities()
        for hops in _HOPS
    )


def embedded_games(config: GameConfig = TERSE_RULES) -> list[Game]:
    """A new game for each of the tasks.

    >>> from ssp_env.play import play
    >>> class Silent:
    ...     def act(self, view):
    ...         return "hm"
    >>> outcomes = play(embedded_games(), proposer=Silent(), solver=Silent(), search=embedded_engine())
    >>> len(outcomes), outcomes[0].reason
    (72, 'malformed')
    """
    return [Game(task, config, rng=number) for number, task in enumerate(embedded_tasks())]


@lru_cache(maxsize=1)
def embedded_questions() -> tuple[Task, ...]:
    """Tasks with gold questions of 1 to 3 hops, 40 of each, always the same.

    Pairs of relations that are held out for evaluation do not occur.

    >>> task = embedded_questions()[40]
    >>> task.question, task.hops
    ('...', 2)
    """
    world, rng = embedded_world(), np.random.default_rng(0)
    drawn = [gold for hops in _HOPS for gold in world.questions(hops, _QUESTIONS_PER_HOPS, rng, "train")]
    return tuple(replace(gold.task, id=f"{world.id}/question/{number}") for number, gold in enumerate(drawn))
