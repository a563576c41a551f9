"""Asks a chat endpoint for completions, within time, rate, concurrency and budget."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import httpx

from agents.chat_endpoint.address import API_KEY_VARIABLE, endpoint_url, read_key
from agents.chat_endpoint.completion import Completion, read_completion
from agents.chat_endpoint.errors import BadChatReply, ChatTimeout
from agents.chat_endpoint.failures import Failures
from agents.chat_endpoint.ledger import Ledger
from agents.chat_endpoint.pacing import Pacer
from agents.chat_endpoint.retries import retrying

_MAX_REPLY_BYTES = 64 * 2**20
_CHARACTERS_PER_TOKEN = 4


class ChatClient:
    """A client of one endpoint that speaks OpenAI's Chat Completions.

    Replies are not streamed: a turn is of no use before its action is complete, and stop strings end it at
    the server. The key is read from the environment for every request; it is neither kept nor logged, and cut out
    of every error. Redirects are not followed, proxies are taken from the environment as httpx does.

    Every call opens a connection of its own unless the client is entered with `async with`, which keeps them
    open for the event loop it is entered in. It may be used from any loop and thread.

    Args:
        base_url: Address of the endpoint, up to `/v1` as a rule; the environment's `OPENAI_BASE_URL` if None,
            and OpenAI's if there is none.
        api_key_variable: Name of the environment variable with the key. `OPENAI_API_KEY` may be unset, for
            endpoints without keys.
        timeout: Seconds for one request, from sending it to the last byte of its reply.
        total_timeout: Seconds for a completion, waiting and repetitions included.
        attempts: Times a request is sent at most. Sent again are requests that met a time-out, a lost or
            refused connection, 408, 409, 425, 429 (unless the quota is used up) and 5xx.
        concurrency: Most requests under way at a time, per event loop.
        requests_per_minute: Most requests per minute, repetitions included; None is no limit.
        tokens_per_minute: Most tokens per minute, read and written; None is no limit. Before a reply says
            what was used, a quarter of the characters and all of `max_tokens` are assumed.
        ledger: Where usage is added up and the budget is kept; a new one without budget if None.

    Raises:
        ValueError: If an argument is out of range, the address is none, or the key is missing or malformed.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key_variable: str = API_KEY_VARIABLE,
        timeout: float = 120.0,
        total_timeout: float = 600.0,
        attempts: int = 5,
        concurrency: int = 16,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.ledger = ledger or Ledger()
        self._arguments = {
            "base_url": base_url, "api_key_variable": api_key_variable, "timeout": timeout,
            "total_timeout": total_timeout, "attempts": attempts, "concurrency": concurrency,
            "requests_per_minute": requests_per_minute, "tokens_per_minute": tokens_per_minute,
            "ledger": self.ledger,
        }  # fmt: skip
        for name in ("timeout", "total_timeout", "attempts", "concurrency"):
            if not self._arguments[name] > 0:  # type: ignore[operator]
                raise ValueError(f"{name} must be above 0, got {self._arguments[name]!r}")
        self._url = endpoint_url(base_url)
        self._key_variable = api_key_variable
        read_key(api_key_variable)
        self._timeout, self._total_timeout, self._attempts = timeout, total_timeout, attempts
        self._concurrency = concurrency
        self._requests = None if requests_per_minute is None else Pacer(requests_per_minute)
        self._tokens = None if tokens_per_minute is None else Pacer(tokens_per_minute)
        self._slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
        self._open: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None
        # Made once: reading the certificates takes longer than a request to a server nearby.
        self._certificates = ssl.create_default_context()

    def __reduce__(self) -> tuple[Callable[..., ChatClient], tuple[dict[str, Any]]]:
        return _from_arguments, (self._arguments,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._url)!r})"

    async def __aenter__(self) -> ChatClient:
        if self._open is not None:
            raise RuntimeError("this client is entered already")
        self._open = (asyncio.get_running_loop(), self._connect())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._open is not None:
            _, client = self._open
            self._open = None
            await client.aclose()

    async def complete(
        self, model: str, messages: Sequence[Mapping[str, Any]], *, role: str = "", **fields: Any
    ) -> Completion:
        """Ask for one completion.

        Args:
            model: The model's name at the endpoint.
            messages: The conversation in OpenAI's shape.
            role: Under which name the ledger counts the usage.
            **fields: Other fields of the request, `temperature` or `stop` for instance; those that are None
                are left out.

        Raises:
            ChatError: If there is no completion; see `agents.chat_endpoint.errors`.
        """
        request = {"model": model, "messages": [*messages], **fields}
        body = {name: value for name, value in request.items() if value is not None}
        failures = Failures(self._completions, read_key(self._key_variable))
        with anyio.move_on_after(self._total_timeout):
            send = retrying(self._attempts, self._total_timeout)
            completion: Completion = await send(self._attempt, body, role, failures)
            return completion
        problem = f"no completion within {self._total_timeout:g} seconds, repetitions included"
        raise failures.error(ChatTimeout, problem)

    async def _attempt(self, body: Mapping[str, Any], role: str, failures: Failures) -> Completion:
        content = json.dumps(body)
        estimate = len(content) / _CHARACTERS_PER_TOKEN + (body.get("max_tokens") or 0)
        async with self._slot():
            self.ledger.allow(body["model"])
            paced = ((self._requests, 1), (self._tokens, estimate))
            await anyio.sleep(max((pacer.reserve(amount) for pacer, amount in paced if pacer), default=0))
            reply = await self._exchange(content, failures)
        try:
            completion = read_completion(json.loads(reply))
        except BadChatReply as error:
            raise failures.error(BadChatReply, error.problem) from None
        except (ValueError, RecursionError):
            problem = f"expected JSON, got {len(reply):,} bytes: {failures.excerpt(reply)}"
            raise failures.error(BadChatReply, problem) from None
        usage = completion.usage
        if self._tokens and usage:
            self._tokens.correct(usage.prompt_tokens + usage.completion_tokens - estimate)
        self.ledger.add(role, body["model"], usage)
        return completion

    async def _exchange(self, content: str, failures: Failures) -> bytes:
        headers = {"Content-Type": "application/json"}
        if failures.key:
            headers["Authorization"] = f"Bearer {failures.key}"
        body = bytearray()
        with failures.typed(self._timeout), anyio.fail_after(self._timeout):
            async with (
                self._connected() as client,
                client.stream("POST", failures.url, content=content, headers=headers) as response,
            ):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_REPLY_BYTES:
                        raise failures.error(BadChatReply, f"expected at most {_MAX_REPLY_BYTES:,} bytes")
        if response.status_code != httpx.codes.OK:
            raise failures.of_status(response.status_code, bytes(body), response.headers)
        return bytes(body)

    @property
    def _completions(self) -> httpx.URL:
        return self._url.copy_with(path=f"{self._url.path.rstrip('/')}/chat/completions")

    def _connect(self) -> httpx.AsyncClient:
        # Time and concurrency are bounded here; the pool must not do it again.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=self._concurrency)
        return httpx.AsyncClient(verify=self._certificates, timeout=None, limits=limits)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[httpx.AsyncClient]:
        if self._open is not None and self._open[0] is asyncio.get_running_loop():
            yield self._open[1]
            return
        async with self._connect() as client:
            yield client

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        return self._slots.setdefault(loop, asyncio.Semaphore(self._concurrency))


def _from_arguments(arguments: dict[str, Any]) -> ChatClient:
    return ChatClient(**arguments)
