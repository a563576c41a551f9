"""What one game is about: a ground-truth answer, the number of hops, and the question where it is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from ssp_env.game.view import MAX_ANSWER_CHARS, replace_surrogates
from ssp_env.scoring import answer_key

MAX_TASK_HOPS = 20
"""Most hops that a task may ask for; questions of generated worlds have fewer, `ssp_env.worlds.MAX_HOPS`."""


@dataclass(frozen=True, slots=True)
class Task:
    """A ground-truth answer, with its question if one is known; otherwise the proposer must write one.

    A game about a known question opens in the solve phase. `dataclasses.replace(task, question="")` is the
    task of writing a question of one's own for the same answer.

    Attributes:
        answer: The answer every question of this game must have.
        aliases: Other spellings that count as the answer.
        hops: Number of searches the question should need, from 1 to 20.
        question: The question, if it is known; empty if the proposer is to write it.
        id: Identifier of the task within its source.
        corpus: Key of the corpus the game is played over; drivers map it to a search engine.
        provenance: Plain data about where the task came from; never shown to a player.

    Raises:
        ValueError: If the answer or an alias has no visible character or is longer than what a player may
            answer, the question is nothing but white space, or `hops` is outside 1..20.
        TypeError: If the answer, an alias or the question is not a string (see `from_target` for answers of
            other types).
    """

    answer: str
    aliases: tuple[str, ...] = ()
    hops: int = 1
    question: str = ""
    id: str = ""
    corpus: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for text in (self.answer, *self.aliases):
            if not isinstance(text, str):
                raise TypeError(f"a task answer must be a string, got {type(text).__name__}: {text!r}")
            if not answer_key(text):
                raise ValueError(f"a task needs a non-blank answer and non-blank aliases, got {text!r}")
            if len(text) > MAX_ANSWER_CHARS:
                raise ValueError(
                    f"an answer must have at most {MAX_ANSWER_CHARS} characters, as many as a player may "
                    f"write, got {len(text)}: {text[:40]!r}..."
                )
        if not isinstance(self.question, str):
            raise TypeError(f"the question of a task must be a string, got {type(self.question).__name__}")
        if self.question and not self.question.strip():
            raise ValueError(f"the question of a task must not be blank, got {self.question!r}")
        object.__setattr__(self, "answer", replace_surrogates(self.answer))
        object.__setattr__(self, "question", replace_surrogates(self.question))
        object.__setattr__(self, "aliases", tuple(map(replace_surrogates, self.aliases)))
        if not 1 <= self.hops <= MAX_TASK_HOPS:
            raise ValueError(f"hops must be from 1 to {MAX_TASK_HOPS}, got {self.hops}")

    @property
    def golds(self) -> tuple[str, ...]:
        """The answer and its aliases."""
        return (self.answer, *self.aliases)

    @classmethod
    def from_target(
        cls,
        target: str | float | Iterable[str | float] | Mapping[str, Any],
        *,
        hops: int = 1,
        question: str = "",
        id: str = "",
        corpus: str = "",
    ) -> Task:
        """Build a task from the forms targets take in question-answering data sets.

        A list is one answer followed by its aliases; numbers become their decimal text. `{"target": ...}` is
        verl's ground truth.

        Raises:
            TypeError: If the target, or one of a list, is anything else.
            ValueError: If there is no answer, or one is blank.

        >>> Task.from_target(["Paris", "City of Light"], hops=2).golds
        ('Paris', 'City of Light')
        >>> Task.from_target(1889).answer
        '1889'
        >>> Task.from_target({"target": ["Paris"]}).answer
        'Paris'
        """
        if isinstance(target, Mapping):
            if [*target] != ["target"]:
                raise TypeError(
                    f'a target that is an object must be {{"target": ...}}, got the keys {[*target]}'
                )
            target = target["target"]
        values: list[Any]
        if isinstance(target, str | Real):
            values = [target]
        elif isinstance(target, Iterable) and not isinstance(target, bytes | bytearray | Mapping):
            values = list(target)
        else:
            raise TypeError(f"a target must be text, a number or a list of them, got {target!r}")
        if not values:
            raise ValueError("a task needs at least one answer, got an empty list")
        if wrong := [value for value in values if not isinstance(value, str | Real)]:
            raise TypeError(f"a list of answers must hold texts and numbers alone, got {wrong[0]!r}")
        first, *rest = (str(value) for value in values)
        return cls(first, tuple(rest), hops, question, id, corpus)
