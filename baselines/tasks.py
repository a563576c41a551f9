"""Tasks over generated worlds: those of training, and those that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ssp_env.game import Game, GameConfig, Task
from ssp_env.scenario import Scenario, open_scenario
from ssp_env.worlds import World
from ssp_env.worlds.config import Split

MAX_TRAIN_WORLDS = 1_000_000


@lru_cache(maxsize=512)
def open_world(preset: str, split: Split, index: int) -> tuple[World, Scenario]:
    """Open a world and the scenario over it; recently used ones are kept."""
    scenario = open_scenario(preset, split=split, index=index)
    assert scenario.world is not None
    return scenario.world, scenario


@dataclass(frozen=True)
class TaskSource:
    """Draws tasks from the training worlds of a preset.

    Attributes:
        preset: Name in `WORLD_PRESETS`.
        worlds: Number of worlds that a batch is spread over.
        hops: Numbers of hops, drawn equally often.
    """

    preset: str = "tiny"
    worlds: int = 8
    hops: Sequence[int] = (1, 2, 3)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[list[Task], dict[str, Scenario]]:
        """Draw tasks; return them, and by `Task.corpus` the scenarios that they are played in."""
        indexes = rng.integers(MAX_TRAIN_WORLDS, size=min(self.worlds, count))
        opened = {
            world.id: (world, scenario)
            for world, scenario in (open_world(self.preset, "train", int(index)) for index in indexes)
        }
        worlds = [world for world, _ in opened.values()]
        tasks = []
        for number in range(count):
            world = worlds[number % len(worlds)]
            hops = int(rng.choice(list(self.hops)))
            answers = world.answers(hops)
            answer = answers[int(rng.integers(len(answers)))]
            tasks.append(Task(answer, hops=hops, id=str(number), corpus=world.id))
        return tasks, {key: scenario for key, (_, scenario) in opened.items()}


def heldout_games(
    preset: str, hops: int, count: int, config: GameConfig, *, per_world: int = 4, first_world: int = 0
) -> tuple[list[Game], dict[str, Scenario]]:
    """Open one solver game per held-out question; return the games, and scenarios by `Task.corpus`.

    Args:
        preset: Name in `WORLD_PRESETS`.
        hops: Number of hops of every question.
        count: Number of questions.
        config: Rules of the games; `attempts` is the number of samples per question.
        per_world: Number of questions from each world.
        first_world: Index of the first held-out world.
    """
    games: list[Game] = []
    scenarios: dict[str, Scenario] = {}
    index = first_world
    while len(games) < count:
        world, scenario = open_world(preset, "heldout", index)
        scenarios[world.id] = scenario
        wanted = min(per_world, count - len(games))
        for number, known in enumerate(world.questions(hops, wanted, np.random.default_rng(index))):
            task = replace(known.task, id=f"{world.id}/{hops}/{number}", corpus=world.id)
            games.append(Game(task, config))
        index += 1
    return games, scenarios
