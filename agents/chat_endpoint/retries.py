"""Which failed requests are sent again, and when."""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from time import time

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from agents.chat_endpoint.errors import ChatError, ChatRateLimited, ChatTimeout, ChatUnavailable

_BACKOFF = wait_random_exponential(multiplier=0.5, max=30.0)


def retrying(attempts: int, total_timeout: float) -> AsyncRetrying:
    """Send again after failures that may pass, with pauses that double and are shortened at random.

    A pause is never shorter than the endpoint's `Retry-After`; if it would not end in time, the failure is
    raised at once.

    Args:
        attempts: Times a request is sent at most.
        total_timeout: Seconds for all of them.
    """
    return AsyncRetrying(
        retry=retry_if_exception_type((ChatTimeout, ChatUnavailable, ChatRateLimited)),
        stop=stop_after_attempt(attempts) | stop_before_delay(total_timeout),
        wait=_pause,
        reraise=True,
    )


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ChatError) else 0.0
    return max(asked, _BACKOFF(state))


def retry_after(headers: httpx.Headers) -> float:
    """Return the seconds a reply asks to wait: milliseconds, seconds or a date; 0 if it does not ask.

    >>> retry_after(httpx.Headers({"Retry-After": "7"}))
    7.0
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time())
    except ValueError:
        return 0.0
