"""The search tool as TRL takes tools: a typed function with a docstring, or an environment per rollout."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from ssp_env.search.tool import SearchCall, SearchResult, SearchTool

Function = TypeVar("Function", bound=Callable[..., Any])

_NO_TOOL_NAMES = ("reset", "get_reward")


def search_function(tool: SearchTool) -> Callable[[str], str]:
    """Return the tool as a function of the query, for `GRPOTrainer(tools=[...])`.

    It never raises: TRL would show the model the message of a failing engine. All rollouts share the
    function, and so they would share a budget; `search_environment` gives each one its own.

    >>> search = search_function(SearchTool(lambda query: [f"all about {query}"], layout="plain"))
    >>> search.__name__, search("blue whale")
    ('search', 'all about blue whale')
    """

    def search(query: str) -> str:
        return tool.run([SearchCall(query)])[0].text

    return _described(search, tool)


def async_search_function(tool: SearchTool) -> Callable[[str], Awaitable[str]]:
    """Return `search_function` as a coroutine function: the calls of one message become one batch."""

    async def search(query: str) -> str:
        return (await tool.arun([SearchCall(query)]))[0].text

    return _described(search, tool)


def search_environment(tool: SearchTool) -> type[Any]:
    """Return a class for `GRPOTrainer(environment_factory=...)`: a search budget for every rollout.

    Its only tool is the search, named and described as `tool` is. TRL resets an instance before each rollout
    and hands it to reward functions in `environments`; `results` then holds the rollout's searches, as a list
    of `SearchResult`.

    Raises:
        ValueError: If the name of the tool means something else in an environment of TRL.

    >>> make = search_environment(SearchTool(lambda query: ["krill"], layout="plain", max_searches=1))
    >>> environment = make()
    >>> environment.search("whale food"), environment.search("again")
    ('krill', '[search error: budget] The search budget is used up. Finish without searching.')
    >>> environment.reset()
    >>> environment.search("again"), [result.query for result in environment.results]
    ('krill', ['again'])
    """
    if tool.name in _NO_TOOL_NAMES or not tool.name.isidentifier() or tool.name.startswith("_"):
        raise ValueError(
            f"expected a tool whose name can be a method other than {' and '.join(_NO_TOOL_NAMES)}, "
            f"without a leading underscore, got {tool.name!r}"
        )

    class SearchEnvironment:
        """A rollout that may search."""

        def __init__(self) -> None:
            self.reset()

        def reset(self, **row: object) -> None:
            """Start a rollout; the row of the data set adds nothing to its prompt."""
            self._episode = tool.episode()
            self.results: list[SearchResult] = []

        def _search(self, query: str) -> str:
            self.results += self._episode.run([SearchCall(query)])
            return self.results[-1].text

    setattr(SearchEnvironment, tool.name, _described(SearchEnvironment._search, tool))
    return SearchEnvironment


def _described(function: Function, tool: SearchTool) -> Function:
    return described(function, tool.to_openai(strict=True)["function"])


def described(function: Function, schema: Mapping[str, Any]) -> Function:
    """Name the function and document it from a schema, in the form that transformers reads back."""
    query = schema["parameters"]["properties"]["query"]
    function.__name__ = function.__qualname__ = schema["name"]
    function.__doc__ = (
        f"{schema['description']}\n\n"
        f"Args:\n    query: {query['description']}\n\n"
        "Returns:\n    The passages, or a text that says why there are none.\n"
    )
    return function
