"""JSON from a remote service, with a typed error for every other reply."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import httpx

from ssp_env.http import Answer, HTTPService, ReplyTooLong, RequestPolicy, shown_url
from ssp_env.search.errors import BadSearchReply, SearchError, SearchRefused, SearchTimeout, SearchUnavailable

_HINTS = {401: ": is the key right?", 403: ": is the key allowed to do this?", 429: ": too many requests"}


class JSONService:
    """A client of one service.

    Errors name the address without its parameters and what went wrong; never the headers or the body of a
    request, which may hold keys.

    Args:
        policy: Time, retries, rate, concurrency and size.
        name: Name of the service in errors, besides its address.
        quoted: Function from the body of a reply to an excerpt for errors; errors quote nothing if None.
    """

    def __init__(
        self, policy: RequestPolicy, name: str = "", quoted: Callable[[bytes], str] | None = None
    ) -> None:
        self._http = HTTPService(policy)
        self._prefix = f"{name}: " if name else ""
        self._quoted = quoted

    async def call(self, request: httpx.Request) -> Any:
        """Return the decoded reply to a request; to be awaited on the loop of `ssp_env.http`.

        Raises:
            SearchTimeout: If there is no complete reply in time.
            SearchUnavailable: If the service cannot be reached, breaks off or replies 5xx.
            SearchRefused: If it replies anything else than 2xx.
            BadSearchReply: If the reply is no JSON, or too long.
        """
        answer = await self._answer(request)
        if not 200 <= answer.status < 300:
            kind = SearchUnavailable if answer.status >= 500 else SearchRefused
            problem = f"expected status 200, got {answer.status}{_HINTS.get(answer.status, '')}"
            raise self._error(kind, problem, request, answer)
        with suppress(ValueError, RecursionError):
            return json.loads(answer.body)
        # Raised out here, as its context would hold what the service sent.
        raise self._error(BadSearchReply, f"expected JSON, got {len(answer.body):,} bytes", request, answer)

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        self._http.close()

    async def _answer(self, request: httpx.Request) -> Answer:
        try:
            return await self._http.exchange(request)
        except TimeoutError as error:
            problem = f"no complete reply within {self._http.policy.timeout:g} seconds"
            reason = f": {error}" if str(error) else ""
            raise self._error(SearchTimeout, problem + reason, request) from error
        except httpx.TransportError as error:
            # The library's own words may hold what the service sent.
            problem = f"the connection failed ({type(error).__name__})"
            raise self._error(SearchUnavailable, problem, request) from error
        except httpx.DecodingError as error:
            raise self._error(BadSearchReply, str(error), request) from error
        except ReplyTooLong as error:
            raise self._error(BadSearchReply, str(error), request) from error

    def _error(
        self, kind: type[SearchError], problem: str, request: httpx.Request, answer: Answer | None = None
    ) -> SearchError:
        if answer is not None and self._quoted is not None:
            problem += f": {self._quoted(answer.body)}"
        status = None if answer is None else answer.status
        return kind(self._prefix + problem, shown_url(request.url), status)


def is_key(text: str) -> bool:
    """Return whether a text can be sent as a key in a header: printable ASCII without spaces."""
    return text.isascii() and text.isprintable() and " " not in text


def read_key(variable: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the key that an environment variable holds.

    Raises:
        SearchRefused: If it is unset or cannot be a key; the message never holds it.
    """
    key = environment.get(variable, "").strip()
    if not key:
        raise SearchRefused(f"set the environment variable {variable} to your key")
    if not is_key(key):
        raise SearchRefused(f"expected printable ASCII without spaces in the environment variable {variable}")
    return key
