"""Opening messages of the three roles, in several styles.

A style has the functions of `PromptStyle`, each of which returns the messages that a conversation opens with.
They take the `GameConfig` that judges the game: tags come from its protocol, so that prompt and parser cannot
disagree, and what a prompt says of the rules is read from the config.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol as TypingProtocol

from ssp_env.game.config import PROMPT_STYLES, GameConfig
from ssp_env.game.passage import Passage
from ssp_env.game.prompts import english, terse
from ssp_env.game.prompts.demonstrations import DRAWN, FEW_SHOT, FewShot, Listing
from ssp_env.game.protocol import Protocol
from ssp_env.game.task import Task
from ssp_env.game.view import Message

__all__ = ["PROMPT_STYLES", "FewShot", "JudgePrompt", "Listing", "PromptStyle", "prompt_style"]


class PromptStyle(TypingProtocol):
    """The opening messages of every role in one style."""

    def proposer(self, config: GameConfig, task: Task) -> tuple[Message, ...]:
        """Ask for a question about the answer of `task` that needs as many searches as the task has hops."""

    def solver(self, config: GameConfig, question: str) -> tuple[Message, ...]:
        """Ask for the answer, search allowed."""

    def reader(self, config: GameConfig, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
        """Ask for the answer from the given passages alone."""

    def closed_book(self, config: GameConfig, question: str) -> tuple[Message, ...]:
        """Ask for the answer from memory."""

    def all_answers(
        self, config: GameConfig, question: str, passages: Sequence[Passage]
    ) -> tuple[Message, ...]:
        """Ask for every answer that fits, separated by semicolons, from the given passages alone."""


class JudgePrompt(TypingProtocol):
    """Asks whether an answer agrees with one of the right answers."""

    def __call__(
        self, protocol: Protocol, question: str, candidate: str, golds: Sequence[str]
    ) -> tuple[Message, ...]:
        """Return the messages; the verdict is expected between the protocol's answer tags."""


_STYLES: Mapping[str, PromptStyle] = {
    "english": english,
    "few_shot": FEW_SHOT,
    "drawn": DRAWN,
    "terse": terse,
}


def prompt_style(name: str) -> PromptStyle:
    """Return the prompt style called `name`.

    Raises:
        ValueError: If there is no such style.
    """
    if name not in _STYLES:
        raise ValueError(f"prompts must be one of {', '.join(PROMPT_STYLES)}, got {name!r}")
    return _STYLES[name]
