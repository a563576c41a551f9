"""Finding the searches in what a model wrote: tags, Hermes JSON, native calls of several endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ssp_env.game import PROTOCOLS, Action, Protocol, Reply, ToolCall
from ssp_env.game.protocol.tool_calls import read_top_k
from ssp_env.search.tool.errors import ErrorKind, ToolError


@dataclass(frozen=True)
class SearchCall:
    """One search that a model asked for.

    Attributes:
        query: What to search for; empty if the call cannot be read.
        top_k: Passages it asks for; None if it leaves that open.
        id: Identifier of a native call; empty for calls written as text.
        error: What is wrong with the call; None if it can be run.
    """

    query: str
    top_k: int | None = None
    id: str = ""
    error: ToolError | None = None


class CallReader:
    """Reads searches the way the game's protocols do.

    Args:
        protocol: Owns the tags of calls that are written as text.
        name: Name of the tool in JSON and native calls.
        reads_top_k: Whether calls may choose `top_k`; it is ignored otherwise, as all other arguments are.
    """

    def __init__(self, protocol: Protocol, name: str, reads_top_k: bool) -> None:
        self._reads_top_k = reads_top_k
        self._tags = protocol
        self._hermes = replace(PROTOCOLS["hermes"], tool=name, max_chars=protocol.max_chars)
        self._native = replace(PROTOCOLS["openai"], tool=name, max_chars=protocol.max_chars)

    def read(self, reply: Any) -> list[SearchCall]:
        """Find the calls, in order; total: what cannot be read is a call with an error.

        Args:
            reply: A text, which holds at most one call: Hermes JSON if there is a complete `<tool_call>`, the
                protocol's tag otherwise. Or an assistant's message, a native call, or a list of content
                blocks or output items, in the shapes of OpenAI's two APIs, Anthropic's and MCP's: all calls
                count. Objects of their client libraries are taken too.

        Returns:
            The calls; none if the reply does not search, because it answers first, say.

        Raises:
            TypeError: If `reply` is nothing of the kind.
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
            if action.kind == "search" or action.code not in ("", "no_action"):
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
