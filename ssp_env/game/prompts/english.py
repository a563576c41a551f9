"""Zero-shot English prompts for instruction-tuned models."""

from __future__ import annotations

from collections.abc import Sequence

from ssp_env.game.protocol import Protocol
from ssp_env.game.view import Message
from ssp_env.passage import Passage

_PROPOSER = """\
You design search puzzles. You are given a short answer and a number of hops N. Write one question with that \
answer which can only be solved by N searches in sequence.

How to build it, working backwards from the answer:
1. Find a fact that points to the answer: search for something connected with it (a person, place, work or \
event) and pick a fact that identifies the answer and nothing else.
2. Treat the entity of that fact as the next target and find a fact that points to it in the same way. \
Repeat until the chain has N links.
3. Phrase the question from the far end of the chain. Name only the starting clue.

How to write: reason inside {think} before you act. To search, write {search} and stop; the results arrive \
between {observation} tags. Search at least twice, never with the same words. When you are done, write \
{question} and nothing after it.

Requirements: use only facts found by searching; never mention the answer or a link in between; the question \
must not be answerable from general knowledge; it must have exactly one answer."""

_SOLVER = """\
Answer the question below. Reason inside {think} whenever you learn something new. To look something up, \
write {search} and stop; the results arrive between {observation} tags. Search as often as you need. When \
you know the answer, write {answer}, as short as possible and without explanation, for example {example}.

Question: {text}"""

_READER = """\
Answer the question from the documents below alone. Think in at most fifty words, then write {answer}, as \
short as possible. Some documents have nothing to do with the question.

{documents}

Question: {text}"""

_CLOSED_BOOK = """\
Answer the question from memory; you have nothing to look it up in. Think in at most fifty words, then write \
{answer}, as short as possible. If you do not know, write {unknown}.

Question: {text}"""

_ALL_ANSWERS = """\
From the documents below alone, find every answer that fits the question: there may be one or several. Think \
in at most fifty words, then write {answer} with all of them, separated by semicolons. Some documents have \
nothing to do with the question.

{documents}

Question: {text}"""

_READING = Message("system", "You are a careful reading assistant.")


def proposer(protocol: Protocol, answer: str, hops: int) -> tuple[Message, ...]:
    """System message with the rules, user message with the answer and the number of hops."""
    system = _PROPOSER.format(
        think=protocol.wrap(protocol.think, "your reasoning"),
        search=protocol.wrap(protocol.search, "your query"),
        observation=f"<{protocol.observation}>",
        question=protocol.wrap(protocol.question, "your question"),
    )
    user = (
        f"Answer: {answer}\nN: {hops}\n"
        "Check every requirement before you finish, above all that the question is not too easy."
    )
    return (Message("system", system), Message("user", user))


def solver(protocol: Protocol, question: str) -> tuple[Message, ...]:
    """One user message with the rules and the question."""
    user = _SOLVER.format(
        think=protocol.wrap(protocol.think, "your reasoning"),
        search=protocol.wrap(protocol.search, "your query"),
        observation=f"<{protocol.observation}>",
        answer=protocol.wrap(protocol.answer, "your answer"),
        example=protocol.wrap(protocol.answer, "Lisbon"),
        text=question,
    )
    return (Message("system", "You are a careful research assistant."), Message("user", user))


def reader(protocol: Protocol, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """One user message with the passages and the question."""
    user = _READER.format(
        answer=protocol.wrap(protocol.answer, "your answer"),
        documents=protocol.passages(passages),
        text=question,
    )
    return (_READING, Message("user", user))


def closed_book(protocol: Protocol, question: str) -> tuple[Message, ...]:
    """One user message with the question alone."""
    user = _CLOSED_BOOK.format(
        answer=protocol.wrap(protocol.answer, "your answer"),
        unknown=protocol.wrap(protocol.answer, "unknown"),
        text=question,
    )
    return (_READING, Message("user", user))


def all_answers(protocol: Protocol, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """One user message with the passages and the question."""
    user = _ALL_ANSWERS.format(
        answer=protocol.wrap(protocol.answer, "your answers"),
        documents=protocol.passages(passages),
        text=question,
    )
    return (_READING, Message("user", user))
