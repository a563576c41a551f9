"""A search engine behind HTTP: any server that speaks Search-R1's `/retrieve`, such as `ssp serve`."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import chain
from json import JSONDecodeError, loads
from typing import Any

import anyio
import httpx

from ssp_env.passage import Passage
from ssp_env.search.documents import API_KEY_VARIABLE, from_reply
from ssp_env.search.errors import (
    BadSearchReply,
    SearchRefused,
    SearchTimeout,
    SearchUnavailable,
)

try:
    from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_after_attempt, stop_before_delay
    from tenacity.wait import wait_random_exponential
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tenacity is not installed. Install it with: pip install 'ssp-env[remote]'"
    ) from error

_MAX_REPLY_BYTES = 256 * 2**20
_EXCERPT_CHARACTERS = 200
_NO_HEALTH = (404, 405, 501)


@dataclass(frozen=True)
class _Call:
    """One HTTP request."""

    method: str
    url: httpx.URL
    json: Any = None


class RemoteEngine:
    """Ranked retrieval by a server.

    Requests are sent again, after a growing and jittered pause, when the server says 429 or 5xx or the
    connection fails; nothing else is. Every request ends within `timeout`, its repetitions included.
    Proxies set in the environment are respected, redirects are not followed.

    `asearch` opens a connection for itself unless the engine is entered with `async with`, which keeps them
    open. An engine that is pickled takes its key along.

    Args:
        url: Address of the server, with or without `/retrieve`; without user, password or parameters.
        api_key: Sent as bearer token; by default the environment's `SSP_SEARCH_API_KEY`, if set.
        timeout: Seconds for a request of at most `max_queries` queries.
        attempts: Most times that a request is sent.
        max_queries: Most queries in one request; a longer search is split.
        max_connections: Most requests that one `asearch` has under way.

    Raises:
        ValueError: If an argument is out of range or `url` is no HTTP address.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        attempts: int = 4,
        max_queries: int = 256,
        max_connections: int = 8,
    ) -> None:
        self._arguments = {
            "url": url, "api_key": api_key, "timeout": timeout, "attempts": attempts,
            "max_queries": max_queries, "max_connections": max_connections,
        }  # fmt: skip
        for name in ("timeout", "attempts", "max_queries", "max_connections"):
            if not self._arguments[name] > 0:  # type: ignore[operator]
                raise ValueError(f"{name} must be above 0, got {self._arguments[name]!r}")
        self._url = _retrieve_url(url)
        self._key = _checked_key(os.environ.get(API_KEY_VARIABLE) if api_key is None else api_key)
        self._timeout, self._attempts = timeout, attempts
        self._max_queries, self._max_connections = max_queries, max_connections
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        # Made once: reading the certificates takes longer than a local search.
        self._options: dict[str, Any] = {"headers": headers, "verify": ssl.create_default_context()}
        self._client = httpx.Client(**self._options)
        self._async_client: httpx.AsyncClient | None = None
        self._fingerprint: str | None = None

    def __reduce__(self) -> tuple[Callable[..., RemoteEngine], tuple[dict[str, Any]]]:
        return _from_arguments, (self._arguments,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_shown_url(self._url)!r})"

    def __enter__(self) -> RemoteEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> RemoteEngine:
        self._async_client = httpx.AsyncClient(**self._options)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._async_client is not None:
            await self._async_client.aclose()
            self._async_client = None
        self.close()

    def close(self) -> None:
        """Close the connections that `search` keeps open."""
        self._client.close()

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the passages that the server ranks best, for each query.

        Args:
            queries: Texts to search for. Half of a surrogate pair, which JSON cannot carry, is sent as `?`.
            top_k: Most passages to return per query, at least 1.

        Raises:
            TypeError: If `queries` is a single string or holds something that is not one.
            ValueError: If `top_k` is below 1.
            SearchError: If any request fails: `SearchTimeout`, `SearchUnavailable`,
                `SearchRefused` or `BadSearchReply`.
        """
        parts = self._parts(queries, top_k)
        return [*chain.from_iterable(self._read(self._send(call), call, top_k) for call in parts)]

    async def asearch(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Do the same as `search` without blocking, with the requests of a long search side by side."""
        parts = self._parts(queries, top_k)
        found: list[list[list[Passage]]] = [[] for _ in parts]
        slots = asyncio.Semaphore(self._max_connections)

        async def fetch(number: int, client: httpx.AsyncClient) -> None:
            async with slots:
                found[number] = self._read(await self._asend(parts[number], client), parts[number], top_k)

        async with self._connected() as client:
            tasks = [asyncio.ensure_future(fetch(number, client)) for number in range(len(parts))]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return [*chain.from_iterable(found)]

    def fingerprint(self) -> str:
        """Return the fingerprint that the server's `/health` names.

        A server without one is taken at its address: `url:` and a hash of it. That tells servers apart, and
        not what they searched. It is asked for once and then remembered.

        Raises:
            SearchError: If the server cannot be reached, refuses, or fails.
        """
        if self._fingerprint is None:
            call = _Call(
                "GET", self._url.copy_with(path=self._url.path.removesuffix("/retrieve") + "/health")
            )
            try:
                health = loads(self._send(call))
            except (SearchRefused, SearchUnavailable) as error:
                if error.status not in _NO_HEALTH:
                    raise
                health = None
            except ValueError:
                health = None
            named = health.get("fingerprint") if isinstance(health, dict) else None
            by_address = "url:" + hashlib.sha256(_shown_url(self._url).encode()).hexdigest()
            self._fingerprint = named if isinstance(named, str) and named else by_address
        return self._fingerprint

    def _parts(self, queries: Sequence[str], top_k: int) -> list[_Call]:
        if isinstance(queries, str):
            raise TypeError("search expects a sequence of queries, got a single string: pass [query]")
        if not all(isinstance(query, str) for query in queries):
            kinds = sorted({type(query).__name__ for query in queries})
            raise TypeError(f"search expects queries that are strings, got {', '.join(kinds)}")
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        texts = [query.encode("utf-8", "replace").decode() for query in queries]
        return [
            _Call(
                "POST",
                self._url,
                {"queries": texts[i : i + self._max_queries], "topk": top_k, "return_scores": True},
            )
            for i in range(0, len(texts), self._max_queries)
        ]

    def _send(self, call: _Call) -> bytes:
        deadline = time.monotonic() + self._timeout
        for attempt in Retrying(**self._retry_settings()):
            with attempt, self._typed_errors(call):
                # httpx bounds the wait for the next bytes; a server that drips is stopped between them.
                request = self._client.build_request(
                    call.method, call.url, json=call.json, timeout=max(deadline - time.monotonic(), 1e-3)
                )
                response = self._client.send(request, stream=True)
                body = bytearray()
                try:
                    for chunk in response.iter_bytes():
                        self._keep(body, chunk, call)
                        if time.monotonic() > deadline:
                            raise httpx.ReadTimeout("the reply took too long", request=request)
                finally:
                    response.close()
                return self._successful(response.status_code, bytes(body), call)
        raise AssertionError("Retrying returns or raises")

    async def _asend(self, call: _Call, client: httpx.AsyncClient) -> bytes:
        deadline = time.monotonic() + self._timeout
        async for attempt in AsyncRetrying(**self._retry_settings()):
            with attempt, self._typed_errors(call), anyio.fail_after(deadline - time.monotonic()):
                body = bytearray()
                async with client.stream(call.method, call.url, json=call.json, timeout=None) as response:
                    async for chunk in response.aiter_bytes():
                        self._keep(body, chunk, call)
                return self._successful(response.status_code, bytes(body), call)
        raise AssertionError("AsyncRetrying returns or raises")

    def _retry_settings(self) -> dict[str, Any]:
        return {
            "retry": retry_if_exception(_is_transient),
            "stop": stop_after_attempt(self._attempts) | stop_before_delay(self._timeout),
            "wait": wait_random_exponential(multiplier=0.2, max=5.0),
            "reraise": True,
        }

    @contextmanager
    def _typed_errors(self, call: _Call) -> Iterator[None]:
        shown = _shown_url(call.url)
        try:
            yield
        except (TimeoutError, httpx.TimeoutException) as error:
            raise SearchTimeout(f"no complete reply within {self._timeout:g} seconds", shown) from error
        except httpx.DecodingError as error:
            raise BadSearchReply("expected a reply that can be decompressed", shown) from error
        except httpx.TransportError as error:
            problem = f"the connection failed ({type(error).__name__}): {self._redacted(str(error))}"
            raise SearchUnavailable(problem, shown) from error

    def _keep(self, body: bytearray, chunk: bytes, call: _Call) -> None:
        body += chunk
        if len(body) > _MAX_REPLY_BYTES:
            raise BadSearchReply(
                f"expected at most {_MAX_REPLY_BYTES:,} bytes, got more", _shown_url(call.url)
            )

    def _successful(self, status: int, body: bytes, call: _Call) -> bytes:
        if status != httpx.codes.OK:
            problem = f"expected status 200, got {status}: {self._excerpt(body)}"
            kind = SearchUnavailable if httpx.codes.is_server_error(status) else SearchRefused
            raise kind(problem, _shown_url(call.url), status)
        return body

    def _read(self, body: bytes, call: _Call, top_k: int) -> list[list[Passage]]:
        try:
            return from_reply(loads(body), len(call.json["queries"]), top_k)
        except (JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            problem = f"expected JSON, got {len(body):,} bytes: {self._excerpt(body)}"
            raise BadSearchReply(problem, _shown_url(call.url)) from error
        except ValueError as error:
            raise BadSearchReply(self._redacted(str(error)), _shown_url(call.url)) from error

    def _excerpt(self, body: bytes) -> str:
        text = self._redacted(body[: 4 * _EXCERPT_CHARACTERS].decode("utf-8", "replace"))
        return repr(text[:_EXCERPT_CHARACTERS])

    def _redacted(self, text: str) -> str:
        return text.replace(self._key, "[API key]") if self._key else text

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[httpx.AsyncClient]:
        if self._async_client is not None:
            yield self._async_client
            return
        async with httpx.AsyncClient(**self._options) as client:
            yield client


def _from_arguments(arguments: dict[str, Any]) -> RemoteEngine:
    return RemoteEngine(**arguments)


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, SearchRefused):
        return error.status == httpx.codes.TOO_MANY_REQUESTS
    return isinstance(error, SearchUnavailable)


def _retrieve_url(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(
            f"expected the address of a server, such as http://127.0.0.1:8000: {error}"
        ) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(
            f"expected an address that starts with http:// or https://, got {_shown_url(parsed)!r}"
        )
    if parsed.userinfo or parsed.query:
        raise ValueError(
            "expected an address without user, password and parameters: use api_key for a secret"
        )
    path = parsed.path.rstrip("/")
    return parsed if path.endswith("/retrieve") else parsed.copy_with(path=path + "/retrieve")


def _shown_url(url: httpx.URL) -> str:
    """Write an address without what may be secret in it."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _checked_key(key: str | None) -> str | None:
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("the API key must be printable ASCII without spaces")
    return key or None
