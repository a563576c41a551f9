"""What a provider of web search is: how to ask it, and how to read what it replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from ssp_env.search.errors import BadSearchReply


@dataclass(frozen=True, slots=True)
class WebResult:
    """One result as the provider sent it, markup included."""

    url: str
    title: str
    snippet: str


class WebProvider(Protocol):
    """A frozen dataclass of settings; two with the same `repr` ask for the same."""

    @property
    def name(self) -> str:
        """What errors call the provider."""
        ...

    @property
    def max_query_characters(self) -> int:
        """Longest query sent; longer ones are cut at a word."""
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
        BadSearchReply: If not.
    """
    if not isinstance(reply, dict):
        raise BadSearchReply(f"{name}: expected an object, got {type(reply).__name__}")
    return reply
