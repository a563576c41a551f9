"""The search tool as a typed function with a docstring, as TRL takes tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ssp_env.search.tool import SearchTool

Function = TypeVar("Function", bound=Callable[..., Any])


def search_function(tool: SearchTool) -> Callable[[str], str]:
    """Return the tool as a function for `GRPOTrainer(tools=[...])`, with the schema of the tool.

    TRL hands what a function raises to the model: give the tool `on_error="return"`, and no budget, which all
    episodes would share.

    >>> search = search_function(SearchTool(lambda query: [f"all about {query}"], layout="plain"))
    >>> search.__name__, search("blue whale")
    ('search', 'all about blue whale')
    """

    def search(query: str) -> str:
        return tool(query)

    return _described(search, tool)


def async_search_function(tool: SearchTool) -> Callable[[str], Awaitable[str]]:
    """Return the tool as a coroutine function: calls that TRL makes together become one batch."""

    async def search(query: str) -> str:
        return await tool.acall(query)

    return _described(search, tool)


def _described(function: Function, tool: SearchTool) -> Function:
    """Name the function and document it from the schema, in the form that transformers reads back."""
    query = tool.to_openai(strict=True)["function"]["parameters"]["properties"]["query"]
    function.__name__ = function.__qualname__ = tool.name
    function.__doc__ = (
        f"{tool.description}\n\n"
        f"Args:\n    query: {query['description']}\n\n"
        "Returns:\n    The passages, or a text that says why there are none.\n"
    )
    return function
