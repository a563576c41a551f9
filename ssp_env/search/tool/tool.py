"""The search tool: a search engine made ready for language models, with a schema, limits and a cache."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace
from inspect import Parameter, Signature
from threading import Lock
from typing import Any, Literal, TypeAlias

from ssp_env.game import PROTOCOLS, Protocol
from ssp_env.game.passage import PartId, Passage, listed_part
from ssp_env.game.protocol.tool_calls import DESCRIPTION, SEARCH_TOOL, open_schema, search_schema
from ssp_env.http.concurrency import Coalescer
from ssp_env.objects import check_least
from ssp_env.search.adapters import as_engine, as_store
from ssp_env.search.engine import SearchEngine
from ssp_env.search.tool.calls import (
    CallReader,
    Formatter,
    Layout,
    SearchCall,
    SearchResult,
    ToolError,
    formatter,
    harmless,
    harmless_text,
)
from ssp_env.search.tool.lookup import Lookup, ResultCache

_Outcome: TypeAlias = list[Passage] | BaseException
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class SearchBudget:
    """What an episode may use up: a counter that threads may share.

    Args:
        limit: Searches, or opened parts of pages, that are allowed, 0 or more; None is no limit.
        name: Name of the limit, for messages.

    Raises:
        ValueError: If the limit is negative.
    """

    def __init__(self, limit: int | None, name: str = "max_searches") -> None:
        if limit is not None and limit < 0:
            raise ValueError(f"{name} must be 0 or more, got {limit}")
        self.limit = limit
        self._used = 0
        self._lock = Lock()

    def __getstate__(self) -> dict[str, int | None]:
        return {"limit": self.limit, "_used": self._used}

    def __setstate__(self, state: dict[str, int | None]) -> None:
        self.__dict__.update(state, _lock=Lock())

    @property
    def left(self) -> int | None:
        """Searches left; None without a limit."""
        return None if self.limit is None else self.limit - self._used

    def take(self) -> bool:
        """Take one search, or return False if none is left."""
        with self._lock:
            if self.limit is not None and self._used >= self.limit:
                return False
            self._used += 1
            return True

    def give_back(self) -> None:
        """Return a search that gave no result."""
        with self._lock:
            self._used -= 1


class SearchTool:
    """A search tool for any model, trainer or agent framework.

    Calling it with a query, or awaiting `acall`, returns the text that a model reads. `search` and `asearch`
    return passages. `respond` and `arespond` search for the queries in what a model wrote. Tags, markup and
    control tokens in passages are escaped before a model reads them. A failed search is a `ToolError` and
    never looks like a passage. Frameworks that make tools of functions take it for one, with its name and
    description.

    It can be pickled, for workers in other processes, if its source can. The copy has the settings and the
    budget that is left, and an empty cache. A function that is the source must be importable by its name.

    Args:
        source: A search engine, a retriever or a function of the query; see `as_engine`.
        name: Name of the tool for models: 1 to 64 ASCII letters, digits, `_` and `-`.
        description: What the tool does, for models.
        top_k: Passages per search, at least 1.
        max_top_k: Largest `top_k` that a call may choose; a larger one is reduced to it. Calls cannot choose
            `top_k` if None.
        max_searches: Most searches per episode; None is no limit. Failed searches are not counted, repeated
            ones are.
        timeout: Most seconds a call of the engine may take; None is no limit.
        cache: A cache to share with other tools, or the number of results to keep.
        max_batch: Most queries that `acall`, `asearch` and `arespond` put in one call of the engine.
        layout: `documents`, `plain`, `json`, or a function from passages to a text.
        max_passage_chars: Length at which titles and texts are cut for the model, with a mark that says
            how much is left out; None keeps them whole.
        on_error: Whether calling the tool with a query raises a failure or returns a text that says so.
        protocol: Defines the tags of searches written as text: a preset of `PROTOCOLS` or your own. With one
            that has an action `open`, such as `default-open`, models may also open the parts of pages that a
            search of the episode has listed.
        max_opens: Most parts of pages opened per episode; None is no limit.

    Raises:
        TypeError: If `source` cannot be searched.
        ValueError: If another argument is out of range, or pages are to be opened that `source` cannot open.

    Example:
        >>> tool = SearchTool(lambda query: [f"all about {query}"], layout="plain")
        >>> tool("blue whale")
        'all about blue whale'
        >>> [result.text for result in tool.respond("Hm. <search> red panda </search>")]
        ['all about red panda']
    """

    def __init__(
        self,
        source: Any,
        *,
        name: str = SEARCH_TOOL,
        description: str = DESCRIPTION,
        top_k: int = 3,
        max_top_k: int | None = None,
        max_searches: int | None = None,
        timeout: float | None = None,
        cache: ResultCache | int = 1024,
        max_batch: int = 256,
        layout: Layout | Formatter = "documents",
        max_passage_chars: int | None = None,
        on_error: Literal["raise", "return"] = "raise",
        protocol: Protocol | str = "default",
        max_opens: int | None = None,
    ) -> None:
        check_least(
            1, top_k=top_k, max_top_k=max_top_k, max_batch=max_batch, max_passage_chars=max_passage_chars
        )
        _check_arguments(name, top_k, max_top_k, timeout, on_error)
        self.name = name
        self.description = description
        self._look_like_function()
        self.top_k = top_k
        self.max_top_k = max_top_k
        self._protocol = _protocol(protocol)
        self._format = formatter(layout, self._protocol)
        self._max_passage_chars = max_passage_chars
        self._on_error = on_error
        self._reader = CallReader(self._protocol, name, reads_top_k=max_top_k is not None)
        self._budget = SearchBudget(max_searches)
        cache = ResultCache(cache) if isinstance(cache, int) else cache
        engine = as_engine(source)
        if self._protocol.open:
            as_store(engine, f"the protocol {self._protocol.name}")
        self._opens = SearchBudget(max_opens, "max_opens")
        self._listed: dict[str, PartId] = {}
        self._lookup = Lookup(engine, cache, timeout)
        self._batches = Coalescer(self._lookup.asearch, max_batch=max_batch)

    def _look_like_function(self) -> None:
        """Have what LangChain, LlamaIndex and smolagents read off a function that shall be a tool."""
        self.__name__ = self.__qualname__ = self.name
        self.__doc__ = self.description
        self.__annotations__ = {"query": str, "return": str}
        query = Parameter("query", Parameter.POSITIONAL_OR_KEYWORD, annotation=str)
        self.__signature__ = Signature([query], return_annotation=str)

    @property
    def engine(self) -> SearchEngine:
        """The engine that is searched."""
        return self._lookup.engine

    @property
    def cache(self) -> ResultCache:
        """The cache of results."""
        return self._lookup.cache

    @property
    def searches_left(self) -> int | None:
        """Number of searches left in this episode; None if there is no limit."""
        return self._budget.left

    def episode(self) -> SearchTool:
        """Return a copy with a full budget, no page listed, and the same engine, cache and batches."""
        tool = copy(self)
        tool._budget = SearchBudget(self._budget.limit)
        tool._opens, tool._listed = SearchBudget(self._opens.limit), {}
        return tool

    # -- searching -------------------------------------------------------------------------------------

    def __call__(self, query: str) -> str:
        """Search, and return what the model reads.

        Raises:
            ToolError: If the search fails and `on_error` is `raise`.
        """
        return self._text(self.run([SearchCall(query)])[0])

    async def acall(self, query: str) -> str:
        """Do what calling the tool does, in one call of the engine shared with concurrent searches."""
        return self._text((await self.arun([SearchCall(query)]))[0])

    def search(self, query: str, top_k: int | None = None) -> list[Passage]:
        """Return the passages for a query as the engine returned them.

        Args:
            query: What to search for.
            top_k: Most passages to return, at least 1; that of the tool if None. `max_top_k` holds here too.

        Raises:
            ToolError: If the search fails, whatever `on_error` says.
        """
        return _passages(self.run([SearchCall(query, top_k)])[0])

    async def asearch(self, query: str, top_k: int | None = None) -> list[Passage]:
        """Do what `search` does, in one call of the engine shared with concurrent searches."""
        return _passages((await self.arun([SearchCall(query, top_k)]))[0])

    def open(self, page: str, part: int = 1) -> str:
        """Open a part of a page that a search of this episode has listed; return what the model reads.

        Raises:
            ToolError: If it cannot be opened and `on_error` is `raise`.
        """
        return self._text(self.run([SearchCall(f"{page}#{part}", opens=True)])[0])

    async def aopen(self, page: str, part: int = 1) -> str:
        """Do what `open` does without holding up the event loop."""
        return self._text((await self.arun([SearchCall(f"{page}#{part}", opens=True)]))[0])

    # -- schemas ---------------------------------------------------------------------------------------

    def to_openai(self, *, strict: bool = False) -> dict[str, Any]:
        """Return the schema as OpenAI's chat completions take it.

        Args:
            strict: Ask the endpoint to constrain arguments to the schema; calls cannot choose `top_k` then.
        """
        return search_schema(
            strict=strict, name=self.name, description=self.description, max_top_k=self.max_top_k
        )

    def to_openai_responses(self, *, strict: bool = False) -> dict[str, Any]:
        """Return the schema as OpenAI's Responses API takes it."""
        function = self.to_openai(strict=strict)["function"]
        # The Responses API is strict by default.
        return {"type": "function", **function, "strict": strict}

    def to_mcp(self) -> dict[str, Any]:
        """Return the schema as a server of the Model Context Protocol lists it."""
        return {"name": self.name, "description": self.description, "inputSchema": self._parameters()}

    def to_anthropic(self) -> dict[str, Any]:
        """Return the schema as Anthropic's Messages API takes it."""
        return {"name": self.name, "description": self.description, "input_schema": self._parameters()}

    def to_chat_template(self) -> list[dict[str, Any]]:
        """Return what `apply_chat_template(..., tools=...)` of transformers takes: all tools."""
        return [self.to_openai(), *self.open_to_openai()]

    def open_to_openai(self, *, strict: bool = False) -> list[dict[str, Any]]:
        """Return the schema of the tool that opens pages in a list, which is empty if there is none."""
        return [open_schema(strict=strict, name=self._protocol.open)] * bool(self._protocol.open)

    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = self.to_openai()["function"]["parameters"]
        return parameters

    # -- answering a model -----------------------------------------------------------------------------

    def parse(self, reply: Any) -> list[SearchCall]:
        """Find the searches in what a model wrote; see `CallReader.read`."""
        return self._reader.read(reply)

    def respond(self, reply: Any) -> list[SearchResult]:
        """Run the searches in what a model wrote; failures are results with an error.

        Raises:
            TypeError: If `reply` is neither a text nor a message nor a list of calls.
        """
        return self.run(self.parse(reply))

    async def arespond(self, reply: Any) -> list[SearchResult]:
        """Do what `respond` does, in one call of the engine shared with concurrent searches."""
        return await self.arun(self.parse(reply))

    def run(self, calls: Iterable[SearchCall]) -> list[SearchResult]:
        """Run calls, those with the same `top_k` as one batch; one result per call, in order."""
        orders = [self._admit(call) for call in calls]
        found: dict[int, _Outcome] = {
            place: self._lookup.open(order.query)
            for place, order in enumerate(orders)
            if order.opens and order.error is None
        }
        valid = _searches(orders)
        for top_k in dict.fromkeys(order.top_k or self.top_k for order in valid.values()):
            places = [place for place, order in valid.items() if order.top_k == top_k]
            found |= zip(places, self._search_batch([valid[place].query for place in places], top_k))
        return [self._result(order, found.get(place)) for place, order in enumerate(orders)]

    async def arun(self, calls: Iterable[SearchCall]) -> list[SearchResult]:
        """Do what `run` does, in one call of the engine shared with concurrent searches."""
        orders = [self._admit(call) for call in calls]
        opened = {place: order for place, order in enumerate(orders) if order.opens and order.error is None}
        pages = (self._lookup.aopen(order.query) for order in opened.values())
        valid = _searches(orders)
        searches = (self._search_shared(order.query, order.top_k or self.top_k) for order in valid.values())
        outcomes = await asyncio.gather(*searches, *pages, return_exceptions=True)
        found = dict(zip((*valid, *opened), outcomes))
        return [self._result(order, found.get(place)) for place, order in enumerate(orders)]

    def harmless(self, passages: Iterable[Passage]) -> list[Passage]:
        """Return passages as a model may read them, cut and escaped; see `calls.harmless`."""
        return [harmless(passage, self._protocol, self._max_passage_chars) for passage in passages]

    def _admit(self, call: SearchCall) -> SearchCall:
        """Check a call, fill in its `top_k` and take it from the budget."""
        if call.error is not None:
            return replace(call, query="")
        if call.opens:
            return self._admit_open(call)
        try:
            admitted = replace(call, query=self._query(call.query), top_k=self._top_k(call.top_k))
        except ToolError as error:
            return replace(call, query="", error=error)
        if self._budget.take():
            return admitted
        used_up = f"all {self._budget.limit} searches of the episode are used up"
        return replace(admitted, error=ToolError("budget", used_up))

    def _admit_open(self, call: SearchCall) -> SearchCall:
        """Find the passage that a call wants to open, and take it from the budget."""
        part = listed_part(call.query, self._listed)
        if part is None:
            error = ToolError("not_listed", f"no search of the episode has listed {call.query!r:.200}")
            return replace(call, error=error)
        if self._opens.take():
            return replace(call, query=str(part))
        used_up = f"all {self._opens.limit} parts of pages of the episode have been opened"
        return replace(call, error=ToolError("open_budget", used_up))

    def _query(self, query: object) -> str:
        if not isinstance(query, str):
            raise ToolError("bad_query", f"expected a string, got {type(query).__name__}")
        content, code = self._protocol.accept(query)
        if code:
            raise ToolError("bad_query", f"{code}: {query!r:.200}")
        return content

    def _top_k(self, top_k: object) -> int:
        if top_k is None:
            return self.top_k
        if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
            raise ToolError("bad_top_k", f"expected a whole number, at least 1, got {top_k!r:.200}")
        return top_k if self.max_top_k is None else min(top_k, self.max_top_k)

    def _search_batch(self, queries: list[str], top_k: int) -> Sequence[_Outcome]:
        try:
            return self._lookup.search(queries, top_k)
        except ToolError as error:
            return [error] * len(queries)

    async def _search_shared(self, query: str, top_k: int) -> list[Passage]:
        """Search in one call of the engine with whoever searches at the same time."""
        try:
            [found] = await self._batches.submit([query], top_k)
        except ToolError as error:
            # Every search in a failed call gets its own exception.
            raise ToolError(error.kind, error.detail) from error
        if isinstance(found, ToolError):
            raise found
        return found

    def _result(self, order: SearchCall, outcome: _Outcome | None) -> SearchResult:
        if isinstance(outcome, BaseException) and not isinstance(outcome, ToolError):
            raise outcome
        error = order.error or (outcome if isinstance(outcome, ToolError) else None)
        if error is not None:
            if order.error is None:
                (self._opens if order.opens else self._budget).give_back()
            return SearchResult(order.query, error.text, error=error, call_id=order.id)
        assert isinstance(outcome, list)
        if self._protocol.open:
            parts = [PartId.parse(passage.id) for passage in outcome]
            self._listed |= {harmless_text(part.page, self._protocol): part for part in parts}
        text = self._format(self.harmless(outcome))
        return SearchResult(order.query, text, tuple(outcome), call_id=order.id)

    def _text(self, result: SearchResult) -> str:
        if result.error is not None and self._on_error == "raise":
            raise result.error
        return result.text


def _searches(orders: Sequence[SearchCall]) -> dict[int, SearchCall]:
    """The calls that search and can be run, by their places."""
    return {place: order for place, order in enumerate(orders) if order.error is None and not order.opens}


def _passages(result: SearchResult) -> list[Passage]:
    if result.error is not None:
        raise result.error
    return list(result.passages)


def _protocol(protocol: Protocol | str) -> Protocol:
    if isinstance(protocol, Protocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)} or a Protocol, got {protocol!r}")
    return PROTOCOLS[protocol]


def _check_arguments(
    name: str, top_k: int, max_top_k: int | None, timeout: float | None, on_error: str
) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"name must be 1 to 64 of A-Z, a-z, 0-9, _ and -, got {name!r}")
    if max_top_k is not None and top_k > max_top_k:
        raise ValueError(f"top_k must be at most max_top_k = {max_top_k}, got {top_k}")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout must be above 0 seconds, got {timeout}")
    if on_error not in ("raise", "return"):
        raise ValueError(f"on_error must be raise or return, got {on_error!r}")
