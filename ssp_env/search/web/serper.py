"""Google's results through serper.dev."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from ssp_env.search.json_service import read_key
from ssp_env.search.web.provider import WebResult, read_object, read_results


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
    max_query_characters = 2048

    def request(self, query: str, count: int) -> httpx.Request:
        """Return the request for `count` results, at most 100."""
        body = {"q": query, "gl": self.country, "hl": self.language, "num": min(count, 100)}
        return httpx.Request("POST", self.url, headers={"X-API-KEY": read_key("SERPER_API_KEY")}, json=body)

    def results(self, reply: Any) -> list[WebResult]:
        """Return the organic results."""
        rows = read_object(self.name, reply).get("organic")
        return read_results(self.name, rows, url="link", title="title", snippet="snippet")
