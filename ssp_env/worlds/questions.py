"""Gold questions: paths in the fact graph, asked in words, with the pages that answer them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ssp_env.game.task import Task
from ssp_env.worlds.schema import is_heldout_composition

MAX_HOPS = 4
"""Most facts that a question of a world chains."""
Compositions = Literal["all", "train", "heldout"]


@dataclass(frozen=True, slots=True)
class KnownQuestion:
    """A question whose one answer, path and supporting pages are known.

    Attributes:
        question: The question in the world's rendering.
        answer: Name of the answer.
        aliases: Other accepted names of the answer.
        hops: Number of facts on the path, 1 to `MAX_HOPS`.
        entities: Names along the path, from the entity the question names to the answer.
        relations: Relation words in reading order: the first is applied last.
        passage_ids: Pages that state the path's facts, in path order.
    """

    question: str
    answer: str
    aliases: tuple[str, ...]
    hops: int
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    passage_ids: tuple[str, ...]

    @property
    def task(self) -> Task:
        """The question, its answer and its hops as the task of a game, without an id."""
        return Task(self.answer, self.aliases, self.hops, self.question)


@dataclass(frozen=True, slots=True)
class Path:
    """A walk in the fact graph that visits no entity twice.

    Attributes:
        entities: Entity numbers, from start to end.
        relations: Relation words in reading order: the first is applied last.
    """

    entities: tuple[int, ...]
    relations: tuple[str, ...]


def check_hops(hops: int) -> None:
    """Raise ValueError unless `hops` is 1 to `MAX_HOPS`."""
    if hops not in range(1, MAX_HOPS + 1):
        raise ValueError(f"hops must be 1 to {MAX_HOPS}, not {hops!r}")


def in_compositions(relations: tuple[str, ...], compositions: Compositions) -> bool:
    """Tell whether a path belongs to the wanted compositional split."""
    if compositions == "all":
        return True
    return is_heldout_composition(relations) == (compositions == "heldout")


def names_any(text: str, names: tuple[str, ...]) -> bool:
    """Tell whether any of `names` occurs in `text` as whole words, ignoring case.

    >>> names_any("Who built the Tavom Bridge?", ("tavom",)), names_any("Who is Tavomir?", ("tavom",))
    (True, False)
    """
    words = f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "
    return any(f" {' '.join(re.findall(r'[a-z0-9]+', name.lower()))} " in words for name in names)
