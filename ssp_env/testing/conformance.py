"""The error of a failed check: what was expected, what was found instead, and why it matters."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ssp_env.objects import describe

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


def require(holds: bool, check: str, *, expected: str, came: object, why: str) -> None:
    """Raise an error unless a condition holds.

    Args:
        holds: Whether the condition holds.
        check: Name of the check.
        expected: The expected behaviour.
        came: The value found instead; text is shown as it is, anything else by its `repr`.
        why: What goes wrong in games if the condition does not hold.

    Raises:
        ConformanceError: If the condition does not hold.
    """
    if not holds:
        raise ConformanceError(check, expected, _shown(came), why)


def attempt(call: Callable[[], Value], check: str, *, expected: str, why: str) -> Value:
    """Call the object under test and await the result if it is awaitable; an exception fails the check.

    Raises:
        ConformanceError: If the call raises.
    """
    try:
        value = call()
        if inspect.isawaitable(value):
            value = asyncio.run(_awaited(value))
        return value
    except Exception as error:
        raise ConformanceError(check, expected, describe(error), why) from error


async def _awaited(value: Awaitable[Value]) -> Value:
    return await value


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
