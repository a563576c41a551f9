"""Tasks over procedurally generated worlds: what is trained on and what is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from ssp_env.game import Game, GameConfig, Task
from ssp_env.search.bm25 import BM25Engine
from ssp_env.worlds import World, world_preset

Split = Literal["train", "heldout"]
MAX_TRAIN_WORLDS = 1_000_000


@dataclass(frozen=True)
class Site:
    """A world and the engine that searches it."""

    world: World
    engine: BM25Engine


def open_world(preset: str, split: Split, index: int) -> World:
    """Generate a world of a preset."""
    return World(replace(world_preset(preset), split=split, index=index))


@lru_cache(maxsize=512)
def open_site(preset: str, split: Split, index: int) -> Site:
    """Generate a world and index it; recently used ones are kept."""
    world = open_world(preset, split, index)
    terse = world.config.rendering == "terse"
    return Site(world, BM25Engine(world.passages(), stem=not terse, all_words_first=terse))


@dataclass(frozen=True)
class TaskSource:
    """Draws tasks from the training worlds of a preset.

    Attributes:
        preset: Name in `WORLD_PRESETS`.
        worlds: Number of worlds a batch spreads over.
        hops: Hop counts asked for, equally often.
    """

    preset: str = "tiny"
    worlds: int = 8
    hops: Sequence[int] = (1, 2, 3)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[list[Task], dict[str, Site]]:
        """Draw tasks and the sites they are played over, keyed by `Task.corpus`."""
        sites: dict[str, Site] = {}
        for index in rng.integers(MAX_TRAIN_WORLDS, size=min(self.worlds, count)):
            site = open_site(self.preset, "train", int(index))
            sites[site.world.id] = site
        keys = list(sites)
        tasks = []
        for number in range(count):
            site = sites[keys[number % len(keys)]]
            hops = int(rng.choice(list(self.hops)))
            answers = site.world.answers(hops)
            answer = answers[int(rng.integers(len(answers)))]
            tasks.append(Task(answer, hops=hops, id=str(number), corpus=site.world.id))
        return tasks, sites


def heldout_games(
    preset: str, hops: int, count: int, config: GameConfig, *, per_world: int = 4, first_world: int = 0
) -> tuple[list[Game], dict[str, Site]]:
    """Open one solver game per held-out question.

    Args:
        preset: Name in `WORLD_PRESETS`.
        hops: Hops of every question.
        count: Number of questions.
        config: Rules; `attempts` is the number of samples per question.
        per_world: Questions taken from one world.
        first_world: Index of the first held-out world.
    """
    games: list[Game] = []
    sites: dict[str, Site] = {}
    index = first_world
    while len(games) < count:
        site = open_site(preset, "heldout", index)
        wanted = min(per_world, count - len(games))
        for number, gold in enumerate(site.world.questions(hops, wanted, np.random.default_rng(index))):
            task = replace(gold.task, id=f"{site.world.id}/{hops}/{number}", corpus=site.world.id)
            games.append(Game(task, config))
        sites[site.world.id] = site
        index += 1
    return games, sites
