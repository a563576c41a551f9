"""What every agent of a comparison is measured on: answers to ask for, and questions with known answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agents.setting import Setting, corpus_setting, draw_tasks
from baselines.tasks import open_site
from ssp_env.data import read_questions
from ssp_env.game import Game, GameConfig, Task


@dataclass(frozen=True)
class AgentTasks:
    """Tasks that are the same for every agent.

    Attributes:
        setting: Engine, and one answer per game to ask for.
        known: Tasks with a known question.
    """

    setting: Setting
    known: Sequence[Task] = ()

    def open_games(self, config: GameConfig, seed: int) -> tuple[list[Game], list[Game]]:
        """Open the games in which the agent asks, and those in which it only answers."""
        asked = [
            Game(task, config, rng=seed + number, game_id=f"asked/{task.id}")
            for number, task in enumerate(self.setting.tasks)
        ]
        known = [
            Game(task, config, rng=seed + number, game_id=f"known/{task.id}")
            for number, task in enumerate(self.known)
        ]
        return asked, known


def world_tasks(preset: str, *, games: int, questions: int, hops: int, seed: int) -> AgentTasks:
    """Draw tasks and gold questions from a world that nothing trains on.

    Args:
        preset: Name in `WORLD_PRESETS`.
        games: Answers to ask for.
        questions: Gold questions.
        hops: Hops to ask for, and of the gold questions.
        seed: Number of the held-out world, and of what is drawn from it.

    Raises:
        ValueError: If the preset is unknown, or the world has too few questions.
    """
    site = open_site(preset, "heldout", seed)
    world = site.world
    answers = [Task(name, hops=hops) for name in world.answers(hops)]
    setting = Setting(
        site.engine,
        draw_tasks(answers, games, seed),
        world.config.rendering == "terse",
        f"world {world.id}, {len(world):,} passages",
    )
    gold = world.questions(hops, questions, np.random.default_rng(seed)) if questions else []
    known = [replace(one.task, id=str(number)) for number, one in enumerate(gold, start=1)]
    return AgentTasks(setting, known)


def corpus_tasks(
    corpus: Path,
    answers: Path | None,
    gold: Path | None,
    *,
    games: int,
    questions: int,
    hops: int,
    seed: int,
) -> AgentTasks:
    """Draw tasks over a corpus file, and questions from a question set, if there is one.

    Args:
        corpus: Passages, as JSONL or JSONL.gz.
        answers: Answers to ask for; without it, short page titles.
        gold: Question set in the form of FlashRAG and Search-R1.
        games: Answers to ask for.
        questions: Questions to take from the set.
        hops: Hops to ask for.
        seed: Of what is drawn.

    Raises:
        ValueError: If a file cannot be read or is malformed, or has too few questions.
    """
    setting = corpus_setting(corpus, answers, games, hops, seed)
    if gold is None:
        return AgentTasks(setting)
    listed = read_questions(gold)
    if questions > len(listed):
        raise ValueError(f"{gold} has {len(listed)} questions, asked for are {questions}")
    order = np.random.default_rng(seed).permutation(len(listed))[:questions]
    return AgentTasks(setting, [listed[place] for place in order])
