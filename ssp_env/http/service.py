"""Requests to one remote service, bounded in time, size, rate and number, with retries.

They run on one event loop in a background thread, so that blocking and asynchronous callers share one
implementation, its connections and its limits. Deadlines hold for blocking callers too, whereas the timeout
of a blocking socket only limits the wait for the next bytes.
"""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import anyio
import anyio.to_thread
import httpx
import numpy as np

from ssp_env import __version__
from ssp_env.http.background import arun, is_background, run
from ssp_env.http.decompression import ACCEPTED, ReplyTooLong, read_body
from ssp_env.http.policy import Gate, RequestPolicy, send_with_retries
from ssp_env.http.secrets import clean_error, kept_out_of_logs, redact, redact_reply, secrets_of

_LONG = 1 << 18


@dataclass(frozen=True)
class Answer:
    """A reply that was read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes


class HTTPService:
    """Sends requests; threads and event loops may share it, and with it its connections and limits.

    Redirects are not followed. Proxies are taken from the environment, as httpx does. The service pickles
    without its connections, and a forked process opens its own. Keys and tokens in a request's headers and
    address are cut out of the reply, of exceptions and of what httpx and httpcore log.

    Args:
        policy: Time, retries, rate, concurrency and size.
        true_answer: Reads a reply for what it is, before it is decided whether to send again: services that
            report errors with status 200. It must pickle.

    Example:
        `HTTPService(RequestPolicy(timeout=5)).send(httpx.Request("GET", "http://127.0.0.1:8000/health")).status`
    """

    def __init__(self, policy: RequestPolicy, true_answer: Callable[[Answer], Answer] | None = None) -> None:
        self.policy = policy
        self._true_answer = true_answer
        self._loop: asyncio.AbstractEventLoop | None = None  # The event loop of the connections.

    def __reduce__(self) -> tuple[type[HTTPService], tuple[Any, ...]]:
        return type(self), (self.policy, self._true_answer)

    def send(self, request: httpx.Request) -> Answer:
        """Send a request, again after failures that may pass.

        Returns:
            The last reply, whatever its status.

        Raises:
            TimeoutError: If there is no complete reply within `timeout`, waiting for its turn included.
            httpx.TransportError: If the service cannot be reached or breaks off.
            httpx.DecodingError: If the reply cannot be decompressed, or is compressed more than once.
            ReplyTooLong: If it is longer than `max_bytes`, as sent or unpacked.
        """
        return run(self.exchange(request))

    async def asend(self, request: httpx.Request) -> Answer:
        """Do what `send` does, on any event loop."""
        return await arun(self.exchange(request))

    async def exchange(self, request: httpx.Request) -> Answer:
        """Do what `send` does; for coroutines that run on the loop of `ssp_env.http` already."""
        self._connect()
        request.headers.setdefault("User-Agent", f"ssp-env/{__version__}")
        request.headers.setdefault("Accept-Encoding", ACCEPTED)
        secrets = secrets_of(request)
        try:
            with kept_out_of_logs(secrets):
                return await self._send(request, secrets)
        except (TimeoutError, httpx.HTTPError, ReplyTooLong) as error:
            failure = clean_error(error, secrets)
        # Raised out here, as its context would hold the request.
        raise failure

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        if is_background(self._loop):
            self._at_end.detach()
            run(self._client.aclose())
        self._loop = None

    def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        self._loop = loop
        # The time is bounded as a whole.
        self._client = httpx.AsyncClient(verify=certificates(), timeout=None, follow_redirects=False)
        self._gate = Gate(self.policy)
        self._rng = np.random.default_rng(self.policy.jitter_seed)
        self._at_end = weakref.finalize(self, _close_later, self._client, loop)
        self._at_end.atexit = False

    async def _send(self, request: httpx.Request, secrets: Sequence[str]) -> Answer:
        deadline = asyncio.get_running_loop().time() + self.policy.timeout

        async def attempt() -> Answer:
            async with self._gate.passed(deadline):
                return await self._send_once(request, secrets)

        with anyio.fail_after(self.policy.timeout):
            return await send_with_retries(attempt, self.policy, deadline, self._rng)

    async def _send_once(self, request: httpx.Request, secrets: Sequence[str]) -> Answer:
        response = await self._client.send(request, stream=True)
        try:
            body = await read_body(response, self.policy.max_bytes)
        finally:
            await response.aclose()
        headers = [(name, redact(value, secrets)) for name, value in response.headers.multi_items()]
        clean = partial(redact_reply, body, secrets, is_error=not response.is_success)
        # A long text takes long, and nobody else waits for it.
        body = await anyio.to_thread.run_sync(clean, abandon_on_cancel=True) if len(body) > _LONG else clean()
        answer = Answer(response.status_code, httpx.Headers(headers), body)
        return self._true_answer(answer) if self._true_answer else answer


@cache
def certificates() -> ssl.SSLContext:
    """Return the trusted certificates; they are read once, because that takes longer than a local search."""
    return httpx.create_ssl_context()


def _close_later(client: httpx.AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
    if is_background(loop):
        asyncio.run_coroutine_threadsafe(client.aclose(), loop)


def service_url(url: str) -> httpx.URL:
    """Read the address of a service.

    Raises:
        ValueError: If it is no HTTP address, or holds a user, a password or parameters.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(
            f"expected the address of a server, such as http://127.0.0.1:8000: {error}"
        ) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(
            f"expected an address that starts with http:// or https://, got {shown_url(parsed)!r}"
        )
    if parsed.userinfo or parsed.query:
        raise ValueError(
            "expected an address without user, password and parameters: use api_key for a secret"
        )
    return parsed


def shown_url(url: httpx.URL) -> str:
    """Write an address without the parts of it that may be secret."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))
