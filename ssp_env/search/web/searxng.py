"""SearXNG, a metasearch engine that you host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from ssp_env.search.web.provider import WebResult, read_object, read_results


@dataclass(frozen=True)
class SearXNG:
    """A SearXNG instance (https://docs.searxng.org); no key. Its settings must allow the format `json`.

    It sends one page of results, about 20, whatever number is asked for.

    Attributes:
        url: Address of the instance's search page, such as `http://localhost:8080/search`.
        language: Language of the results.
        engines: Names of the engines it should ask, separated by commas; its own choice when empty.
    """

    url: str
    language: str = "en"
    engines: str = ""
    name = "SearXNG"
    max_query_characters = 2048

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
