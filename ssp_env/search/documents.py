"""Passages as Search-R1's `/retrieve` sends them: a title line, and the text below it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from math import isfinite
from typing import Any

from ssp_env.data.lines import shown
from ssp_env.game.passage import Passage

API_KEY_VARIABLE = "SSP_SEARCH_API_KEY"
"""Environment variable with the key that a server of this protocol wants and its clients send."""


def to_document(passage: Passage) -> dict[str, str]:
    r"""Write a passage as a document, with its id and title beside the contents.

    >>> to_document(Passage("7", "Corun", "A harbour town."))
    {'id': '7', 'title': 'Corun', 'contents': '"Corun"\nA harbour town.'}
    """
    return {"id": passage.id, "title": passage.title, "contents": f'"{passage.title}"\n{passage.text}'}


def from_reply(reply: object, queries: int, top_k: int) -> list[list[Passage]]:
    """Read the rankings out of a reply to a request for scores.

    The order of the server is kept; neighbours of equal score are put in the order of their ids. Search-R1's
    servers of web searches send no scores, which are 0 then, or more documents than were asked for, which are
    left out.

    Args:
        reply: What the server sent, decoded.
        queries: Queries that were asked.
        top_k: Passages that were asked for, per query.

    Raises:
        ValueError: If it is anything but one list of documents per query.
    """
    rankings = reply.get("result") if isinstance(reply, Mapping) else None
    if not isinstance(rankings, list):
        raise ValueError(f'expected an object with the list "result", got {shown(reply)}')
    if len(rankings) != queries:
        raise ValueError(f"expected {queries} results, one per query, got {len(rankings)}")
    return [_ranking(ranking, top_k) for ranking in rankings]


def from_opened(reply: object, ids: Sequence[str]) -> list[Passage | None]:
    """Read the passages out of a reply to a request for passages by their ids.

    Raises:
        ValueError: If it is anything but one document or null per id, or a document has another id.
    """
    found = reply.get("result") if isinstance(reply, Mapping) else None
    if not isinstance(found, list) or len(found) != len(ids):
        raise ValueError(f'expected an object with the list "result" of {len(ids)}, got {shown(reply)}')
    return [_opened(document, identifier) for document, identifier in zip(found, ids)]


def _opened(document: object, identifier: str) -> Passage | None:
    if document is None:
        return None
    if not isinstance(document, Mapping):
        raise ValueError(f"expected a document or null, got {shown(document)}")
    passage = _passage(document, 0.0)
    if passage.id != identifier:
        raise ValueError(f"expected the document with the id {identifier!r}, got {shown(passage.id)}")
    return passage


def _ranking(ranking: object, top_k: int) -> list[Passage]:
    if not isinstance(ranking, list):
        raise ValueError(f"expected a list of documents per query, got {shown(ranking)}")
    ranking = ranking[:top_k]
    passages = [_scored(item) for item in ranking]
    if not any("score" in item for item in ranking):
        return passages
    ties = groupby(passages, key=lambda passage: passage.score)
    return [passage for _, tied in ties for passage in sorted(tied, key=lambda passage: passage.id)]


def _scored(item: object) -> Passage:
    document = item.get("document") if isinstance(item, Mapping) else None
    if isinstance(document, str):
        document = {"contents": document}
    if not isinstance(item, Mapping) or not isinstance(document, Mapping):
        raise ValueError(f'expected items with "document" and "score", got {shown(item)}')
    score = item.get("score", 0.0)
    if isinstance(score, bool) or not isinstance(score, int | float) or not isfinite(score):
        raise ValueError(f'expected a finite number as "score", got {shown(score)}')
    return _passage(document, float(score))


def _passage(document: Mapping[str, Any], score: float) -> Passage:
    contents, title = document.get("contents"), document.get("title")
    if not isinstance(contents, str):
        raise ValueError(f'expected a document with the string "contents", got {shown(document)}')
    if title is not None and not isinstance(title, str):
        raise ValueError(f'expected a string as "title", got {shown(title)}')
    identifier = document.get("id")
    if identifier is None:
        identifier = hashlib.sha256(contents.encode("utf-8", "surrogatepass")).hexdigest()
    elif isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise ValueError(f'expected a string or an integer as "id", got {shown(identifier)}')
    named, text = _split(contents, title)
    return Passage(str(identifier), named, text, score)


def _split(contents: str, title: str | None) -> tuple[str, str]:
    """Take the title off the contents; contents of one line are all text unless that line is the title."""
    if title is not None:
        for heading in (f'"{title}"\n', f"{title}\n"):
            if contents.startswith(heading):
                return title, contents[len(heading) :]
        # Search-R1's BM25 server strips the quotes at both ends of the title, also those that belong to it.
        heading, newline, text = contents.partition("\n")
        if newline and heading.replace('"', "").strip() == title.replace('"', "").strip() != "":
            return title, text
        return title, contents
    first, newline, text = contents.partition("\n")
    if not newline:
        return "", contents
    return unquoted(first), text


def is_quoted(title: str) -> bool:
    """Whether the first line of contents stands in quotes, as Search-R1 writes titles."""
    title = title.strip()
    return len(title) >= 2 and title[0] == title[-1] == '"'


def unquoted(title: str) -> str:
    """Return the title that the first line of contents holds, with or without quotes."""
    return title.strip()[1:-1] if is_quoted(title) else title.strip()
