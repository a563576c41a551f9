"""What one game is about: a ground-truth answer, the number of hops asked for, and where both come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ssp_env.game.surrogates import replace_surrogates

MAX_HOPS = 20


@dataclass(frozen=True, slots=True)
class Task:
    """A ground-truth answer the proposer must write a question for.

    Attributes:
        answer: The answer every question of this game must have.
        aliases: Other spellings that count as the answer.
        hops: Number of searches the question should need, from 1 to 20.
        id: Identifier of the task within its source.
        corpus: Key of the corpus the game is played over; drivers map it to a search engine.
        provenance: Plain data about where the answer came from; never shown to a player.

    Raises:
        ValueError: If the answer or an alias is blank, or `hops` is outside 1..20.
        TypeError: If the answer or an alias is not a string (see `from_target` for other types).
    """

    answer: str
    aliases: tuple[str, ...] = ()
    hops: int = 1
    id: str = ""
    corpus: str = ""
    provenance: Mapping[str, str | int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for text in (self.answer, *self.aliases):
            if not isinstance(text, str):
                raise TypeError(f"a task answer must be a string, got {type(text).__name__}: {text!r}")
            if not text.strip():
                raise ValueError(f"a task needs a non-blank answer and non-blank aliases, got {text!r}")
        object.__setattr__(self, "answer", replace_surrogates(self.answer))
        object.__setattr__(self, "aliases", tuple(map(replace_surrogates, self.aliases)))
        if not 1 <= self.hops <= MAX_HOPS:
            raise ValueError(f"hops must be from 1 to {MAX_HOPS}, got {self.hops}")

    @property
    def golds(self) -> tuple[str, ...]:
        """The answer and its aliases."""
        return (self.answer, *self.aliases)

    @classmethod
    def from_target(
        cls,
        target: str | int | float | Iterable[str | int | float],
        *,
        hops: int = 1,
        id: str = "",
        corpus: str = "",
    ) -> Task:
        """Build a task from the forms targets take in question-answering data sets.

        A list is one answer followed by its aliases; numbers become their decimal text.

        >>> Task.from_target(["Paris", "City of Light"], hops=2).golds
        ('Paris', 'City of Light')
        >>> Task.from_target(1889).answer
        '1889'
        """
        values = [target] if isinstance(target, str | int | float) else list(target)
        if not values:
            raise ValueError("a task needs at least one answer, got an empty list")
        first, *rest = (str(value) for value in values)
        return cls(answer=first, aliases=tuple(rest), hops=hops, id=id, corpus=corpus)
