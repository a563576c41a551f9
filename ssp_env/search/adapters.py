"""Search engines made of retrievers of LangChain and LlamaIndex, functions and coroutine functions."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

from anyio.from_thread import start_blocking_portal

from ssp_env.game.passage import Passage, checked_passage
from ssp_env.objects import is_async
from ssp_env.search.engine import PassageStore, SearchEngine

_TEXT_KEYS = ("text", "content", "contents", "page_content", "snippet", "body")
_TITLE_KEYS = ("title", "name")
_ID_KEYS = ("id", "_id", "docid", "url", "link")

_numbers = count()


class _Unversioned(str):
    """A name that no other source of this process has; a copy that was pickled gets another one."""

    kind: str

    @classmethod
    def of(cls, kind: str) -> _Unversioned:
        name = cls(f"unversioned {kind} {next(_numbers)}")
        name.kind = kind
        return name

    def __reduce__(self) -> tuple[Callable[[str], _Unversioned], tuple[str]]:
        return self.of, (self.kind,)


def as_engine(source: Any, *, fingerprint: str | None = None) -> SearchEngine:
    """Return a search engine for anything that finds texts.

    Args:
        source: A search engine (returned as it is); or an object with `invoke(query)`, as LangChain's
            retrievers, or `retrieve(query)`, as LlamaIndex's; or a function of the query, also a coroutine
            function. A function with a parameter `top_k` is given it; further results are dropped.
            Results may be whatever `as_passage` takes, in a sequence, or a single text.
        fingerprint: Says what is searched, for records and for caches that several engines share. Without
            one, every adapted source gets a name that no other has in this process.

    Raises:
        TypeError: If `source` is none of these.

    >>> engine = as_engine(lambda query: [f"all about {query}", "nothing else"])
    >>> [passage.text for passage in engine.search(["blue whale"], top_k=1)[0]]
    ['all about blue whale']
    """
    if callable(getattr(source, "search", None)) and callable(getattr(source, "fingerprint", None)):
        engine: SearchEngine = source
        return engine
    find, find_async = _functions(source)
    if find is None and find_async is None:
        raise TypeError(
            "expected a search engine, a retriever with `invoke` or `retrieve`, or a function of the query, "
            f"got {type(source).__name__}{' without fingerprint()' if hasattr(source, 'search') else ''}"
        )
    label = fingerprint or _Unversioned.of(type(source).__name__)
    if find_async is None:
        return _OneByOne(find, label, name_of_engine(source))
    return _AsyncOneByOne(find, label, name_of_engine(source), find_async)


def as_store(engine: object, opener: str) -> PassageStore:
    """Return an engine, and make sure that it gives passages out by their ids.

    Args:
        engine: The engine.
        opener: What opens the parts of pages, for the message.

    Raises:
        ValueError: If it does not.
    """
    if isinstance(engine, PassageStore):
        return engine
    raise ValueError(
        f"{opener} opens parts of pages: expected an engine with the method get_passages(ids), "
        f"got {name_of_engine(engine)} without it"
    )


def name_of_engine(search: Any) -> str:
    """Return the name by which a user chose an engine, or the name of a function or of an object's class."""
    if isinstance(search, str | os.PathLike):
        return os.fspath(search)
    return str(getattr(search, "source_name", None) or getattr(search, "__name__", type(search).__name__))


def as_passage(item: Any) -> Passage:
    """Read one result: a `Passage`, a text, a mapping, or a document or node of LangChain or LlamaIndex.

    The text of a mapping is under the first of the keys `text`, `content`, `contents`, `page_content`,
    `snippet` and `body` that it has; title and id are found in the same way. `{"document": {...}, "score":
    ...}`, as Search-R1's servers return it, is unpacked. A result without an id gets one made from its text.

    Raises:
        TypeError: If it is none of these, or its text, title or score is of another type.
        ValueError: If its score is infinite or NaN.

    >>> as_passage({"url": "https://example.org/whales", "title": "Blue whale", "snippet": "It is large."})
    Passage(id='https://example.org/whales', title='Blue whale', text='It is large.', score=0.0)
    """
    if isinstance(item, Passage):
        return checked_passage(item)
    if isinstance(item, str):
        return _passage(None, None, item, None)
    if isinstance(item, Mapping):
        document = item.get("document", item)
        if isinstance(document, Mapping) and (text := _first(document, _TEXT_KEYS)) is not None:
            score = item.get("score", document.get("score"))
            return _passage(_first(document, _ID_KEYS), _first(document, _TITLE_KEYS), text, score)
    elif hasattr(item, "page_content"):
        metadata = getattr(item, "metadata", None) or {}
        identifier = getattr(item, "id", None) or _first(metadata, _ID_KEYS)
        return _passage(identifier, _first(metadata, _TITLE_KEYS), item.page_content, metadata.get("score"))
    elif hasattr(node := getattr(item, "node", item), "get_content"):
        title = _first(getattr(node, "metadata", None) or {}, _TITLE_KEYS)
        score = getattr(item, "score", None)
        return _passage(getattr(node, "node_id", None), title, node.get_content(), score)
    raise TypeError(f"expected a passage, a text, a mapping with a text or a document, got {item!r:.200}")


def as_passages(found: Any, top_k: int) -> list[Passage]:
    """Read the first `top_k` results of one query; a single text is one result.

    Raises:
        TypeError: If `found` is neither a text nor a sequence of results, None for example.
    """
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, Iterable) or isinstance(found, Mapping | bytes):
        raise TypeError(f"expected a sequence of results, got {found!r:.200}")
    return [as_passage(item) for item in list(found)[:top_k]]


class _OneByOne:
    """An engine that asks its source one query at a time."""

    def __init__(self, find: Callable[..., Any] | None, fingerprint: str, source_name: str) -> None:
        self.source_name = source_name
        self._find = find
        self._fingerprint = fingerprint

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        assert self._find is not None
        find = _asking_for(self._find, top_k)
        return [as_passages(find(query), top_k) for query in queries]

    def fingerprint(self) -> str:
        return self._fingerprint


class _AsyncOneByOne(_OneByOne):
    """An engine whose source is asked for all queries of a batch at a time, with asyncio."""

    def __init__(
        self,
        find: Callable[..., Any] | None,
        fingerprint: str,
        source_name: str,
        find_async: Callable[..., Awaitable[Any]],
    ) -> None:
        super().__init__(find, fingerprint, source_name)
        self._find_async = find_async

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        if self._find is not None:
            return super().search(queries, top_k)
        # In a thread of its own, because the caller may stand in a running event loop, as in a notebook.
        with start_blocking_portal() as portal:
            return portal.call(self.asearch, queries, top_k)

    async def asearch(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        find = _asking_for(self._find_async, top_k)
        found = await asyncio.gather(*map(find, queries))
        return [as_passages(results, top_k) for results in found]


def _functions(source: Any) -> tuple[Callable[..., Any] | None, Callable[..., Awaitable[Any]] | None]:
    """The function of a query and the coroutine function of a query that a source offers."""
    for blocking, asynchronous in (("invoke", "ainvoke"), ("retrieve", "aretrieve")):
        find = getattr(source, blocking, None)
        if callable(find):
            twin = getattr(source, asynchronous, None)
            return (None, find) if is_async(find) else (find, twin if is_async(twin) else None)
    if not callable(source) or isinstance(source, type):
        return None, None
    return (None, source) if is_async(source) else (source, None)


def _asking_for(function: Callable[..., Any], top_k: int) -> Callable[[str], Any]:
    """Give `top_k` to a function of the query that has such a parameter."""
    try:
        takes_top_k = "top_k" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # Some functions written in C have no readable signature.
        takes_top_k = False
    return partial(function, top_k=top_k) if takes_top_k else function


def _first(data: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((data[key] for key in keys if data.get(key) is not None), None)


def _passage(identifier: Any, title: Any, text: Any, score: Any) -> Passage:
    if not isinstance(text, str):
        raise TypeError(f"expected a result with a text, got {text!r:.200}")
    if identifier is None:
        identifier = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    score = 0.0 if score is None else score
    return checked_passage(Passage(str(identifier), "" if title is None else str(title), text, score))
