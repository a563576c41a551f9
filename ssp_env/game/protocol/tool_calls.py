"""Tool calls as JSON: writing a search as one, reading a search out of one."""

from __future__ import annotations

import json
from typing import Any

SEARCH_TOOL = "search"
DESCRIPTION = "Search the corpus and return the passages that match best."
_QUERY_KEYS = ("query", "query_list")


def search_schema(
    *,
    strict: bool = False,
    name: str = SEARCH_TOOL,
    description: str = DESCRIPTION,
    max_top_k: int | None = None,
) -> dict[str, Any]:
    """Return the schema of the search tool in the shape of OpenAI's chat completions.

    Args:
        strict: Ask the endpoint to constrain arguments to the schema; every argument is required then, so
            that the query is the only one.
        name: Name of the tool.
        description: What the tool does, for the model.
        max_top_k: Greatest number of passages a call may ask for; calls cannot choose if None.
    """
    properties: dict[str, Any] = {
        "query": {"type": "string", "description": "One search query, a few words about one thing."}
    }
    if max_top_k is not None and not strict:
        properties["top_k"] = {
            "type": "integer",
            "minimum": 1,
            "maximum": max_top_k,
            "description": "Number of passages to return.",
        }
    function: dict[str, Any] = {
        "name": name,
        "description": description,
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": ["query"],
            "additionalProperties": False,
        },
    }
    if strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def search_call(query: str, *, tool: str = SEARCH_TOOL) -> str:
    """Write a search as the JSON of a Hermes tool call.

    >>> search_call("blue whale")
    '{"name": "search", "arguments": {"query": "blue whale"}}'
    """
    return f'{{"name": "{tool}", "arguments": {search_arguments(query)}}}'


def search_arguments(query: str) -> str:
    """Write the arguments of a search as JSON."""
    return json.dumps({"query": query}, ensure_ascii=False)


def read_hermes_call(body: str, *, tool: str = SEARCH_TOOL) -> tuple[str, str]:
    """Read the query out of `{"name": "search", "arguments": {"query": ...}}`.

    Args:
        body: JSON, or what a model takes for it.
        tool: Name of the search tool.

    Returns:
        The query and an empty code, or an empty query and a code of `MALFORMED_CODES`.

    >>> read_hermes_call('{"name": "search", "arguments": {"query": "blue whale"}}')
    ('blue whale', '')
    """
    call, code = _load(body)
    if code:
        return "", code
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or "arguments" not in call:
        return "", "bad_call"
    return read_call(call["name"], call["arguments"], tool=tool)


def read_call(name: str, arguments: Any, *, tool: str = SEARCH_TOOL) -> tuple[str, str]:
    """Read the query out of a call of the search tool; arguments may be JSON text or an object.

    `query` and `query_list`, the name of the reference's tool, take a string or a list of exactly one. A list
    of several is no action at all: one call must not count as several searches. Other arguments are ignored.

    Returns:
        The query and an empty code, or an empty query and a code of `MALFORMED_CODES`.

    >>> read_call("search", '{"query_list": ["blue", "whale"]}')
    ('', 'several_queries')
    """
    if name != tool:
        return "", "unknown_tool"
    if isinstance(arguments, str):
        arguments, code = _load(arguments)
        if code:
            return "", code
    if not isinstance(arguments, dict):
        return "", "bad_call"
    given = [arguments[key] for key in _QUERY_KEYS if key in arguments]
    if len(given) != 1:
        return "", "bad_call"
    queries = given[0] if isinstance(given[0], list) else given
    if not all(isinstance(query, str) for query in queries) or not queries:
        return "", "bad_call"
    return (queries[0], "") if len(queries) == 1 else ("", "several_queries")


def read_top_k(body: str) -> int | None:
    """Read how many passages a call asks for, out of its arguments or of a whole Hermes call.

    Returns:
        The number, or None if the call leaves it open.

    Raises:
        ValueError: If it is not a whole number.

    >>> read_top_k('{"name": "search", "arguments": {"query": "blue whale", "top_k": 5}}')
    5
    """
    arguments, _ = _load(body)
    while isinstance(arguments, dict) and "arguments" in arguments:
        arguments = arguments["arguments"]
        if isinstance(arguments, str):
            arguments, _ = _load(arguments)
    top_k = arguments.get("top_k") if isinstance(arguments, dict) else None
    if top_k is None:
        return None
    if not isinstance(top_k, float) or not top_k.is_integer():
        raise ValueError(f"expected a whole number of passages, got {top_k!r}")
    return int(top_k)


def _load(text: str) -> tuple[Any, str]:
    try:
        # An integer of a million digits takes quadratic time to read, a float does not; no query is a number.
        return json.loads(text, parse_int=float, strict=False), ""
    except (ValueError, RecursionError):
        return None, "bad_json"
