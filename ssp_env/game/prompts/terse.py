"""Prompts of a few words for tiny models with a word-level vocabulary.

Their form is fixed, since every word of them is in that vocabulary. No rules are told: players of this style
learn the rules from demonstrations of scripted players and from rewards.
"""

from __future__ import annotations

from collections.abc import Sequence

from ssp_env.game.config import GameConfig
from ssp_env.game.passage import Passage
from ssp_env.game.protocol import PROTOCOLS
from ssp_env.game.task import Task
from ssp_env.game.view import Message

PROMPT_WORDS = ("propose", "solve", "read", ":")
"""Every word these prompts use besides tags, digits and the content itself."""


def proposer(config: GameConfig, task: Task) -> tuple[Message, ...]:
    """`propose 2 : ANSWER`."""
    answer = PROTOCOLS[config.protocol].escape(task.answer)
    return (Message("user", f"propose {task.hops} : {answer}"),)


def solver(config: GameConfig, question: str) -> tuple[Message, ...]:
    """`solve QUESTION`."""
    return (Message("user", f"solve {PROTOCOLS[config.protocol].escape(question)}"),)


def reader(config: GameConfig, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """`read <information> PASSAGES </information> QUESTION`."""
    protocol = PROTOCOLS[config.protocol]
    return (Message("user", f"read {protocol.observe(passages)} {protocol.escape(question)}"),)


def closed_book(config: GameConfig, question: str) -> tuple[Message, ...]:
    """`read <information> none </information> QUESTION`: a reading of nothing."""
    return reader(config, question, ())


def all_answers(config: GameConfig, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """The words of `reader`: `View.probe` says what is wanted, for which the vocabulary has no word."""
    return reader(config, question, passages)
