"""When a request is sent again, after which pause, and when it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Protocol, TypeVar

import httpx
import numpy as np

try:
    from tenacity import (
        AsyncRetrying,
        RetryCallState,
        retry_if_exception_type,
        retry_if_result,
    )
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tenacity is not installed. Install it with: pip install 'ssp-env[remote]'"
    ) from error

RETRIED_STATUSES = (408, 425, 429, 500, 502, 503, 504)


class HasStatus(Protocol):
    """What is retried: a reply."""

    @property
    def status(self) -> int:
        """Status of HTTP."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, found in any case."""
        ...


Reply = TypeVar("Reply", bound=HasStatus)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and for how long a request is tried.

    Attributes:
        timeout: Seconds for a request, from the first attempt to the last byte, with all pauses.
        attempts: Times a request is sent at most.
        backoff: Seconds before the first retry, doubled for each further one, and shortened at random by up
            to a half. A longer `Retry-After` of the service is kept to instead.
        max_backoff: Longest pause, unless the service asks for a longer one.
        retried_statuses: Replies after which a request is sent again, as it is after a lost connection.
        jitter_seed: Makes the random part of the pauses repeatable; drawn from the system if None.

    Raises:
        ValueError: If a number is out of range.
    """

    timeout: float = 30.0
    attempts: int = 3
    backoff: float = 0.5
    max_backoff: float = 8.0
    retried_statuses: tuple[int, ...] = RETRIED_STATUSES
    jitter_seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("timeout", "attempts"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("backoff", "max_backoff"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


async def send_with_retries(
    attempt: Callable[[], Awaitable[Reply]], policy: RetryPolicy, deadline: float, rng: np.random.Generator
) -> Reply:
    """Call `attempt` until it succeeds, fails for good, or attempts or time are used up.

    A pause that would end after the deadline is not begun.

    Args:
        attempt: Sends the request once.
        policy: Attempts, pauses and statuses.
        deadline: When all is given up, on the clock of the running loop; `attempt` ends by then by itself.
        rng: Draws the random part of the pauses.

    Returns:
        The last reply, whatever its status.

    Raises:
        httpx.TransportError: If the last attempt lost its connection.
        Exception: What else `attempt` raises, at once.
    """
    clock = asyncio.get_running_loop().time

    def pause(state: RetryCallState) -> float:
        backoff = min(policy.backoff * 2.0 ** (state.attempt_number - 1), policy.max_backoff)
        return max(backoff * rng.uniform(0.5, 1), _asked_for(state))

    def give_up(state: RetryCallState) -> bool:
        return state.attempt_number >= policy.attempts or clock() + state.upcoming_sleep >= deadline

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(httpx.TransportError)
        | retry_if_result(lambda reply: reply.status in policy.retried_statuses),
        wait=pause,
        stop=give_up,
        retry_error_callback=_last_outcome,
    )
    reply: Reply = await retrying(attempt)
    return reply


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that a reply asks to wait; 0 if it does not or cannot be understood.

    A date counts from the `Date` of the reply, so that clocks need not agree, and from now without one.

    >>> retry_after({"retry-after": "120"})
    120.0
    >>> date = "Wed, 21 Oct 2015 07:28:00 GMT"
    >>> retry_after({"date": date, "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"})
    30.0
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    until = _date(value)
    if until is None:
        return 0.0
    since = _date(headers.get("date", "")) or datetime.now(timezone.utc)
    return max(0.0, (until - since).total_seconds())


def _asked_for(state: RetryCallState) -> float:
    assert state.outcome is not None
    return 0.0 if state.outcome.failed else retry_after(state.outcome.result().headers)


def _last_outcome(state: RetryCallState) -> object:
    assert state.outcome is not None
    return state.outcome.result()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    # A date without a zone is in GMT, as all dates of HTTP are.
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)
