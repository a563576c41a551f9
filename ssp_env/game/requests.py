"""What a game may ask its driver for, and the answers that are not a player's text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ssp_env.game.config import NoiseUnit
from ssp_env.game.passage import Passage
from ssp_env.game.view import PROPOSER_SEAT, Reply, View, replace_surrogates


@dataclass(frozen=True, slots=True)
class Turn:
    """A seat must act; answer with its text or `Reply`."""

    id: str
    view: View


@dataclass(frozen=True, slots=True)
class Search:
    """A seat's query must be run; answer with a list of passages."""

    id: str
    seat: str
    query: str
    top_k: int


@dataclass(frozen=True, slots=True)
class Open:
    """A seat opens a part of a page; answer with a list of that passage, or of none if there is none."""

    id: str
    seat: str
    passage_id: str


@dataclass(frozen=True, slots=True)
class Noise:
    """The RAG check needs noise; answer with passages whose ids are not in `exclude`.

    Attributes:
        id: Identifier of the request.
        count: How many units are wanted; fewer may come.
        exclude: Ids of the proposer's own evidence.
        unit: A unit is one `passage`, or all `evidence` of another game.
    """

    id: str
    count: int
    exclude: frozenset[str]
    unit: NoiseUnit = "passage"

    @property
    def passages(self) -> int:
        """How many passages stand in for the units where there are no other games to take them from."""
        return self.count * (max(1, len(self.exclude)) if self.unit == "evidence" else 1)


@dataclass(frozen=True, slots=True)
class Read:
    """A reader must answer without a search tool; `view.probe` says what is being checked.

    Answer with the reader's text or `Reply`.
    """

    id: str
    view: View


@dataclass(frozen=True, slots=True)
class Judge:
    """Does `candidate` mean the same as a right answer? Answer with True, False or a `Failure`."""

    id: str
    question: str
    candidate: str
    golds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Infrastructure broke (an error, a time-out, a malformed reply): the answer is unknown.

    Attributes:
        detail: What happened; it may begin with who failed, in the words of `source_of`.
    """

    detail: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", replace_surrogates(self.detail))

    def named(self, source: str) -> str:
        """Return the detail behind the name of who failed, which comes once.

        >>> Failure("timed out").named("judge"), Failure("judge: timed out").named("judge")
        ('judge: timed out', 'judge: timed out')
        """
        return self.detail if self.detail.startswith(f"{source}: ") else f"{source}: {self.detail}"


Request: TypeAlias = Turn | Search | Open | Noise | Read | Judge
Result: TypeAlias = str | Reply | list[Passage] | bool | Failure


def source_of(request: Request) -> str:
    """Return who answers a request, in the words in which failures name it.

    >>> source_of(Search("solver_1/search/0", "solver_1", "corun", top_k=3))
    'search for solver_1'
    """
    if isinstance(request, Noise):
        return "noise"
    if isinstance(request, Read):
        return "reader"
    if isinstance(request, Search):
        return f"search for {_who(request.seat)}"
    if isinstance(request, Open):
        return f"open for {_who(request.seat)}"
    if isinstance(request, Judge):
        return f"judge for {_who(request.id.partition('/')[0])}"
    return _who(request.view.seat)


def _who(seat: str) -> str:
    return "proposer" if seat == PROPOSER_SEAT else seat


def storable(passage: Passage) -> Passage:
    """Return the passage without lone surrogates; usually the same object."""
    if passage.text.isascii() and passage.title.isascii() and passage.id.isascii():
        return passage
    id, title, text = map(replace_surrogates, (passage.id, passage.title, passage.text))
    whole = Passage(id, title, text, passage.score)
    return passage if whole == passage else whole


_WANTED: dict[type, tuple[type, str]] = {
    Turn: (Reply, "text or a Reply"),
    Read: (Reply, "text or a Reply"),
    Search: (list, "a list of Passage"),
    Open: (list, "a list of that passage or none"),
    Noise: (list, "a list of Passage"),
    Judge: (bool, "a bool"),
}


def check_result(request: Request, result: Result) -> None:
    """Refuse a result that does not fit its request.

    Raises:
        TypeError: If it does not; the message says what was wanted.
    """
    if isinstance(result, Failure):
        return
    kind, words = _WANTED[type(request)]
    fits = isinstance(result, kind)
    if fits and isinstance(result, list):
        fits = all(isinstance(passage, Passage) for passage in result)
        if fits and isinstance(request, Open):
            fits = [passage.id for passage in result] in ([], [request.passage_id])
    if not fits:
        raise TypeError(f"request {request.id!r} wants {words} or a Failure, got {type(result).__name__}")
