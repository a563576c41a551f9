"""Where the tasks of a run come from: generated worlds, a corpus with answers, or a question file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from baselines.config.source import SourceConfig
from ssp_env.data import read_questions
from ssp_env.game import Game, GameConfig, Task
from ssp_env.scenario import Scenario, open_scenario
from ssp_env.search.degraded import DegradedEngine
from ssp_env.worlds import WORLD_PRESETS, KnownQuestion, World, WorldConfig
from ssp_env.worlds.config import Split

MAX_TRAIN_WORLDS = 1_000_000
VALIDATION_FIRST_WORLD = 1_000_000
"""Held-out worlds from this number on are for learning curves, those before for final figures."""


class HeldOut(NamedTuple):
    """Questions that nothing trains on.

    Attributes:
        name: Their number of hops, or `questions` for those of a file.
        games: One solver game per question.
        scenarios: What they are played in, by `Task.corpus`.
    """

    name: str
    games: list[Game]
    scenarios: Mapping[str, Scenario]


class Source(Protocol):
    """Gives a run its tasks, and the questions on which its solver is measured."""

    def draw(self, rng: np.random.Generator, count: int) -> tuple[list[Task], dict[str, Scenario]]:
        """Draw tasks; return them, and by `Task.corpus` the scenarios that they are played in.

        A task that has a question is played by the solver alone.
        """
        ...

    def reopen(self, corpus: str) -> Scenario:
        """Return the scenario of a task that was drawn earlier, by `Task.corpus`."""
        ...

    def heldout(self, config: GameConfig, questions: int, *, validation: bool) -> Iterator[HeldOut]:
        """Yield sets of at most so many questions: for the learning curve, or for the final figures."""
        ...


def open_source(config: SourceConfig, world: str, hops: Sequence[int], rules: GameConfig) -> Source:
    """Return the source that a configuration names.

    Args:
        config: What it names.
        world: Name in `WORLD_PRESETS`, for generated worlds.
        hops: Numbers of hops to ask for.
        rules: Rules of the games.

    Raises:
        ValueError: If there is no such world, or a file is malformed.
    """
    if config.over_corpus:
        scenario = open_scenario(
            corpus=config.corpus or None,
            search=config.search or None,
            answers=config.answers or None,
            questions=config.questions or None,
            hops=hops,
            rules=rules,
        )
        return CorpusSource(scenario, config)
    if world not in WORLD_PRESETS:
        raise ValueError(f"unknown world preset {world!r}; known presets: {', '.join(sorted(WORLD_PRESETS))}")
    per_world = config.questions_per_world
    return WorldSource(world, config.worlds, hops, config.known_questions, per_world, drop=config.drop)


# -- generated worlds --------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def open_world(preset: str, split: Split, index: int, drop: float = 0.0) -> tuple[World, Scenario]:
    """Open a world and the scenario over it, whose searches may lose results; recently used ones are kept."""
    scenario = open_scenario(preset, split=split, index=index)
    if drop:
        lossy = DegradedEngine(scenario.engine, drop, seed=index)
        scenario = open_scenario(preset, split=split, index=index, search=lossy)
    assert scenario.world is not None
    return scenario.world, scenario


@dataclass(frozen=True)
class WorldSource:
    """Draws tasks from the training worlds of a preset.

    Attributes:
        preset: Name in `WORLD_PRESETS`.
        worlds: Number of worlds that a batch is spread over.
        hops: Numbers of hops, drawn equally often.
        known_questions: Draw questions whose answer is known, instead of answers.
        per_world: Held-out questions from each world and number of hops.
        shares: How often each number of hops is drawn; empty for equally often.
        drop: Share of the results that searches lose.
    """

    preset: str = "tiny"
    worlds: int = 8
    hops: Sequence[int] = (1, 2, 3)
    known_questions: bool = False
    per_world: int = 4
    shares: Mapping[int, float] = field(default_factory=dict)
    drop: float = 0.0

    def draw(self, rng: np.random.Generator, count: int) -> tuple[list[Task], dict[str, Scenario]]:
        """Draw tasks; return them, and by `Task.corpus` the scenarios that they are played in."""
        if self.known_questions:
            known, scenarios = self.draw_known(rng, count)
            return [
                replace(question.task, id=str(number), corpus=corpus)
                for number, (question, corpus) in enumerate(known)
            ], scenarios
        worlds, scenarios = self._draw_worlds(rng, count)
        tasks = []
        for number in range(count):
            world = worlds[number % len(worlds)]
            hops = self._draw_hops(rng)
            answers = world.answers(hops)
            answer = answers[int(rng.integers(len(answers)))]
            tasks.append(Task(answer, hops=hops, id=str(number), corpus=world.id))
        return tasks, scenarios

    def draw_known(
        self, rng: np.random.Generator, count: int
    ) -> tuple[list[tuple[KnownQuestion, str]], dict[str, Scenario]]:
        """Draw questions with known answers, each with the key of its scenario.

        None has a pair of relations that is held out for evaluation.
        """
        worlds, scenarios = self._draw_worlds(rng, count)
        drawn = []
        for number in range(count):
            world = worlds[number % len(worlds)]
            (known,) = world.questions(self._draw_hops(rng), 1, rng, "train")
            drawn.append((known, world.id))
        return drawn, scenarios

    def _draw_hops(self, rng: np.random.Generator) -> int:
        if not self.shares:
            return int(rng.choice(list(self.hops)))
        return int(rng.choice(list(self.shares), p=list(self.shares.values())))

    def _draw_worlds(self, rng: np.random.Generator, count: int) -> tuple[list[World], dict[str, Scenario]]:
        indexes = rng.integers(MAX_TRAIN_WORLDS, size=min(self.worlds, count))
        opened = {
            world.id: (world, scenario)
            for world, scenario in (
                open_world(self.preset, "train", int(index), self.drop) for index in indexes
            )
        }
        scenarios = {key: scenario for key, (_, scenario) in opened.items()}
        return [world for world, _ in opened.values()], scenarios

    def reopen(self, corpus: str) -> Scenario:
        """Return the scenario of a task that was drawn earlier, by `Task.corpus`."""
        world = WorldConfig.from_id(corpus)
        return open_world(self.preset, world.split, world.index, self.drop)[1]

    def heldout(self, config: GameConfig, questions: int, *, validation: bool) -> Iterator[HeldOut]:
        """Yield as many questions for each number of hops, from worlds of the held-out split."""
        first = VALIDATION_FIRST_WORLD if validation else 0
        for hops in sorted(set(self.hops)):
            found = heldout_games(
                self.preset, hops, questions, config,
                per_world=self.per_world, first_world=first, drop=self.drop,
            )  # fmt: skip
            yield HeldOut(str(hops), *found)


def heldout_games(
    preset: str,
    hops: int,
    count: int,
    config: GameConfig,
    *,
    per_world: int = 4,
    first_world: int = 0,
    drop: float = 0.0,
) -> tuple[list[Game], dict[str, Scenario]]:
    """Open one solver game per held-out question; return the games, and scenarios by `Task.corpus`.

    Args:
        preset: Name in `WORLD_PRESETS`.
        hops: Number of hops of every question.
        count: Number of questions.
        config: Rules of the games; `attempts` is the number of samples per question.
        per_world: Number of questions from each world.
        first_world: Index of the first held-out world.
        drop: Share of the results that searches lose.
    """
    games: list[Game] = []
    scenarios: dict[str, Scenario] = {}
    for _, task, scenario in heldout_questions(
        preset, hops, count, per_world=per_world, first_world=first_world, drop=drop
    ):
        scenarios[task.corpus] = scenario
        games.append(Game(task, config))
    return games, scenarios


def heldout_questions(
    preset: str, hops: int, count: int, *, per_world: int = 4, first_world: int = 0, drop: float = 0.0
) -> Iterator[tuple[KnownQuestion, Task, Scenario]]:
    """Yield held-out questions, each with its task and the scenario that `Task.corpus` names.

    The arguments are those of `heldout_games`.
    """
    index = first_world
    while count > 0:
        world, scenario = open_world(preset, "heldout", index, drop)
        found = world.questions(hops, min(per_world, count), np.random.default_rng(index))
        for number, known in enumerate(found):
            yield known, replace(known.task, id=f"{world.id}/{hops}/{number}", corpus=world.id), scenario
        count, index = count - len(found), index + 1


# -- a corpus of one's own ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class CorpusSource:
    """Draws answers, or questions whose answer is known, that are played over one corpus.

    Attributes:
        scenario: Corpus, search engine and tasks.
        config: Names the files of questions.
    """

    scenario: Scenario
    config: SourceConfig = field(default_factory=SourceConfig)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[list[Task], dict[str, Scenario]]:
        """Draw tasks, each once before any comes again; the one corpus has the key ""."""
        tasks = self.scenario.questions if self.config.questions else self.scenario.tasks
        rounds = -(-count // len(tasks))
        order = np.concatenate([rng.permutation(len(tasks)) for _ in range(rounds)])[:count]
        drawn = [replace(tasks[int(place)], id=str(number), corpus="") for number, place in enumerate(order)]
        return drawn, {"": self.scenario}

    def reopen(self, corpus: str) -> Scenario:
        """Return the one scenario."""
        return self.scenario

    def heldout(self, config: GameConfig, questions: int, *, validation: bool) -> Iterator[HeldOut]:
        """Yield the first questions of the file for this purpose, if there is one."""
        file = self.config.validation if validation else self.config.heldout
        if file:
            tasks = [replace(task, corpus="") for task in read_questions(file)[:questions]]
            yield HeldOut("questions", [Game(task, config) for task in tasks], {"": self.scenario})
