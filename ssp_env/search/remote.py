"""A search engine behind HTTP: any server that speaks Search-R1's `/retrieve`, such as `ssp serve`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from itertools import chain
from typing import Any

import httpx

from ssp_env.game.passage import Passage
from ssp_env.http import RequestPolicy as RequestPolicy
from ssp_env.http import arun, redact, run, service_url, shown_url
from ssp_env.http.concurrency import gather
from ssp_env.search.documents import API_KEY_VARIABLE, from_opened, from_reply
from ssp_env.search.engine import check_search
from ssp_env.search.errors import BadSearchReply, SearchError
from ssp_env.search.json_service import JSONService, is_key

POLICY = RequestPolicy(max_retries=3, backoff=0.2, max_backoff=5.0, max_bytes=256 * 2**20)
_EXCERPT_CHARACTERS = 200
_NO_HEALTH = (404, 405, 501)
NAMED_BY_ADDRESS = "url:"
"""Prefix of the fingerprint of a server that does not say what it searches."""


class RemoteEngine(AbstractContextManager["RemoteEngine"], AbstractAsyncContextManager["RemoteEngine"]):
    """Ranked retrieval by a server.

    A request is sent again if the connection fails or the server replies with a status of
    `policy.retried_statuses`, after a pause that grows, or after the pause that the server asks for. Every
    request ends within `policy.timeout`, its retries included. Proxies set in the environment are used,
    redirects are not followed.

    Connections stay open until `close`, the end of a `with` or `async with` block, or the end of the engine.
    A pickle holds neither connections nor a key: the copy reads the key from its own environment.

    Args:
        url: Address of the server, with or without `/retrieve`; without user, password or parameters.
        api_key: Sent as bearer token; by default the environment's `SSP_SEARCH_API_KEY`, if set.
        policy: How long a request may take, when it is sent again, and how many run at a time.
        max_queries: Most queries in one request; a longer search is split into requests that run side by
            side.

    Raises:
        ValueError: If an argument is out of range or `url` is no HTTP address.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        policy: RequestPolicy = POLICY,
        max_queries: int = 256,
    ) -> None:
        if not max_queries > 0:
            raise ValueError(f"max_queries must be above 0, got {max_queries!r}")
        self._given_key = api_key is not None
        self._arguments: dict[str, Any] = {"url": url, "policy": policy, "max_queries": max_queries}
        parsed = service_url(url)
        path = parsed.path.rstrip("/").removesuffix("/retrieve")
        self._url = parsed.copy_with(path=path + "/retrieve")
        self._key = (os.environ.get(API_KEY_VARIABLE) if api_key is None else api_key) or ""
        if not is_key(self._key):
            raise ValueError("the API key must be printable ASCII without spaces")
        self._max_queries, self._concurrency = max_queries, policy.concurrency
        self._service = JSONService(policy, quoted=self._excerpt)
        self._fingerprint: str | None = None

    def __reduce__(self) -> tuple[partial[RemoteEngine], tuple[()]]:
        if self._given_key:
            raise TypeError(
                "an engine that was given its key does not pickle, as the key would be in the pickle: set "
                f"{API_KEY_VARIABLE} in the environment here and where the pickle is read"
            )
        return partial(RemoteEngine, **self._arguments), ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown_url(self._url)!r})"

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        self._service.close()

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the passages that the server ranks best for each query, as `SearchEngine.search` says.

        Half of a surrogate pair, which JSON cannot carry, is sent as `?`.

        Raises:
            SearchError: If any request fails: `SearchTimeout`, `SearchUnavailable`,
                `SearchRefused` or `BadSearchReply`.
        """
        return run(self._search(queries, top_k))

    async def asearch(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Do the same as `search` without blocking; cancelling it ends its requests."""
        return await arun(self._search(queries, top_k))

    def get_passages(self, ids: Sequence[str]) -> list[Passage | None]:
        """Return passages by their ids, as `PassageStore.get_passages` says, of a server that opens pages.

        A server of `ssp serve --open` gives out those of pages that its searches have listed.

        Raises:
            SearchError: If the request fails, or the server does not open pages.
        """
        return run(self._open(ids))

    async def aget_passages(self, ids: Sequence[str]) -> list[Passage | None]:
        """Do the same as `get_passages` without blocking."""
        return await arun(self._open(ids))

    def fingerprint(self) -> str:
        """Return the fingerprint that the server's `/health` names.

        The fingerprint of a server that names none is `url:` and a hash of its address, which tells servers
        apart but not what they search. The server is asked once.

        Raises:
            SearchError: If the server cannot be reached, refuses, or fails.
        """
        if self._fingerprint is None:
            self._fingerprint = run(self._name())
        return self._fingerprint

    async def afingerprint(self) -> str:
        """Ask the server anew and return what `fingerprint` says, without blocking: a server may restart."""
        return await arun(self._name())

    async def _name(self) -> str:
        path = self._url.path.removesuffix("/retrieve") + "/health"
        try:
            health = await self._service.call(self._request("GET", self._url.copy_with(path=path)))
        except SearchError as error:
            if not isinstance(error, BadSearchReply) and error.status not in _NO_HEALTH:
                raise
            health = None
        named = health.get("fingerprint") if isinstance(health, dict) else None
        by_address = NAMED_BY_ADDRESS + hashlib.sha256(shown_url(self._url).encode()).hexdigest()
        return named if isinstance(named, str) and named else by_address

    async def _search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        check_search(queries, top_k)
        texts = [query.encode("utf-8", "replace").decode() for query in queries]
        step = self._max_queries
        parts = [self._retrieve(texts[start : start + step], top_k) for start in range(0, len(texts), step)]
        return [*chain.from_iterable(await gather(parts, self._concurrency))]

    async def _open(self, ids: Sequence[str]) -> list[Passage | None]:
        path = self._url.path.removesuffix("/retrieve") + "/open"
        url = self._url.copy_with(path=path)
        reply = await self._service.call(self._request("POST", url, {"ids": list(ids)}))
        try:
            return from_opened(reply, ids)
        except ValueError as error:
            problem = redact(str(error), [self._key])
        # Raised out here, as its context would hold what the server sent.
        raise BadSearchReply(problem, shown_url(url))

    async def _retrieve(self, texts: list[str], top_k: int) -> list[list[Passage]]:
        asked = {"queries": texts, "topk": top_k, "return_scores": True}
        reply = await self._service.call(self._request("POST", self._url, asked))
        try:
            return from_reply(reply, len(texts), top_k)
        except ValueError as error:
            problem = redact(str(error), [self._key])
        # Raised out here, as its context would hold what the server sent.
        raise BadSearchReply(problem, shown_url(self._url))

    def _request(self, method: str, url: httpx.URL, body: object = None) -> httpx.Request:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return httpx.Request(method, url, headers=headers, json=body)

    def _excerpt(self, body: bytes) -> str:
        return repr(redact(body.decode("utf-8", "replace"), [self._key])[:_EXCERPT_CHARACTERS])
