"""What games are played over: a search engine and tasks, from a fictional world or from files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ssp_env.data import read_answers
from ssp_env.game import GameConfig, Task
from ssp_env.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.corpus import read_corpus
from ssp_env.worlds import World, world_preset

MAX_TITLE_WORDS = 3
MIN_PAGE_WORDS = 30


@dataclass(frozen=True)
class Setting:
    """An engine and the tasks to play over it.

    Attributes:
        engine: Searches the passages.
        tasks: One per game.
        terse: Whether the passages are word-level text for scripted players and tiny models.
        description: What it is, in a few words.
    """

    engine: BM25Engine
    tasks: Sequence[Task]
    terse: bool
    description: str


def world_setting(preset: str, games: int, hops: int, seed: int) -> Setting:
    """Play over world `seed` of a preset, asking for its entities.

    Raises:
        ValueError: If the preset is unknown.
    """
    world = World(world_preset(preset, index=seed))
    terse = world.config.rendering == "terse"
    tasks = [Task(name, hops=hops) for name in world.answers(hops)]
    return Setting(
        BM25Engine(world.passages(), stem=not terse, all_words_first=terse),
        draw_tasks(tasks, games, seed),
        terse,
        f"world {world.id}, {len(world):,} passages",
    )


def corpus_setting(corpus: Path, answers: Path | None, games: int, hops: int, seed: int) -> Setting:
    """Play over a corpus file, asking for the answers of a file or else for short page titles.

    Raises:
        ValueError: If a file cannot be read or is malformed, or the corpus has no short titles.
    """
    passages = list(read_corpus(corpus))
    if answers:
        tasks = read_answers(answers, hops=hops)
    else:
        tasks = [Task(title, hops=hops) for title in short_titles(passages)]
    if not tasks:
        raise ValueError(
            f"{corpus} has no page with a title of at most {MAX_TITLE_WORDS} words and a text of at least "
            f"{MIN_PAGE_WORDS} to ask for: give answers of your own with --answers FILE"
        )
    engine = BM25Engine(passages)
    described = f"{corpus.name}, {len(passages):,} passages"
    return Setting(engine, draw_tasks(tasks, games, seed), False, described)


def short_titles(passages: Iterable[Passage]) -> list[str]:
    """Return the titles that make good answers, sorted: short names of pages with a proper text.

    >>> pages = [Passage("0", "Odense", "word " * 40), Passage("1", "Odense (ship)", "word " * 40)]
    >>> short_titles([*pages, Passage("2", "Funen", "A stub.")])
    ['Odense']
    """
    return sorted(
        {
            page.title
            for page in passages
            if 1 <= len(page.title.split()) <= MAX_TITLE_WORDS
            and "(" not in page.title
            and len(page.text.split()) >= MIN_PAGE_WORDS
        }
    )


def draw_tasks(tasks: Sequence[Task], games: int, seed: int) -> list[Task]:
    """Draw one task per game, every task once before any comes again; their ids are numbers from 1."""
    rng = np.random.default_rng(seed)
    order = [int(place) for _ in range(-(-games // len(tasks))) for place in rng.permutation(len(tasks))]
    return [replace(tasks[place], id=str(number)) for number, place in enumerate(order[:games], start=1)]


def rules(prompts: str, terse: bool, config: GameConfig) -> GameConfig:
    """Fit rules to the players' prompt style: terse games have shorter questions and fewer searches.

    Raises:
        ValueError: If the players read terse passages only and these are not terse.
    """
    if prompts != "terse":
        return replace(config, prompts=prompts)
    if not terse:
        raise ValueError(
            "scripted players and tiny checkpoints can read terse worlds only: "
            "choose --world tiny, or language models such as --proposer smollm2 --solver smollm2"
        )
    config = config.with_budget(max_searches=4, retries=0)
    return replace(config, protocol="terse", prompts="terse", min_question_words=4)
