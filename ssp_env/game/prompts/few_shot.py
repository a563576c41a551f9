"""Plain-text demonstrations for small models, which copy a pattern more reliably than they follow rules.

Three made-up questions are played from every seat: one proposes, one solves, one reads. They stand in one
user message or, with native tool calls, as a conversation. Nothing but the demonstrations is said, and every
action starts its line: a small model does not follow instructions, and forgets the tag behind other words.
Searches show three passages each, as in play: with fewer, the model takes the first real result for the last
one and asks too early.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import NamedTuple

from ssp_env.game.prompts.judging import quoted
from ssp_env.game.protocol import Protocol
from ssp_env.game.view import Message
from ssp_env.passage import Passage

_page = partial(Passage, "")

_VARNBY = (
    _page(
        "Varnby",
        "Varnby is a town in Denmark on the Asker Fjord, "
        "known as the birthplace of the engineer Marta Velling.",
    ),
    _page(
        "Varnby Harbour",
        "Varnby Harbour lies at the end of a canal of eight kilometres. "
        "Ferries to three islands leave from it.",
    ),
    _page(
        "Asker Fjord",
        "The Asker Fjord is a fjord in the north of Denmark. Its shores are a reserve for seals.",
    ),
)
_VELLING = (
    _page(
        "Marta Velling",
        "Marta Velling (1911 - 1987) was a Danish engineer. "
        "She designed nine bridges, among them the Korsholm Bridge.",
    ),
    _page(
        "Korsholm Bridge",
        "The Korsholm Bridge is a stone bridge over the river Aller. It was opened in 1954.",
    ),
    _page(
        "Velling Prize",
        "The Velling Prize is given every second year to a young builder of bridges.",
    ),
)
_TULLY = (
    _page(
        "Nora Tully",
        "Nora Tully (born 1931) is an Irish teacher and writer from Kilmorran, "
        "the author of the novel The Owl Clock.",
    ),
    _page("Kilmorran", "Kilmorran is a village in the west of Ireland with a school and a small castle."),
    _page(
        "Terry Nolan",
        "Terry Nolan (born 1960) is an Irish runner who won the Kilmorran marathon twice.",
    ),
)
_OWL_CLOCK = (
    _page(
        "The Owl Clock",
        "The Owl Clock is a novel of 1972 about a watchmaker. "
        "It won the Harbour Prize and was filmed by Carl Oster.",
    ),
    _page(
        "Harbour Prize",
        "The Harbour Prize is an award for novels, founded by a group of booksellers in 1958.",
    ),
    _page(
        "Carl Oster",
        "Carl Oster is a Norwegian director. He has made six films, all of them after novels.",
    ),
)
_DUARTE = (
    _page(
        "Ines Duarte",
        "Ines Duarte (1889 - 1970) was a Chilean astronomer who taught at the University of Talmar "
        "and built the Vale Observatory.",
    ),
    _page(
        "University of Talmar", "The University of Talmar is a university in Chile with a school of music."
    ),
    _page("Duarte Street", "Duarte Street is a street in the old town of Talmar, known for its market."),
)
_OBSERVATORY = (
    _page(
        "Vale Observatory",
        "The Vale Observatory is an observatory on Mount Ester. "
        "Its telescope is used by students of Ines Duarte.",
    ),
    _page("Mount Ester", "Mount Ester is a mountain of 2,310 metres in the Andes, first climbed in 1897."),
    _page("Comet Lira", "Comet Lira is a comet that returns every 44 years. It was last seen in 1975."),
)

_PEOPLE = "Marta Velling; Nora Tully; Terry Nolan; Carl Oster"
"""Everybody whom the pages of the first two demonstrations name."""

_Search = tuple[str, tuple[Passage, ...]]


@dataclass(frozen=True, slots=True)
class _Demonstration:
    """A question and its answer, with what its proposer and its solver searched for."""

    answer: str
    question: str
    proposing: tuple[_Search, ...]
    solving: tuple[_Search, ...]


_DEMONSTRATIONS = (
    _Demonstration(
        "Varnby",
        "Which town on the Asker Fjord is known as the birthplace of the engineer "
        "who designed the Korsholm Bridge?",
        (("Varnby", _VARNBY), ("Marta Velling", _VELLING)),
        (("engineer who designed the Korsholm Bridge", _VELLING), ("birthplace of Marta Velling", _VARNBY)),
    ),
    _Demonstration(
        "Nora Tully",
        "Which Irish teacher and writer is the author of the novel about a watchmaker "
        "that won the Harbour Prize?",
        (("Nora Tully", _TULLY), ("The Owl Clock", _OWL_CLOCK)),
        (
            ("novel about a watchmaker that won the Harbour Prize", _OWL_CLOCK),
            ("author of The Owl Clock", _TULLY),
        ),
    ),
    _Demonstration(
        "Ines Duarte",
        "Which Chilean astronomer taught at the University of Talmar "
        "and built the observatory on Mount Ester?",
        (("Ines Duarte", _DUARTE), ("Vale Observatory", _OBSERVATORY)),
        (("Chilean astronomer University of Talmar observatory", _DUARTE),),
    ),
)


_JUDGED = (*_DEMONSTRATIONS, _DEMONSTRATIONS[0])
_GIVEN = ("the town of Varnby", "Terry Nolan", "the astronomer Ines Duarte", "Korsholm")
"""Answers to the judged questions, right and wrong by turns."""


def proposer(protocol: Protocol, answer: str, hops: int) -> tuple[Message, ...]:
    """Demonstrations of two searches and a question, then the answer and the hops."""
    shown = [
        _Shown(_task(one.answer, 2), one.proposing, protocol.write("question", one.question).text)
        for one in _DEMONSTRATIONS
    ]
    return _messages(protocol, shown, _task(protocol.escape(answer), hops))


def solver(protocol: Protocol, question: str) -> tuple[Message, ...]:
    """Demonstrations of searches and an answer, then the question."""
    shown = [
        _Shown(f"Question: {one.question}", one.solving, protocol.write("answer", one.answer).text)
        for one in _DEMONSTRATIONS
    ]
    return _messages(protocol, shown, f"Question: {protocol.escape(question)}")


def reader(protocol: Protocol, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """Demonstrations of passages, a question and an answer, then passages and question."""
    shown = []
    for one in _DEMONSTRATIONS:
        pages = [page for _, found in one.proposing for page in found]
        final = protocol.write("answer", one.answer).text
        shown.append(_Shown(_reading(protocol, one.question, pages), (), final))
    return _messages(protocol, shown, _reading(protocol, question, passages))


def closed_book(protocol: Protocol, question: str) -> tuple[Message, ...]:
    """Demonstrations of a question and an answer, then the question."""
    shown = [
        _Shown(f"Question: {one.question}", (), protocol.write("answer", one.answer).text)
        for one in _DEMONSTRATIONS
    ]
    return _messages(protocol, shown, f"Question: {protocol.escape(question)}")


def all_answers(protocol: Protocol, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """Demonstrations of a question with one answer and of one with several, then passages and question."""
    pages = [page for one in _DEMONSTRATIONS[:2] for _, found in one.proposing for page in found]
    asked = (_DEMONSTRATIONS[0].question, "Which people are named in the passages?")
    finals = (_DEMONSTRATIONS[0].answer, _PEOPLE)
    shown = [
        _Shown(_reading(protocol, text, pages), (), protocol.write("answer", answers).text)
        for text, answers in zip(asked, finals, strict=True)
    ]
    return _messages(protocol, shown, _reading(protocol, question, passages))


def judge(protocol: Protocol, question: str, candidate: str, golds: Sequence[str]) -> tuple[Message, ...]:
    """Demonstrations of answers and verdicts, then question, right answers and answer."""
    shown = [
        _Shown(
            _judging(protocol, one.question, given, [one.answer]), (), protocol.write("answer", verdict).text
        )
        for one, given, verdict in zip(_JUDGED, _GIVEN, ("Correct", "Wrong") * 2, strict=True)
    ]
    return _messages(protocol, shown, _judging(protocol, question, candidate, golds))


class _Shown(NamedTuple):
    """A demonstration from one seat: what it is told, its searches, what it finally writes."""

    task: str
    searches: tuple[_Search, ...]
    final: str


def _task(answer: str, hops: int) -> str:
    return f"Answer: {answer}\nHops: {hops}"


def _reading(protocol: Protocol, question: str, passages: Sequence[Passage]) -> str:
    return f"{protocol.observe(passages)}\nQuestion: {protocol.escape(question)}"


def _judging(protocol: Protocol, question: str, candidate: str, golds: Sequence[str]) -> str:
    right = ", ".join(quoted(protocol, gold) for gold in golds)
    asked, given = quoted(protocol, question), quoted(protocol, candidate)
    return f"Question: {asked}\nRight answers: {right}\nAnswer given: {given}"


def _messages(protocol: Protocol, demonstrations: Sequence[_Shown], task: str) -> tuple[Message, ...]:
    """One user message of plain text; a conversation, if calls cannot be written as text."""
    played = [_conversation(protocol, number, one) for number, one in enumerate(demonstrations)]
    if protocol.calls == "native":
        return (*chain.from_iterable(played), Message("user", task))
    shown = ["\n".join(message.content for message in one) for one in played]
    return (Message("user", "\n\n".join([*shown, task])),)


def _conversation(protocol: Protocol, number: int, shown: _Shown) -> list[Message]:
    messages = [Message("user", shown.task)]
    for place, (query, pages) in enumerate(shown.searches):
        call = protocol.write("search", query, call_id=f"example_{number}_{place}")
        said = Message("assistant", call.text, call.tool_calls)
        messages += [said, protocol.answered(said, protocol.observe(pages))]
    return [*messages, Message("assistant", shown.final)]
