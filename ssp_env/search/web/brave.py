"""Brave's own index of the web."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from ssp_env.search.json_service import read_key
from ssp_env.search.web.provider import WebResult, read_object, read_results

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
    max_query_characters = 400

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
