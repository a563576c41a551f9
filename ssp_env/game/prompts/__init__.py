"""Opening messages of the three roles, in several styles.

A style is a module with the functions of `PromptStyle`, each returning the messages a conversation opens
with. Tag names always come from the `Protocol`, so prompt and parser cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, cast
from typing import Protocol as TypingProtocol

if TYPE_CHECKING:
    from ssp_env.game.protocol import Protocol
    from ssp_env.game.view import Message
    from ssp_env.passage import Passage

PROMPT_STYLES = ("english", "few_shot", "drawn", "terse")


class PromptStyle(TypingProtocol):
    """What a prompt module offers."""

    def proposer(self, protocol: Protocol, answer: str, hops: int) -> tuple[Message, ...]:
        """Ask for a question whose answer is `answer` and that needs `hops` searches."""
        ...

    def solver(self, protocol: Protocol, question: str) -> tuple[Message, ...]:
        """Ask for the answer, search allowed."""
        ...

    def reader(self, protocol: Protocol, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
        """Ask for the answer from the given passages alone."""
        ...

    def closed_book(self, protocol: Protocol, question: str) -> tuple[Message, ...]:
        """Ask for the answer from memory."""
        ...

    def all_answers(
        self, protocol: Protocol, question: str, passages: Sequence[Passage]
    ) -> tuple[Message, ...]:
        """Ask for every answer that fits, separated by semicolons, from the given passages alone."""
        ...


def prompt_style(name: str) -> PromptStyle:
    """Return the prompt module called `name`.

    Raises:
        ValueError: If there is no such style.
    """
    if name not in PROMPT_STYLES:
        raise ValueError(f"prompts must be one of {', '.join(PROMPT_STYLES)}, got {name!r}")
    return cast(PromptStyle, import_module(f"{__name__}.{name}"))
