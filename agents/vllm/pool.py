"""Many servers behind one client: a conversation stays with its server, and moves on if that fails."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from agents.vllm.errors import NoServerLeft, ServerUnavailable, UnfitServer, VLLMError
from agents.vllm.server import Server
from agents.vllm.turn import Completion
from ssp_env.http import RetryPolicy
from ssp_env.http.policy import send_with_retries

QUIET_SECONDS = 20.0
"""A server not heard of for so long may have been started anew, with other weights; no vLLM starts faster."""

_log = logging.getLogger("ssp_env.agents.vllm")


@dataclass(eq=False)
class _Health:
    """What is known of one server.

    Attributes:
        heard: When it last answered, on the loop's clock; None if it must be admitted first.
        retry_at: Before then it is left alone.
        failures: Failures in a row.
        problem: The last one.
        admission: Held by whoever finds out whether it may be used.
    """

    heard: float | None = None
    retry_at: float = 0.0
    failures: int = 0
    problem: str = "not asked yet"
    admission: asyncio.Lock = field(default_factory=asyncio.Lock)


class ServerPool:
    """Sends completion requests to servers; its coroutines run on the loop of `ssp_env.http`.

    Servers rank differently for every conversation (rendezvous hashing, Thaler and Ravishankar 1998). The
    first one that is up gets all its turns, and so finds their prefix in its cache; if it fails, the next one
    gets the same prompt, and nobody else's conversation moves. A server that failed is left alone for a
    pause that doubles with each failure, and is then admitted anew.

    Args:
        servers: The servers.
        admit: Finds out whether a server may be used, and raises if not; called before its first request,
            after each failure and after a silence.
        policy: How often and how long all servers are tried for one request, and the pauses.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        admit: Callable[[Server], Awaitable[None]],
        policy: RetryPolicy,
    ) -> None:
        self.servers = tuple(servers)
        self.gate = UpdateGate()
        self._admit = admit
        self._policy = policy
        self._health = {server: _Health() for server in servers}
        self._rng = np.random.default_rng(policy.jitter_seed)

    async def connect(self) -> None:
        """Admit every server that can be reached.

        Raises:
            UnfitServer: If one can be reached and may not be used.
            NoServerLeft: If none can be reached.
        """
        problems = []
        for server in self.servers:
            try:
                await self._admitted(server)
            except ServerUnavailable as error:
                self.failed(server, error)
                problems.append(str(error))
        if len(problems) == len(self.servers):
            raise NoServerLeft(f"no vLLM server can be reached: {'; '.join(problems)}")

    async def complete(self, key: Sequence[str], request: Mapping[str, Any], model: str) -> Completion:
        """Sample one reply, by the server of a conversation or by whichever still runs.

        Args:
            key: Name of the conversation.
            request: Body of the request.
            model: Model or adapter.

        Raises:
            NoServerLeft: If every server failed, in every attempt.
            RequestRefused: If a server refuses the request itself.
        """

        async def attempt() -> _Served:
            return _Served(await self._try_all(key, request, model))

        deadline = asyncio.get_running_loop().time() + self._policy.timeout
        try:
            return (await send_with_retries(attempt, self._policy, deadline, self._rng)).completion
        except _AllFailed as error:
            raise NoServerLeft(str(error)) from error

    def failed(self, server: Server, error: Exception) -> None:
        """Leave a server alone for a while."""
        health = self._health[server]
        health.problem = str(error)
        if health.heard is None and health.retry_at > asyncio.get_running_loop().time():
            # Requests that were under way together fail together, once.
            return
        pause = min(self._policy.backoff * 2.0 ** min(health.failures, 30), 4 * self._policy.max_backoff)
        health.heard = None
        health.retry_at = asyncio.get_running_loop().time() + pause
        health.failures += 1
        _log.warning("%s is left alone for %.1f s: %s", server.url, pause, error)

    def ranked(self, key: Sequence[str]) -> list[Server]:
        """Return the servers in the order in which a conversation prefers them."""

        def weight(server: Server) -> bytes:
            return hashlib.sha256(repr((server.url, *key)).encode("utf-8", "backslashreplace")).digest()

        return sorted(self.servers, key=weight)

    async def _try_all(self, key: Sequence[str], request: Mapping[str, Any], model: str) -> Completion:
        for server in self.ranked(key):
            health = self._health[server]
            if health.heard is None and (
                health.retry_at > asyncio.get_running_loop().time() or health.admission.locked()
            ):
                continue
            try:
                async with self.gate.request():
                    await self._admitted(server)
                    completion = await server.complete(request, model)
                health.heard = asyncio.get_running_loop().time()
                return completion
            except (ServerUnavailable, UnfitServer) as error:
                self.failed(server, error)
        problems = "; ".join(f"{server.url}: {health.problem}" for server, health in self._health.items())
        raise _AllFailed(f"no vLLM server is left: {problems}")

    async def _admitted(self, server: Server) -> None:
        """Make sure that a server may be used."""
        health = self._health[server]
        if self._is_recent(health):
            return
        async with health.admission:
            if not self._is_recent(health):
                await self._admit(server)
                health.heard, health.failures = asyncio.get_running_loop().time(), 0

    def _is_recent(self, health: _Health) -> bool:
        return health.heard is not None and asyncio.get_running_loop().time() - health.heard < QUIET_SECONDS


@dataclass(frozen=True)
class _Served:
    """A completion in the shape of a reply of HTTP, which is what is tried again."""

    completion: Completion
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class _AllFailed(httpx.TransportError, VLLMError):
    """No server answered in this attempt."""


class UpdateGate:
    """Keeps requests and updates of the weights apart; used on one event loop.

    A request that is under way when an update begins ends on the old weights, one that comes meanwhile waits
    and begins on the new ones: what was sampled has one version, which is known when the request is sent.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._inside = 0
        self._updating = False

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Hold while a request is under way."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._updating)
            self._inside += 1
        try:
            yield
        finally:
            # No await between here and the notification may be cancelled away.
            self._inside -= 1
            if not self._inside:
                await asyncio.shield(asyncio.ensure_future(self._tell()))

    @asynccontextmanager
    async def update(self) -> AsyncIterator[None]:
        """Wait for the requests under way, then hold while the weights change."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._updating)
            self._updating = True
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._inside)
            yield
        finally:
            self._updating = False
            await asyncio.shield(asyncio.ensure_future(self._tell()))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
