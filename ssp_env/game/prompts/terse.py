"""Prompts of a few words for tiny models with a word-level vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from ssp_env.game.protocol import Protocol
from ssp_env.game.view import Message
from ssp_env.passage import Passage

PROMPT_WORDS = ("propose", "solve", "read", ":")
"""Every word these prompts use besides tags, digits and the content itself."""


def proposer(protocol: Protocol, answer: str, hops: int) -> tuple[Message, ...]:
    """`propose 2 : ANSWER`."""
    return (Message("user", f"propose {hops} : {protocol.escape(answer)}"),)


def solver(protocol: Protocol, question: str) -> tuple[Message, ...]:
    """`solve QUESTION`."""
    return (Message("user", f"solve {protocol.escape(question)}"),)


def reader(protocol: Protocol, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """`read <information> PASSAGES </information> QUESTION`."""
    return (Message("user", f"read {protocol.observe(passages)} {protocol.escape(question)}"),)


def closed_book(protocol: Protocol, question: str) -> tuple[Message, ...]:
    """`read <information> none </information> QUESTION`: a reading of nothing."""
    return reader(protocol, question, ())


def all_answers(protocol: Protocol, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """The words of `reader`: what is wanted stands in `View.probe`, a tiny vocabulary has no word for it."""
    return reader(protocol, question, passages)
