"""Tavily, which extracts the passages of a page that bear on the query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import httpx

from ssp_env.search.json_service import read_key
from ssp_env.search.web.provider import WebResult, read_object, read_results


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
    max_query_characters = 400

    def request(self, query: str, count: int) -> httpx.Request:
        """Return the request for `count` results, at most 20."""
        headers = {"Authorization": f"Bearer {read_key('TAVILY_API_KEY')}"}
        body = {"query": query, "max_results": min(count, 20), "search_depth": self.depth}
        return httpx.Request("POST", self.url, headers=headers, json=body)

    def results(self, reply: Any) -> list[WebResult]:
        """Return the results."""
        rows = read_object(self.name, reply).get("results")
        return read_results(self.name, rows, url="url", title="title", snippet="content")
