"""How a client waits and retries: deadlines, retries, rate and concurrency."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Protocol, TypeVar

import httpx
import numpy as np

from ssp_env.objects import missing_extra

try:
    from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, retry_if_result
except ModuleNotFoundError as error:
    raise missing_extra("tenacity", "remote") from error

RETRIED_STATUSES = (408, 425, 429, 500, 502, 503, 504)


class HasStatus(Protocol):
    """The part of a reply that `send_with_retries` reads."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, whose names are looked up in upper or lower case."""


Reply = TypeVar("Reply", bound=HasStatus)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """For how long a client waits for a reply, and when it sends a request again.

    Attributes:
        timeout: Seconds for a request, from the call to the last byte of the last reply, with all retries
            and pauses.
        max_retries: Most times that a request is sent again after a failure; 0 sends it once.
        backoff: Seconds before the first retry, doubled for each further one, and shortened at random by up
            to a half. A longer `Retry-After` of the service is obeyed instead.
        max_backoff: Longest pause, unless the service asks for a longer one.
        retried_statuses: Replies after which a request is sent again, as it is after a lost connection.
        jitter_seed: Makes the random part of the pauses repeatable; drawn from the system if None.

    Raises:
        ValueError: If a number is out of range.
    """

    timeout: float = 30.0
    max_retries: int = 2
    backoff: float = 0.5
    max_backoff: float = 8.0
    retried_statuses: tuple[int, ...] = RETRIED_STATUSES
    jitter_seed: int | None = None

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ValueError(f"timeout must be above 0, got {self.timeout}")
        for name in ("max_retries", "backoff", "max_backoff"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


async def send_with_retries(
    send: Callable[[], Awaitable[Reply]], policy: RetryPolicy, deadline: float, rng: np.random.Generator
) -> Reply:
    """Send a request until it succeeds, fails in a way that is not retried, or retries or time are used up.

    A pause that would end after the deadline is not begun.

    Args:
        send: Sends the request once.
        policy: Number of retries, pauses, and statuses after which a request is sent again.
        deadline: On the clock of the running loop; `send` must end by then by itself.
        rng: Draws the random part of the pauses.

    Returns:
        The last reply, whatever its status.

    Raises:
        httpx.TransportError: If the connection was lost in the last try.
        Exception: Any other exception of `send`, without a retry.
    """
    clock = asyncio.get_running_loop().time

    def pause(state: RetryCallState) -> float:
        backoff = min(policy.backoff * 2.0 ** (state.attempt_number - 1), policy.max_backoff)
        return max(backoff * rng.uniform(0.5, 1), _asked_for(state))

    def give_up(state: RetryCallState) -> bool:
        return state.attempt_number > policy.max_retries or clock() + state.upcoming_sleep >= deadline

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(httpx.TransportError)
        | retry_if_result(lambda reply: reply.status in policy.retried_statuses),
        wait=pause,
        stop=give_up,
        retry_error_callback=_last_outcome,
    )
    reply: Reply = await retrying(send)
    return reply


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that a reply asks to wait; 0 if it does not ask or cannot be understood.

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


_MOST_GATES = 4096


@dataclass(frozen=True, kw_only=True)
class RequestPolicy(RetryPolicy):
    """How a client uses a service: how long it waits, when it retries, and how much it asks for at a time.

    Attributes:
        requests_per_second: Most requests sent per second; None sets no limit.
        concurrency: Most requests under way at a time.
        max_bytes: Most bytes of a reply, as sent and unpacked.

    Raises:
        ValueError: If a number is out of range.
    """

    requests_per_second: float | None = None
    concurrency: int = 8
    max_bytes: int = 64 * 2**20

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("concurrency", "max_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.requests_per_second is not None and not self.requests_per_second > 0:
            raise ValueError(f"requests_per_second must be above 0, got {self.requests_per_second}")


class Gate:
    """Lets requests pass at the allowed rate and concurrency; used on one event loop."""

    def __init__(self, policy: RequestPolicy) -> None:
        self._policy = policy
        self._slots = asyncio.Semaphore(policy.concurrency)
        self._inside = 0
        self._next = 0.0

    @asynccontextmanager
    async def passed(self, deadline: float) -> AsyncIterator[None]:
        """Hold a slot from the next moment at which a request may be sent.

        Raises:
            TimeoutError: If that is after `deadline`, on the clock of the loop, before it is waited for.
        """
        clock = asyncio.get_running_loop().time
        self._inside += 1
        try:
            async with self._slots:
                moment = max(self._next, clock())
                if moment > deadline:
                    raise TimeoutError("the allowed rate of requests leaves no time for this one")
                if self._policy.requests_per_second is not None:
                    self._next = moment + 1 / self._policy.requests_per_second
                await asyncio.sleep(max(0.0, moment - clock()))
                yield
        finally:
            self._inside -= 1

    def is_idle(self) -> bool:
        """Whether no request is under way or has to wait for the next moment."""
        return not self._inside and self._next <= asyncio.get_running_loop().time()


class Gates:
    """A gate per host."""

    def __init__(self, policy: RequestPolicy) -> None:
        self._policy = policy
        self._gates: dict[str, Gate] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def of(self, host: str) -> Gate:
        """Return the gate of a host, for the running loop."""
        if self._loop is not asyncio.get_running_loop():  # A forked process has another.
            self._loop, self._gates = asyncio.get_running_loop(), {}
        if len(self._gates) >= _MOST_GATES:
            self._gates = {name: gate for name, gate in self._gates.items() if not gate.is_idle()}
        return self._gates.setdefault(host, Gate(self._policy))
