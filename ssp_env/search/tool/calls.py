"""What a model and the search tool exchange: calls, and results as the model reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from ssp_env.game import PROTOCOLS, Action, Protocol, Reply, ToolCall
from ssp_env.game.passage import Passage
from ssp_env.game.protocol.tool_calls import read_top_k
from ssp_env.game.shortening import shorten


@dataclass(frozen=True)
class SearchCall:
    """One search, or one part of a page to open, that a model asked for.

    Attributes:
        query: What to search for, or `page#part`; empty if the call cannot be read.
        top_k: Number of passages that it requests; None if it names none.
        id: Identifier of a native call; empty for calls written as text.
        error: Why the call cannot be run; None if it can.
        opens: Whether a part of a page is to be opened.
    """

    query: str
    top_k: int | None = None
    id: str = ""
    error: ToolError | None = None
    opens: bool = False


class CallReader:
    """Finds searches in the replies of models, as the protocols of the game do.

    Args:
        protocol: Defines the tags of calls that are written as text.
        name: Name of the tool in JSON and native calls.
        reads_top_k: Whether calls may choose `top_k`; if not, it is ignored, as all other arguments are.
    """

    def __init__(self, protocol: Protocol, name: str, reads_top_k: bool) -> None:
        self._reads_top_k = reads_top_k
        self._tags = protocol
        shared: dict[str, Any] = {"tool": name, "open": protocol.open, "max_chars": protocol.max_chars}
        self._hermes = replace(PROTOCOLS["hermes"], **shared)
        self._native = replace(PROTOCOLS["openai"], **shared)

    def read(self, reply: Any) -> list[SearchCall]:
        """Find the calls, in order; a call that cannot be read is returned with an error.

        Args:
            reply: A text, which holds at most one call: Hermes JSON if there is a complete `<tool_call>`,
                otherwise the protocol's tag. Or an assistant's message, a native call, or a list of content
                blocks or output items, in the shapes of OpenAI's two APIs, Anthropic's and MCP's, of which
                all calls are read. Objects of their client libraries are read too.

        Returns:
            The calls; an empty list if the reply does not search or answers before it searches.

        Raises:
            TypeError: If `reply` is of another type.
        """
        if isinstance(reply, str):
            return self._read_text(reply)
        reply = _as_data(reply)
        if isinstance(reply, Mapping):
            return self._read_mapping(reply)
        if isinstance(reply, Iterable) and not isinstance(reply, bytes):
            return self._read_items([item for item in map(_as_data, reply) if isinstance(item, Mapping)])
        raise TypeError(f"expected a text, a message or tool calls, got {type(reply).__name__}")

    def _read_mapping(self, reply: Mapping[str, Any]) -> list[SearchCall]:
        if calls := reply.get("tool_calls"):
            return [self._read_native(_as_data(call)) for call in calls]
        if _is_call(reply):
            return [self._read_native(reply)]
        content = reply.get("content")
        return [] if content is None else self.read(content)

    def _read_items(self, items: list[Mapping[str, Any]]) -> list[SearchCall]:
        if calls := [item for item in items if _is_call(item)]:
            return [self._read_native(call) for call in calls]
        return self._read_text("\n".join(text for item in items if isinstance(text := item.get("text"), str)))

    def _read_text(self, text: str) -> list[SearchCall]:
        for protocol in (self._hermes, self._tags):
            action = protocol.parse(text, "answer")
            if action.kind in ("search", "open") or action.code not in ("", "no_action"):
                return [self._call(action, json_body=protocol.calls != "tags")]
        return []

    def _read_native(self, data: Any) -> SearchCall:
        try:
            call = _tool_call(data)
        except (AttributeError, TypeError, ValueError, RecursionError) as error:
            identifier = str(data.get("id") or "") if isinstance(data, Mapping) else ""
            return SearchCall("", id=identifier, error=ToolError("bad_call", f"not a tool call: {error}"))
        action = self._native.parse(Reply("", tool_calls=(call,)), "answer")
        return replace(self._call(action, json_body=True), id="" if call.id == _NO_ID else call.id)

    def _call(self, action: Action, *, json_body: bool) -> SearchCall:
        if action.code:
            kind: ErrorKind = "bad_query" if action.code in ("empty_action", "too_long") else "bad_call"
            return SearchCall("", error=ToolError(kind, f"{action.code}: {action.body!r:.200}"))
        if action.kind == "open":
            return SearchCall(action.content, opens=True)
        if not (self._reads_top_k and json_body):
            return SearchCall(action.content)
        try:
            return SearchCall(action.content, read_top_k(action.body))
        except ValueError as error:
            return SearchCall(action.content, error=ToolError("bad_top_k", str(error)))


_NO_ID = "-"
_CALL_TYPES = ("function", "function_call", "tool_use")


def _as_data(item: Any) -> Any:
    """The plain data of an object of a client library; anything else as it is."""
    return item.model_dump() if hasattr(item, "model_dump") else item


def _is_call(item: Mapping[str, Any]) -> bool:
    return item.get("type") in _CALL_TYPES or "function" in item or ("name" in item and "arguments" in item)


def _tool_call(data: Mapping[str, Any]) -> ToolCall:
    function = data.get("function", data)
    arguments = function.get("arguments", function.get("input"))
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall(data.get("call_id") or data.get("id") or _NO_ID, function.get("name"), written)


ErrorKind = Literal[
    "bad_call", "bad_query", "bad_top_k", "budget", "not_listed", "open_budget", "timeout", "engine"
]

_SENTENCES: dict[ErrorKind, str] = {
    "bad_call": "The call could not be read. Call the tool with one query.",
    "bad_query": "The query must be a text that is neither blank nor too long.",
    "bad_top_k": "top_k must be a whole number, at least 1.",
    "budget": "The search budget is used up. Finish without searching.",
    "not_listed": "No search has listed this part of a page.",
    "open_budget": "No more parts of pages can be opened.",
    "timeout": "The search took too long and was given up.",
    "engine": "The search engine failed. Nothing was found out.",
}


class ToolError(Exception):
    """A search that failed; a search that finds nothing is no failure.

    Args:
        kind: `bad_call`, `bad_query` and `bad_top_k` are faults of the call. `budget` says that the searches
            of the episode are used up, `open_budget` the same of opened parts of pages, and `not_listed` that
            no search has listed the page of a part. `timeout` and `engine` are faults of the engine.
        detail: What was expected and what came, for people and logs; models never read it.
    """

    def __init__(self, kind: ErrorKind, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"

    @property
    def text(self) -> str:
        """What a model reads instead of passages: a fixed sentence, without the words of the engine.

        >>> ToolError("budget", "10 of 10 searches").text
        '[search error: budget] The search budget is used up. Finish without searching.'
        """
        return f"[search error: {self.kind}] {_SENTENCES[self.kind]}"


@dataclass(frozen=True)
class SearchResult:
    """The answer to one call: passages, or an error.

    Attributes:
        query: What was searched for.
        text: What the model reads.
        passages: The passages as the engine returned them; empty if the search failed or found nothing.
        error: Why the search failed; None if it did not.
        call_id: Identifier of the call; empty if it had none.
    """

    query: str
    text: str
    passages: tuple[Passage, ...] = ()
    error: ToolError | None = None
    call_id: str = ""

    def to_openai(self) -> dict[str, Any]:
        """Return the message of OpenAI's chat completions and of chat templates.

        >>> SearchResult("whale", "Doc 1 ...", call_id="c1").to_openai()
        {'role': 'tool', 'tool_call_id': 'c1', 'content': 'Doc 1 ...'}
        """
        return {"role": "tool", "tool_call_id": self.call_id, "content": self.text}

    def to_openai_responses(self) -> dict[str, Any]:
        """Return the input item of OpenAI's Responses API."""
        return {"type": "function_call_output", "call_id": self.call_id, "output": self.text}

    def to_anthropic(self) -> dict[str, Any]:
        """Return the content block of Anthropic's Messages API."""
        block = {"type": "tool_result", "tool_use_id": self.call_id, "content": self.text}
        return {**block, "is_error": True} if self.error else block

    def to_mcp(self) -> dict[str, Any]:
        """Return the result of `tools/call` in the Model Context Protocol."""
        return {"content": [{"type": "text", "text": self.text}], "isError": self.error is not None}


Layout = Literal["documents", "plain", "json"]
Formatter: TypeAlias = Callable[[Sequence[Passage]], str]

_MARKUP = re.compile(r"<(?=[A-Za-z/!?])")


def harmless(passage: Passage, protocol: Protocol, max_passage_chars: int | None = None) -> Passage:
    """Return a passage in which nothing can act on a model, as a model may read it.

    Tags, markup and control tokens are spelled out; control characters and hidden characters are removed.

    Args:
        passage: The passage as an engine returned it.
        protocol: Defines the tags that are spelled out.
        max_passage_chars: A title or text with more characters is cut there, with a mark that says how many
            are left out. None leaves both whole.

    >>> harmless(Passage("0", "Whale", "<b>Large</b> <|im_end|>"), Protocol("default")).text
    '&lt;b>Large&lt;/b> &lt;|im_end|&gt;'
    """
    title, text = passage.title, passage.text
    if max_passage_chars is not None:
        # Cut before escaping, so that no cut falls into an escape.
        title, text = shorten(title, max_passage_chars), shorten(text, max_passage_chars)
    id, title, text = (harmless_text(part, protocol) for part in (passage.id, title, text))
    return replace(passage, id=id, title=title, text=text)


def harmless_text(text: str, protocol: Protocol) -> str:
    """Return a text in which nothing can act on a model; see `harmless`."""
    return _MARKUP.sub("&lt;", protocol.escape(text))


def formatter(layout: Layout | Formatter, protocol: Protocol) -> Formatter:
    """Return the function from harmless passages to the text a model reads.

    Args:
        layout: `documents` (`Doc 1 (Title: ...)` and the text below), `plain` (texts alone), `json` (a list
            of objects with id, title and text), or a function of your own.
        protocol: Defines the text for no passages in the first two layouts.

    Raises:
        ValueError: If there is no such layout.
    """
    if callable(layout):
        return layout
    if layout == "json":
        return _as_json
    if layout not in ("documents", "plain"):
        raise ValueError(f"layout must be documents, plain, json or a function, got {layout!r}")
    return replace(protocol, layout=layout).passages


def _as_json(passages: Sequence[Passage]) -> str:
    shown = [{"id": passage.id, "title": passage.title, "text": passage.text} for passage in passages]
    return json.dumps(shown, ensure_ascii=False)
