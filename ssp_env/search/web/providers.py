"""Providers of web search: how each one is asked, and how its reply is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import httpx

from ssp_env.search.errors import BadSearchReply
from ssp_env.search.json_service import read_key


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
        ...

    @property
    def max_query_chars(self) -> int:
        """Most characters of a query; longer queries are cut between words."""
        ...

    def request(self, query: str, count: int) -> httpx.Request:
        """Return the request for about `count` results; the key is read from the environment now."""
        ...

    def results(self, reply: Any) -> list[WebResult]:
        """Return the results in a decoded reply, best first, or raise BadSearchReply."""
        ...


def read_results(name: str, rows: object, url: str, title: str, snippet: str) -> list[WebResult]:
    """Read a list of objects; the last three arguments are the keys of their texts.

    Raises:
        BadSearchReply: If it is not a list of objects, or an object lacks one of the texts.
            Only snippets may be missing.
    """
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
        rows = read_object(self.name, reply).get("organic")
        return read_results(self.name, rows, url="link", title="title", snippet="snippet")


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
        if web is None:
            return []
        rows = read_object(self.name, web).get("results")
        return read_results(self.name, rows, url="url", title="title", snippet="description")


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
        rows = read_object(self.name, reply).get("results")
        return read_results(self.name, rows, url="url", title="title", snippet="content")


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
        rows = read_object(self.name, reply).get("results")
        return read_results(self.name, rows, url="url", title="title", snippet="content")
