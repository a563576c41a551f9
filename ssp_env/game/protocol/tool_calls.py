"""Tool calls as JSON: writing a search or the opening of a page as one, and reading it out of one."""

from __future__ import annotations

import json
from typing import Any

from ssp_env.game.passage import split_reference

SEARCH_TOOL = "search"
DESCRIPTION = "Search the corpus and return the passages that match best."
OPEN_DESCRIPTION = "Show one part of a page that a search has listed."
_MANY_PARTS = 10**9
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
    return _schema(name, description, properties, ["query"], strict)


def open_schema(*, strict: bool = False, name: str, description: str = OPEN_DESCRIPTION) -> dict[str, Any]:
    """Return the schema of the tool that opens pages in the shape of OpenAI's chat completions."""
    properties = {
        "page": {"type": "string", "description": "The page, as a result of a search names it."},
        "part": {"type": "integer", "description": "Which of its parts to show, counted from 1."},
    }
    return _schema(name, description, properties, [*properties], strict)


def _schema(
    name: str, description: str, properties: dict[str, Any], required: list[str], strict: bool
) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    function: dict[str, Any] = {"name": name, "description": description, "parameters": parameters}
    if strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def hermes_call(tool: str, arguments: str) -> str:
    """Write a call as the JSON of a Hermes tool call.

    >>> hermes_call("search", search_arguments("blue whale"))
    '{"name": "search", "arguments": {"query": "blue whale"}}'
    """
    return f'{{"name": "{tool}", "arguments": {arguments}}}'


def search_arguments(query: str) -> str:
    """Write the arguments of a search as JSON."""
    return json.dumps({"query": query}, ensure_ascii=False)


def open_arguments(reference: str) -> str:
    """Write the arguments of the opening of a page as JSON.

    >>> open_arguments("guide.md#3")
    '{"page": "guide.md", "part": 3}'
    """
    page, part = split_reference(reference)
    return json.dumps({"page": page, "part": part}, ensure_ascii=False)


def read_hermes_call(body: str) -> tuple[str, Any, str]:
    """Read the name and the arguments out of `{"name": "search", "arguments": {"query": ...}}`.

    Args:
        body: JSON, or what a model takes for it.

    Returns:
        The name of the tool, its arguments and an empty code, or nothing and a code of `MALFORMED_CODES`.

    >>> read_hermes_call('{"name": "search", "arguments": {"query": "blue whale"}}')
    ('search', {'query': 'blue whale'}, '')
    """
    call, code = _load(body)
    if code:
        return "", None, code
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or "arguments" not in call:
        return "", None, "bad_call"
    return call["name"], call["arguments"], ""


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
    arguments, code = _object(arguments)
    if code:
        return "", code
    given = [arguments[key] for key in _QUERY_KEYS if key in arguments]
    if len(given) != 1:
        return "", "bad_call"
    queries = given[0] if isinstance(given[0], list) else given
    if not all(isinstance(query, str) for query in queries) or not queries:
        return "", "bad_call"
    return (queries[0], "") if len(queries) == 1 else ("", "several_queries")


def read_open(arguments: Any) -> tuple[str, str]:
    """Read which part of which page is to be opened; arguments may be JSON text or an object.

    Returns:
        `page#part` and an empty code, or nothing and a code of `MALFORMED_CODES`.

    >>> read_open({"page": "guide.md", "part": 3}), read_open('{"page": "guide.md", "part": "last"}')
    (('guide.md#3', ''), ('', 'bad_call'))
    """
    arguments, code = _object(arguments)
    if code:
        return "", code
    page, part = arguments.get("page"), arguments.get("part")
    if not isinstance(page, str) or not page.strip():
        return "", "bad_call"
    if part is None:
        return page.strip(), ""
    numbered = isinstance(part, int | float) and not isinstance(part, bool) and 1 <= part < _MANY_PARTS
    return (f"{page.strip()}#{int(part)}", "") if numbered and float(part).is_integer() else ("", "bad_call")


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


def _object(arguments: Any) -> tuple[dict[str, Any], str]:
    """Return arguments, or JSON text of them, as an object, and an empty code if they are one."""
    if isinstance(arguments, str):
        arguments, code = _load(arguments)
        if code:
            return {}, code
    return (arguments, "") if isinstance(arguments, dict) else ({}, "bad_call")


def _load(text: str) -> tuple[Any, str]:
    try:
        # An integer of a million digits takes quadratic time to read, a float does not; no query is a number.
        return json.loads(text, parse_int=float, strict=False), ""
    except (ValueError, RecursionError):
        return None, "bad_json"
