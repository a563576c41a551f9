"""A web search engine as a `SearchEngine`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio.to_thread

from ssp_env.game.passage import Passage
from ssp_env.http import RequestPolicy, arun, run
from ssp_env.http.concurrency import gather
from ssp_env.objects import is_async
from ssp_env.search.engine import check_search
from ssp_env.search.errors import SearchError
from ssp_env.search.json_service import JSONService
from ssp_env.search.plain_text import clean, snippet_text
from ssp_env.search.web.providers import WebProvider, WebResult


class WebEngine:
    """Search of the web through a provider, with addresses as passage ids and snippets as texts.

    Every query is sent with the same number of results, so that the results of a small `top_k` are the first
    ones of a larger one. Equal queries of a batch are sent once, blank ones never. The score is 1 / rank. As
    the web changes, equal fingerprints mean equal requests, not equal results: use a cache, or record games,
    if results must stay the same.

    Args:
        provider: The service. Its key is read from the environment for every request and stored nowhere.
        max_results: Number of results requested per query, and the most that are returned.
        policy: Time, retries, rate and concurrency.
        fetch: Function from an address to the text of the page, for instance a `PageFetcher`. The text takes
            the place of the snippet; the snippet stays if the page cannot be fetched.

    Raises:
        SearchRefused: If the key of the provider is not in the environment.
        ValueError: If `max_results` is below 1.

    Example:
        `WebEngine(Brave(), policy=RequestPolicy(requests_per_second=1)).search(["Aller"], top_k=3)`
    """

    def __init__(
        self,
        provider: WebProvider,
        *,
        max_results: int = 10,
        policy: RequestPolicy = RequestPolicy(),  # noqa: B008 - frozen
        fetch: Callable[[str], str] | None = None,
    ) -> None:
        if max_results < 1:
            raise ValueError(f"max_results must be at least 1, got {max_results}")
        provider.request("key check", 1)
        self._provider = provider
        self._max_results = max_results
        self._service = JSONService(policy, provider.name)
        self._fetch = fetch
        self._concurrency = policy.concurrency

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the provider's results for each query, best first, as `SearchEngine.search` says.

        Raises:
            SearchError: If one of the queries gets no result: SearchTimeout, SearchUnavailable,
                SearchRefused or BadSearchReply.
        """
        return run(self._search(queries, top_k))

    async def asearch(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Do the same as `search` without blocking; cancelling it ends its requests."""
        return await arun(self._search(queries, top_k))

    def fingerprint(self) -> str:
        """Return the sha256 of the provider's settings and of whether pages are fetched; never of the key."""
        settings = f"web {self._provider!r} max_results={self._max_results} fetch={_described(self._fetch)}"
        return hashlib.sha256(settings.encode()).hexdigest()

    async def _search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        check_search(queries, top_k)
        asked = [_cut(clean(query), self._provider.max_query_chars) for query in queries]
        distinct = list(dict.fromkeys(query for query in asked if query))
        searches = [self._search_one(query) for query in distinct]
        found = dict(zip(distinct, await gather(searches, self._concurrency)))
        results = [found.get(query, [])[:top_k] for query in asked]
        return results if self._fetch is None else await self._with_pages(results, self._fetch)

    async def _search_one(self, query: str) -> list[Passage]:
        reply = await self._service.call(self._provider.request(query, self._max_results))
        distinct: dict[str, WebResult] = {}
        for result in self._provider.results(reply):
            url = clean(result.url)
            if url.lower().startswith(("http://", "https://")):
                distinct.setdefault(url, result)
        ranked = list(distinct.items())[: self._max_results]
        return [
            Passage(url, snippet_text(result.title), snippet_text(result.snippet), 1 / rank)
            for rank, (url, result) in enumerate(ranked, start=1)
        ]

    async def _with_pages(
        self, results: list[list[Passage]], fetch: Callable[[str], str]
    ) -> list[list[Passage]]:
        acall = getattr(fetch, "acall", None)
        threads = anyio.CapacityLimiter(self._concurrency)

        async def page(url: str) -> str:
            try:
                if is_async(acall):
                    return str(await acall(url))
                return await anyio.to_thread.run_sync(fetch, url, abandon_on_cancel=True, limiter=threads)
            except SearchError:
                return ""

        urls = list(dict.fromkeys(passage.id for found in results for passage in found))
        texts = dict(zip(urls, await gather([page(url) for url in urls], self._concurrency)))
        return [[replace(found, text=texts[found.id] or found.text) for found in each] for each in results]


def _described(fetch: object) -> str:
    """Describe a callable the same way in every process: a function's `repr` holds its address in memory."""
    return getattr(fetch, "__qualname__", None) or repr(fetch)


def _cut(query: str, longest: int) -> str:
    """Cut a query that is too long, between words if it has several."""
    if len(query) <= longest:
        return query
    return query[: longest + 1].rpartition(" ")[0] or query[:longest]
