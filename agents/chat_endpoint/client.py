"""Asks a chat endpoint for completions, within time, rate, concurrency and budget."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from agents.chat_endpoint.completion import Completion, error_status, read_completion
from agents.chat_endpoint.errors import BadChatReply, Failures
from agents.chat_endpoint.ledger import Ledger
from ssp_env.http import Answer, HTTPService, RequestPolicy, run

BASE_URL_VARIABLE = "OPENAI_BASE_URL"
API_KEY_VARIABLE = "OPENAI_API_KEY"
DEFAULT_BASE_URL = "https://api.openai.com/v1"
_MAX_REPLY_BYTES = 64 * 2**20
_CHARACTERS_PER_TOKEN = 4


class ChatClient:
    """A client of one endpoint that speaks OpenAI's Chat Completions.

    Replies are not streamed: a turn is of no use before its action is complete, and stop strings end it at
    the server. The key is read from the environment for every request; it is neither kept nor logged, and
    cut out of every error. Redirects are not followed, proxies are taken from the environment as httpx does.
    Threads and event loops may share a client, and with it its connections and limits.

    Args:
        base_url: Address of the endpoint, up to `/v1` as a rule; the environment's `OPENAI_BASE_URL` if
            None, and OpenAI's if there is none.
        api_key_variable: Name of the environment variable with the key. `OPENAI_API_KEY` may be unset, for
            endpoints without keys.
        timeout: Seconds for a completion, retries and waiting for the limits included.
        silence_timeout: Seconds without a byte after which a request counts as failed. As replies are not
            streamed, most endpoints are silent until all of a reply is written.
        max_retries: Times a request is sent again at most: if the connection is refused, lost or silent, and
            after the statuses 408, 425, 429, 500, 502, 503 and 504, also where the body of a reply of status
            200 reports them. The pauses before it grow, are jittered,
            and end not before the endpoint's `Retry-After`.
        concurrency: Most requests in flight.
        requests_per_minute: Most requests per minute, retries included; None is no limit.
        tokens_per_minute: Most tokens per minute, read and written; None is no limit. Before a reply says
            what was used, a quarter of the characters and all of `max_tokens` are assumed.
        ledger: Where usage is added up and the budget is kept; a new one without budget if None.

    Raises:
        ValueError: If an argument is out of range, or the address or the key is missing or malformed.
        ModuleNotFoundError: If tenacity is not installed.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key_variable: str = API_KEY_VARIABLE,
        timeout: float = 600.0,
        silence_timeout: float = 120.0,
        max_retries: int = 4,
        concurrency: int = 16,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        if not silence_timeout > 0:
            raise ValueError(f"silence_timeout must be above 0, got {silence_timeout}")
        read_key(api_key_variable)
        self.ledger = ledger or Ledger()
        self._url = endpoint_url(base_url)
        self._key_variable = api_key_variable
        self._silence_timeout = silence_timeout
        self._tokens = None if tokens_per_minute is None else Pacer(tokens_per_minute)
        self._service = HTTPService(
            RequestPolicy(
                timeout=timeout,
                max_retries=max_retries,
                concurrency=concurrency,
                requests_per_second=None if requests_per_minute is None else requests_per_minute / 60,
                max_bytes=_MAX_REPLY_BYTES,
            ),
            _true_answer,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._url)!r})"

    def close(self) -> None:
        """Close the connections; they are opened again if need be."""
        self._service.close()

    def complete(
        self, model: str, messages: Sequence[Mapping[str, Any]], *, role: str = "", **fields: Any
    ) -> Completion:
        """Ask for one completion and wait for it; see `acomplete`."""
        return run(self.acomplete(model, messages, role=role, **fields))

    async def acomplete(
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
        content = json.dumps({name: value for name, value in request.items() if value is not None})
        self.ledger.allow(model)
        estimate = len(content) / _CHARACTERS_PER_TOKEN + (fields.get("max_tokens") or 0)
        if self._tokens:
            await asyncio.sleep(self._tokens.reserve(estimate))
            # Meanwhile others may have spent what was left.
            self.ledger.allow(model)
        completion = await self._ask(content)
        usage = completion.usage
        if self._tokens and usage:
            self._tokens.correct(usage.prompt_tokens + usage.completion_tokens - estimate)
        self.ledger.add(role, model, usage)
        return completion

    async def _ask(self, content: str) -> Completion:
        url = self._url.copy_with(path=f"{self._url.path.rstrip('/')}/chat/completions")
        failures = Failures(url, read_key(self._key_variable))
        headers = {"Content-Type": "application/json"}
        if failures.key:
            headers["Authorization"] = f"Bearer {failures.key}"
        bounds = dict.fromkeys(("connect", "read", "write"), self._silence_timeout)
        request = httpx.Request("POST", url, content=content, headers=headers, extensions={"timeout": bounds})
        with failures.typed(self._service.policy.timeout):
            answer = await self._service.asend(request)
        return _read(answer, failures)


def _true_answer(answer: Answer) -> Answer:
    """Give a reply that reports an error in its body the status of that error."""
    if answer.status != httpx.codes.OK or b'"error"' not in answer.body:
        return answer
    try:
        status = error_status(json.loads(answer.body))
    except (ValueError, RecursionError):
        return answer
    return answer if status is None else replace(answer, status=status)


def _read(answer: Answer, failures: Failures) -> Completion:
    if answer.status != httpx.codes.OK:
        raise failures.of_status(answer.status, answer.body)
    try:
        return read_completion(json.loads(answer.body))
    except BadChatReply as error:
        problem = error.problem
    except (ValueError, RecursionError):
        problem = f"expected JSON, got {len(answer.body):,} bytes: {failures.excerpt(answer.body)}"
    # Raised out here, as its context would hold what the endpoint sent.
    raise failures.error(BadChatReply, problem)


def endpoint_url(base_url: str | None) -> httpx.URL:
    """Return the address to build requests from; the environment's `OPENAI_BASE_URL` if None.

    Raises:
        ValueError: If it is no HTTP address, or holds what may be secret.

    >>> endpoint_url("http://127.0.0.1:8000/v1/chat/completions")
    URL('http://127.0.0.1:8000/v1')
    """
    given = base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
    expected = "expected the address of a chat endpoint, such as http://127.0.0.1:8000/v1"
    try:
        url = httpx.URL(given)
    except httpx.InvalidURL as error:
        raise ValueError(f"{expected}: {error}") from None
    if url.userinfo or url.query or url.fragment:
        raise ValueError(f"{expected}, without user, password and parameters: keys come from the environment")
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{expected}, got {given!r}")
    return url.copy_with(path=url.path.rstrip("/").removesuffix("/chat/completions"))


def read_key(variable: str) -> str:
    """Return the key in an environment variable; empty if `OPENAI_API_KEY` is unset, as local servers allow.

    Raises:
        ValueError: If another variable is unset, or holds what cannot be a key, which is not repeated.
    """
    key = os.environ.get(variable, "").strip()
    if not key and variable != API_KEY_VARIABLE:
        raise ValueError(f"set the environment variable {variable} to the key of the chat endpoint")
    if not (key.isascii() and key.isprintable() and " " not in key) and key:
        raise ValueError(f"expected printable ASCII without spaces in the environment variable {variable}")
    return key


class Pacer:
    """Spreads an amount evenly: what is sent must wait until what was sent before is paid off.

    In any minute, what begins after its first request adds up to at most `per_minute`. The usual limiters
    of asyncio belong to one event loop and take nothing back; here an estimate is corrected once the true
    amount is known.

    Args:
        per_minute: The amount: tokens, for instance.

    Raises:
        ValueError: If it is not above 0.
    """

    def __init__(self, per_minute: float) -> None:
        if not per_minute > 0:
            raise ValueError(f"a limit per minute must be above 0, got {per_minute}")
        self._seconds_each = 60 / per_minute
        self._free_at = 0.0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Pacer], tuple[float]]:
        return type(self), (60 / self._seconds_each,)

    def reserve(self, amount: float) -> float:
        """Take an amount and return the seconds to wait before it may be used."""
        now = time.monotonic()
        with self._lock:
            starts = max(now, self._free_at)
            self._free_at = starts + amount * self._seconds_each
        return starts - now

    def correct(self, amount: float) -> None:
        """Add to what was taken; an amount below 0 gives back."""
        with self._lock:
            self._free_at += amount * self._seconds_each
