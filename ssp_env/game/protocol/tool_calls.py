"""Tool calls as JSON: writing a search as one, reading a search out of one."""

from __future__ import annotations

import json
from typing import Any

SEARCH_TOOL = "search"
_QUERY_KEYS = ("query", "query_list")


def search_schema(*, strict: bool = False) -> dict[str, Any]:
    """Return the schema of the search tool in the shape of OpenAI's chat completions.

    Args:
        strict: Ask the endpoint to constrain arguments to the schema.
    """
    query = {"type": "string", "description": "One search query, a few words about one thing."}
    function: dict[str, Any] = {
        "name": SEARCH_TOOL,
        "description": "Search the corpus and return the passages that match best.",
        "parameters": {
            "type": "object",
            "properties": {"query": query},
            "required": ["query"],
            "additionalProperties": False,
        },
    }
    if strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def search_call(query: str) -> str:
    """Write a search as the JSON of a Hermes tool call.

    >>> search_call("blue whale")
    '{"name": "search", "arguments": {"query": "blue whale"}}'
    """
    return f'{{"name": "{SEARCH_TOOL}", "arguments": {search_arguments(query)}}}'


def search_arguments(query: str) -> str:
    """Write the arguments of a search as JSON."""
    return json.dumps({"query": query}, ensure_ascii=False)


def read_hermes_call(body: str) -> tuple[str, str]:
    """Read the query out of `{"name": "search", "arguments": {"query": ...}}`.

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
    return read_call(call["name"], call["arguments"])


def read_call(name: str, arguments: Any) -> tuple[str, str]:
    """Read the query out of a call of the search tool; arguments may be JSON text or an object.

    `query` and `query_list`, the name of the reference's tool, take a string or a list of exactly one. A list
    of several is no action at all: one call must not count as several searches. Other arguments are ignored.

    Returns:
        The query and an empty code, or an empty query and a code of `MALFORMED_CODES`.

    >>> read_call("search", '{"query_list": ["blue", "whale"]}')
    ('', 'several_queries')
    """
    if name != SEARCH_TOOL:
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


def _load(text: str) -> tuple[Any, str]:
    try:
        # An integer of a million digits takes quadratic time to read, a float does not; no query is a number.
        return json.loads(text, parse_int=float, strict=False), ""
    except (ValueError, RecursionError):
        return None, "bad_json"
