"""The error of a failed check: what was expected, what was found instead, and why it matters."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ssp_env.objects import awaited, describe

Value = TypeVar("Value")
_SHOWN_CHARACTERS = 300


class ConformanceError(AssertionError):
    """A check failed: an object does not behave as the game expects.

    Attributes:
        check: Name of the failed check.
    """

    def __init__(self, check: str, expected: str, came: str, why: str) -> None:
        self.check = check
        super().__init__(f"{check}: expected {expected}; got {came}. Why it matters: {why}.")


@dataclass(frozen=True)
class Check:
    """A check by its name, which begins the message of its `ConformanceError`."""

    name: str

    def require(self, holds: bool, *, expected: str, came: object, why: str) -> None:
        """Raise an error unless a condition holds.

        Args:
            holds: Whether the condition holds.
            expected: The expected behaviour.
            came: The value found instead; text is shown as it is, anything else by its `repr`.
            why: What goes wrong in games if the condition does not hold.

        Raises:
            ConformanceError: If the condition does not hold.
        """
        if not holds:
            raise ConformanceError(self.name, expected, _shown(came), why)

    def require_equal(self, came: object, expected: object, *, what: str, why: str) -> None:
        """Raise an error unless two values are equal; `what` says what is expected, as in `require`."""
        self.require(came == expected, expected=f"{what}: {expected}", came=came, why=why)

    def attempt(self, call: Callable[[], Value], *, expected: str, why: str) -> Value:
        """Call the object under test, and await the result if it is awaitable.

        Raises:
            ConformanceError: If the call raises.
        """
        try:
            value = call()
            if inspect.isawaitable(value):
                value = asyncio.run(awaited(value))
            return value
        except Exception as error:
            raise ConformanceError(self.name, expected, describe(error), why) from error


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
