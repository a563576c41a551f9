"""Zero-shot English prompts for instruction-tuned models."""

from __future__ import annotations

import json
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

How to write: reason inside {think} before you act. To search, {searching}. Search at least twice, never \
with the same words. When you are done, write {question} and nothing after it.

Requirements: use only facts found by searching; never mention the answer or a link in between; the question \
must not be answerable from general knowledge; it must have exactly one answer."""

_SOLVER = """\
Answer the question below. Reason inside {think} whenever you learn something new. To look something up, \
{searching}. Search as often as you need. When you know the answer, {copying}write {answer}, as short as \
possible and without explanation, for example {example}.

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


_WRITING = "write {search} and stop; the results arrive between {observation} tags"
_CALLING = "call the tool `search`; the results are the reply to your call"
_COPYING = (
    "copy every passage that may matter word for word into {evidence} (unless you did not search), then "
)


def proposer(protocol: Protocol, answer: str, hops: int) -> tuple[Message, ...]:
    """System message with the rules, user message with the answer and the number of hops."""
    system = _PROPOSER.format(
        think=protocol.wrap(protocol.think, "your reasoning"),
        searching=_searching(protocol),
        question=protocol.write("question", "your question").text,
    )
    user = (
        f"Answer: {protocol.escape(answer)}\nN: {hops}\n"
        "Check every requirement before you finish, above all that the question is not too easy."
    )
    return (Message("system", system + _tools(protocol)), Message("user", user))


def solver(protocol: Protocol, question: str) -> tuple[Message, ...]:
    """One user message with the rules and the question."""
    copying = _COPYING.format(evidence=protocol.wrap(protocol.evidence, "the passages"))
    user = _SOLVER.format(
        think=protocol.wrap(protocol.think, "your reasoning"),
        searching=_searching(protocol),
        copying=copying if protocol.evidence else "",
        answer=protocol.write("answer", "your answer").text,
        example=protocol.write("answer", "Lisbon").text,
        text=protocol.escape(question),
    )
    system = "You are a careful research assistant." + _tools(protocol)
    return (Message("system", system), Message("user", user))


def reader(protocol: Protocol, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """One user message with the passages and the question."""
    user = _READER.format(
        answer=protocol.write("answer", "your answer").text,
        documents=protocol.passages(passages),
        text=protocol.escape(question),
    )
    return (_READING, Message("user", user))


def closed_book(protocol: Protocol, question: str) -> tuple[Message, ...]:
    """One user message with the question alone."""
    user = _CLOSED_BOOK.format(
        answer=protocol.write("answer", "your answer").text,
        unknown=protocol.write("answer", "unknown").text,
        text=protocol.escape(question),
    )
    return (_READING, Message("user", user))


def all_answers(protocol: Protocol, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """One user message with the passages and the question."""
    user = _ALL_ANSWERS.format(
        answer=protocol.write("answer", "your answers").text,
        documents=protocol.passages(passages),
        text=protocol.escape(question),
    )
    return (_READING, Message("user", user))


def _searching(protocol: Protocol) -> str:
    if protocol.calls == "native":
        return _CALLING
    search = protocol.write("search", "your query").text
    return _WRITING.format(search=search, observation=f"<{protocol.observation}>")


def _tools(protocol: Protocol) -> str:
    """The tool's schema, which a chat template adds by itself only where calls are native."""
    if protocol.calls != "hermes":
        return ""
    schemas = "\n".join(map(json.dumps, protocol.tools()))
    return f"\n\nThe tool you may call:\n<tools>\n{schemas}\n</tools>"
