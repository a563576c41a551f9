"""JSON over HTTP for engines that ask a remote service: bounded in time, size, rate and retries."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from ssp_env.search.errors import BadSearchReply, SearchError, SearchRefused, SearchTimeout, SearchUnavailable

_RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Limits:
    """How hard a service may be used, and for how long a request may take.

    Attributes:
        timeout: Seconds for one call, retries and waiting for its turn included.
        attempts: Times a request is sent at most; only time-outs, lost connections, 429 and 5xx are retried.
        backoff: Seconds before the first retry, doubled for each further one, and shortened at random by up
            to a half. A `Retry-After` of the service is kept to instead if it is longer.
        requests_per_second: Most requests sent per second; no limit when None.
        concurrency: Most requests under way at a time.
        max_bytes: Longest reply read.
    """

    timeout: float = 30.0
    attempts: int = 3
    backoff: float = 0.5
    requests_per_second: float | None = None
    concurrency: int = 8
    max_bytes: int = 4_000_000

    def __post_init__(self) -> None:
        for name in ("timeout", "attempts", "concurrency", "max_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.backoff < 0:
            raise ValueError(f"backoff must be 0 or more, got {self.backoff}")
        if self.requests_per_second is not None and self.requests_per_second <= 0:
            raise ValueError(f"requests_per_second must be positive, got {self.requests_per_second}")


class Gate:
    """Lets requests to one host pass at the allowed rate and concurrency; shared by threads."""

    def __init__(self, limits: Limits) -> None:
        self._slots = threading.BoundedSemaphore(limits.concurrency)
        self._interval = 1 / limits.requests_per_second if limits.requests_per_second else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def enter(self, deadline: float, what: str) -> None:
        """Wait for a slot and then for the next moment a request may be sent.

        Raises:
            SearchTimeout: If that is after `deadline`, on the clock of `time.monotonic`.
        """
        if not self._slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise SearchTimeout(f"{what}: waited in vain for one of the allowed connections")
        with self._lock:
            moment = max(self._next, time.monotonic())
            if moment <= deadline:
                self._next = moment + self._interval
        if moment > deadline:
            self.leave()
            raise SearchTimeout(f"{what}: the allowed rate of requests leaves no time for this one")
        time.sleep(max(0.0, moment - time.monotonic()))

    def leave(self) -> None:
        """Free the slot."""
        self._slots.release()


class RemoteJSON:
    """Sends requests to one service and returns the JSON it replies; safe to use from several threads.

    Errors name the service and what went wrong, never the headers or the body of a request or a reply, which
    may hold keys. Redirects are refused and proxies taken from the environment, as httpx does.
    """

    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._gate = Gate(limits)
        self._client = httpx.Client(follow_redirects=False)
        # Only spreads retries in time; no result depends on it.
        self._jitter = random.Random()

    def call(self, request: httpx.Request) -> Any:
        """Send a request, again after failures that may pass, and return the decoded reply.

        Raises:
            SearchTimeout: If there is no complete reply in time.
            SearchUnavailable: If the service cannot be reached or replies 5xx.
            SearchRefused: If it replies 3xx or 4xx.
            BadSearchReply: If it replies with something else than JSON, or too much.
        """
        deadline = time.monotonic() + self._limits.timeout
        for attempt in range(1, self._limits.attempts + 1):
            try:
                return self._attempt(request, deadline)
            except _Retryable as failure:
                pause = self._limits.backoff * 2 ** (attempt - 1) * self._jitter.uniform(0.5, 1)
                pause = max(pause, failure.retry_after)
                if attempt == self._limits.attempts or time.monotonic() + pause >= deadline:
                    raise failure.error from None
            time.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _attempt(self, request: httpx.Request, deadline: float) -> Any:
        self._gate.enter(deadline, self._name)
        try:
            status, headers, body = self._exchange(request, deadline)
        finally:
            self._gate.leave()
        if status >= 300:
            raise _failure(self._name, status, headers)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise BadSearchReply(
                f"{self._name}: expected JSON, got {len(body)} bytes of something else"
            ) from None

    def _exchange(self, request: httpx.Request, deadline: float) -> tuple[int, httpx.Headers, bytes]:
        left = max(0.001, deadline - time.monotonic())
        request.extensions = {**request.extensions, "timeout": httpx.Timeout(left).as_dict()}
        try:
            response = self._client.send(request, stream=True)
            try:
                body = read_body(response, self._limits.max_bytes, deadline, self._name)
            finally:
                response.close()
        except httpx.TimeoutException:
            raise _Retryable(SearchTimeout(f"{self._name}: no reply in time")) from None
        except httpx.DecodingError:
            raise BadSearchReply(f"{self._name}: the reply cannot be decompressed") from None
        except httpx.TransportError as error:
            kind = type(error).__name__
            raise _Retryable(SearchUnavailable(f"{self._name}: cannot be reached ({kind})")) from None
        return response.status_code, response.headers, body


def read_body(response: httpx.Response, max_bytes: int, deadline: float, what: str) -> bytes:
    """Read a streamed reply.

    Raises:
        BadSearchReply: If it is longer than `max_bytes`.
        SearchTimeout: If it is not complete at `deadline`, on the clock of `time.monotonic`.
    """
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise BadSearchReply(f"{what}: expected at most {max_bytes} bytes, got more")
        if time.monotonic() > deadline:
            raise SearchTimeout(f"{what}: the reply was not complete in time")
    return bytes(body)


def read_key(variable: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the key that an environment variable holds.

    Raises:
        SearchRefused: If it is unset or cannot be a key; the message never holds it.
    """
    key = environment.get(variable, "").strip()
    if not key:
        raise SearchRefused(f"set the environment variable {variable} to your key")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SearchRefused(f"expected printable ASCII without spaces in the environment variable {variable}")
    return key


class _Retryable(Exception):
    """A failure that may pass; `error` is what the caller sees if it does not."""

    def __init__(self, error: SearchError, retry_after: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after


def _failure(name: str, status: int, headers: httpx.Headers) -> Exception:
    kind: Callable[[str], SearchError] = SearchUnavailable if status >= 500 else SearchRefused
    hints = {401: ": is the key right?", 403: ": is the key allowed to do this?", 429: ": too many requests"}
    error = kind(f"{name}: replied with status {status}{hints.get(status, '')}")
    if status not in _RETRIED_STATUSES:
        return error
    seconds = headers.get("retry-after", "")
    return _Retryable(error, float(seconds) if seconds.isascii() and seconds.isdigit() else 0.0)
