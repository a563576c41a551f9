"""Prompts that show how others played, from every seat, and say nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, cycle
from typing import Any, NamedTuple

from ssp_env.game.prompts.judging import quoted
from ssp_env.game.protocol import Protocol
from ssp_env.game.view import Message
from ssp_env.passage import Passage

Query = tuple[str, tuple[Passage, ...]]
"""What somebody searched for, and what came."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A question and its answer, with what its proposer and its solver searched for.

    Attributes:
        answer: The answer asked for.
        question: What the proposer wrote in the end.
        proposing: The proposer's searches.
        solving: The solver's searches.
        hops: The number of hops asked for.
    """

    answer: str
    question: str
    proposing: tuple[Query, ...]
    solving: tuple[Query, ...]
    hops: int = 2

    @property
    def pages(self) -> list[Passage]:
        """What the proposer found, in order."""
        return [page for _, found in self.proposing for page in found]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Demonstration:
        """Rebuild one from `dataclasses.asdict`, or from JSON of that."""
        searches = {
            seat: tuple((query, tuple(Passage(**page) for page in pages)) for query, pages in data[seat])
            for seat in ("proposing", "solving")
        }
        return cls(data["answer"], data["question"], **searches, hops=data["hops"])


class Listing(NamedTuple):
    """A question about the pages of the first two demonstrations that has several answers."""

    question: str
    answers: str


class FewShot:
    """A prompt style made of demonstrations.

    They stand in one user message or, with native tool calls, as a conversation.

    Args:
        demonstrations: At least two games, as their players saw them.
        listing: A question with several answers about the first two.
        judged: Answers to the demonstrated questions for a judge to see, right and wrong by turns; as many as
            there are demonstrations, or more.
    """

    def __init__(
        self, demonstrations: Sequence[Demonstration], listing: Listing, judged: Sequence[str]
    ) -> None:
        self.demonstrations = tuple(demonstrations)
        self._listing = listing
        self._judged = tuple(judged)

    def proposer(self, protocol: Protocol, answer: str, hops: int) -> tuple[Message, ...]:
        """Demonstrations of searches and a question, then the answer and the hops."""
        shown = [
            _Shown(_task(one.answer, one.hops), one.proposing, protocol.write("question", one.question).text)
            for one in self.demonstrations
        ]
        return _messages(protocol, shown, _task(protocol.escape(answer), hops))

    def solver(self, protocol: Protocol, question: str) -> tuple[Message, ...]:
        """Demonstrations of searches and an answer, then the question."""
        shown = [
            _Shown(f"Question: {one.question}", one.solving, protocol.write("answer", one.answer).text)
            for one in self.demonstrations
        ]
        return _messages(protocol, shown, f"Question: {protocol.escape(question)}")

    def reader(self, protocol: Protocol, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
        """Demonstrations of passages, a question and an answer, then passages and question."""
        shown = [
            _Shown(_reading(protocol, one.question, one.pages), (), protocol.write("answer", one.answer).text)
            for one in self.demonstrations
        ]
        return _messages(protocol, shown, _reading(protocol, question, passages))

    def closed_book(self, protocol: Protocol, question: str) -> tuple[Message, ...]:
        """Demonstrations of a question and an answer, then the question."""
        shown = [
            _Shown(f"Question: {one.question}", (), protocol.write("answer", one.answer).text)
            for one in self.demonstrations
        ]
        return _messages(protocol, shown, f"Question: {protocol.escape(question)}")

    def all_answers(
        self, protocol: Protocol, question: str, passages: Sequence[Passage]
    ) -> tuple[Message, ...]:
        """Demonstrations of a question with one answer and of one with several, then the passages to read."""
        first, second = self.demonstrations[:2]
        pages = [*first.pages, *second.pages]
        shown = [
            _Shown(_reading(protocol, asked, pages), (), protocol.write("answer", answers).text)
            for asked, answers in ((first.question, first.answer), self._listing)
        ]
        return _messages(protocol, shown, _reading(protocol, question, passages))

    def judge(
        self, protocol: Protocol, question: str, candidate: str, golds: Sequence[str]
    ) -> tuple[Message, ...]:
        """Demonstrations of answers and verdicts, then question, right answers and answer."""
        shown = [
            _Shown(
                _judging(protocol, one.question, given, [one.answer]),
                (),
                protocol.write("answer", verdict).text,
            )
            for one, given, verdict in zip(
                cycle(self.demonstrations), self._judged, cycle(("Correct", "Wrong")), strict=False
            )
        ]
        return _messages(protocol, shown, _judging(protocol, question, candidate, golds))


class _Shown(NamedTuple):
    """A demonstration from one seat: what it is told, its searches, what it finally writes."""

    task: str
    searches: tuple[Query, ...]
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
