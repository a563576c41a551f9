"""A web search engine as a `SearchEngine`, and its providers, each with its requests and its replies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import anyio.to_thread
import httpx

from ssp_env.game.passage import Passage
from ssp_env.http import RequestPolicy, arun, run
from ssp_env.http.concurrency import gather
from ssp_env.objects import check_least, is_async
from ssp_env.search.engine import check_search
from ssp_env.search.errors import BadSearchReply, SearchError
from ssp_env.search.json_service import JSONService, read_key
from ssp_env.search.plain_text import clean, snippet_text


@dataclass(frozen=True, slots=True)
class WebResult:
    """One result as the provider sent it, markup included."""

    url: str
    title: str
    snippet: str


class WebProvider(Protocol):
    """A provider of web search, as a frozen dataclass of its settings; equal ones have the same `repr`."""

    @property
    def name(self) -> str:
        """Name of the provider in errors."""

    @property
    def max_query_chars(self) -> int:
        """Most characters of a query; longer queries are cut between words."""

    def request(self, query: str, count: int) -> httpx.Request:
        """Return the request for about `count` results; the key is read from the environment now."""

    def results(self, reply: Any) -> list[WebResult]:
        """Return the results in a decoded reply, best first, or raise BadSearchReply."""


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
        check_least(1, max_results=max_results)
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


# -- providers -----------------------------------------------------------------------------------------------


def read_results(
    name: str, reply: object, key: str, *, url: str = "url", title: str = "title", snippet: str = "content"
) -> list[WebResult]:
    """Read the list of objects under a key of a reply; the last three arguments are the keys of their texts.

    Raises:
        BadSearchReply: If the reply is not an object with such a list, or an object lacks one of the texts.
            Only snippets may be missing.
    """
    rows = read_object(name, reply).get(key)
    if not isinstance(rows, list):
        raise BadSearchReply(f"{name}: expected a list of results, got {type(rows).__name__}")
    results = []
    for row in rows:
        if not isinstance(row, dict):
            raise BadSearchReply(f"{name}: expected results that are objects, got {type(row).__name__}")
        texts = [row.get(url), row.get(title), row.get(snippet) or ""]
        strings = [text for text in texts if isinstance(text, str)]
        if len(strings) < len(texts):
            raise BadSearchReply(f"{name}: expected the texts {url}, {title} and {snippet} in every result")
        results.append(WebResult(*strings))
    return results


def read_object(name: str, reply: object) -> dict[str, Any]:
    """Return the reply if it is an object.

    Raises:
        BadSearchReply: If it is not an object.
    """
    if not isinstance(reply, dict):
        raise BadSearchReply(f"{name}: expected an object, got {type(reply).__name__}")
    return reply


@dataclass(frozen=True)
class Serper:
    """Serper (https://serper.dev); the key is in `SERPER_API_KEY`.

    Attributes:
        country: Country the results are for (`gl`).
        language: Language of the interface (`hl`).
        url: Address of the service.
    """

    country: str = "us"
    language: str = "en"
    url: str = "https://google.serper.dev/search"
    name = "Serper"
    max_query_chars = 2048

    def request(self, query: str, count: int) -> httpx.Request:
        """Return the request for `count` results, at most 100."""
        body = {"q": query, "gl": self.country, "hl": self.language, "num": min(count, 100)}
        return httpx.Request("POST", self.url, headers={"X-API-KEY": read_key("SERPER_API_KEY")}, json=body)

    def results(self, reply: Any) -> list[WebResult]:
        """Return the organic results."""
        return read_results(self.name, reply, "organic", url="link", snippet="snippet")


_MAX_WORDS = 50


@dataclass(frozen=True)
class Brave:
    """Brave Search (https://api.search.brave.com); the key is in `BRAVE_API_KEY`.

    Attributes:
        country: Country the results are for.
        language: Language of the results (`search_lang`).
        url: Address of the service.
    """

    country: str = "US"
    language: str = "en"
    url: str = "https://api.search.brave.com/res/v1/web/search"
    name = "Brave"
    max_query_chars = 400

    def request(self, query: str, count: int) -> httpx.Request:
        """Return the request for `count` results, at most 20, with at most 50 words of the query."""
        parameters: dict[str, str | int] = {
            "q": " ".join(query.split()[:_MAX_WORDS]),
            "count": min(count, 20),
            "country": self.country,
            "search_lang": self.language,
        }
        headers = {"X-Subscription-Token": read_key("BRAVE_API_KEY"), "Accept": "application/json"}
        return httpx.Request("GET", self.url, headers=headers, params=parameters)

    def results(self, reply: Any) -> list[WebResult]:
        """Return the web results; a reply without any has no member `web`."""
        web = read_object(self.name, reply).get("web")
        return [] if web is None else read_results(self.name, web, "results", snippet="description")


@dataclass(frozen=True)
class Tavily:
    """Tavily (https://tavily.com); the key is in `TAVILY_API_KEY`.

    Attributes:
        depth: `basic` or `advanced`, which costs twice as much.
        url: Address of the service.
    """

    depth: Literal["basic", "advanced"] = "basic"
    url: str = "https://api.tavily.com/search"
    name = "Tavily"
    max_query_chars = 400

    def request(self, query: str, count: int) -> httpx.Request:
        """Return the request for `count` results, at most 20."""
        headers = {"Authorization": f"Bearer {read_key('TAVILY_API_KEY')}"}
        body = {"query": query, "max_results": min(count, 20), "search_depth": self.depth}
        return httpx.Request("POST", self.url, headers=headers, json=body)

    def results(self, reply: Any) -> list[WebResult]:
        """Return the results."""
        return read_results(self.name, reply, "results")


@dataclass(frozen=True)
class SearXNG:
    """A SearXNG instance (https://docs.searxng.org); no key. Its settings must allow the format `json`.

    It sends one page of results, about 20, whatever number is requested.

    Attributes:
        url: Address of the instance's search page, such as `http://localhost:8080/search`.
        language: Language of the results.
        engines: Names of the engines it should ask, separated by commas; its own choice when empty.
    """

    url: str
    language: str = "en"
    engines: str = ""
    name = "SearXNG"
    max_query_chars = 2048

    def request(self, query: str, count: int) -> httpx.Request:
        """Return the request for the first page of results."""
        parameters = {"q": query, "format": "json", "language": self.language}
        if self.engines:
            parameters["engines"] = self.engines
        return httpx.Request("GET", self.url, params=parameters)

    def results(self, reply: Any) -> list[WebResult]:
        """Return the results."""
        return read_results(self.name, reply, "results")
