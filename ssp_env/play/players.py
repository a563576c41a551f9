"""Players: the interfaces an agent may have, adapters for functions and models, and calls of agents."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias, cast

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ssp_env.game import Judge, Reply, ToolCall, View
from ssp_env.game.view import as_reply
from ssp_env.objects import is_async


class Agent(Protocol):
    """A player that takes one view at a time."""

    def act(self, view: View) -> str | Reply:
        """Return what the seat says in this situation."""
        ...


class BatchAgent(Protocol):
    """A player that takes many views at once and returns one reply per view, in the same order."""

    def act_batch(self, views: Sequence[View]) -> Sequence[str | Reply]:
        """Return one reply per view."""
        ...


class AsyncAgent(Protocol):
    """An `Agent` whose `act` is a coroutine function."""

    async def act(self, view: View) -> str | Reply:
        """Return what the seat says in this situation."""
        ...


class AsyncBatchAgent(Protocol):
    """A `BatchAgent` whose `act_batch` is a coroutine function."""

    async def act_batch(self, views: Sequence[View]) -> Sequence[str | Reply]:
        """Return one reply per view."""
        ...


class Runnable(Protocol):
    """An object with LangChain's interface of the same name: chat models, chains, retrievers."""

    def invoke(self, input: Any, /) -> Any:
        """Return the result for one input."""
        ...


AnyAgent: TypeAlias = Agent | BatchAgent
AnyAsyncAgent: TypeAlias = AsyncAgent | AsyncBatchAgent
PlayerFunction: TypeAlias = Callable[[Any], Any]
AnyPlayer: TypeAlias = AnyAgent | AnyAsyncAgent | PlayerFunction | Runnable
"""Every kind of player that `as_agent` takes."""

JudgeFunction: TypeAlias = Callable[[Judge], bool | None]
AsyncJudgeFunction: TypeAlias = Callable[[Judge], Awaitable[bool | None]]


# -- adapting ----------------------------------------------------------------------------------------------


def as_agent(player: AnyPlayer, name: str = "player") -> AnyAgent | AnyAsyncAgent:
    """Return a player as an agent; an agent is returned as it is.

    Args:
        player: One of these:

            * an agent, which has `act(view)` or `act_batch(views)`, with or without `async`;
            * a function, a coroutine function or an object with `__call__` that returns a reply. If its first
              parameter is called `messages`, it is given the chat messages (`list[dict]`), otherwise the
              `View`;
            * an object with `invoke`, such as a chat model of LangChain, which is given the chat messages.
        name: What the error message calls the player, for example its role.

    Raises:
        TypeError: If the player is none of these, or is a class instead of an object.

    >>> parrot = as_agent(lambda messages: messages[-1]["content"])
    >>> parrot.act(View("g", "solver_0", "solve", (), 1, 0))
    Traceback (most recent call last):
    IndexError: list index out of range
    >>> as_agent(parrot) is parrot
    True
    """
    if inspect.isclass(player):
        raise TypeError(
            f"{name} must be an object, got the class {player.__name__}: pass {player.__name__}()"
        )
    if hasattr(player, "act") or hasattr(player, "act_batch"):
        return cast("AnyAgent | AnyAsyncAgent", player)
    if hasattr(player, "invoke"):
        return FunctionAgent(lambda messages: _reply_of(player.invoke(messages)), takes_messages=True)
    if callable(player):
        kind = AsyncFunctionAgent if is_async(player) else FunctionAgent
        return kind(player, takes_messages=_first_parameter(player) == "messages")
    raise TypeError(
        f"{name} must be an agent with act(view), a function of a View or of messages, "
        f"or have invoke(messages), got {type(player).__name__}"
    )


class FunctionAgent:
    """An agent that replies with the result of a function.

    Args:
        function: Returns text or a `Reply`.
        takes_messages: Whether the function takes the chat messages in OpenAI's form instead of the `View`.
    """

    def __init__(self, function: PlayerFunction, *, takes_messages: bool = False) -> None:
        self._function = function
        self._takes_messages = takes_messages

    def act(self, view: View) -> str | Reply:
        """Return the result of the function."""
        return cast("str | Reply", self._function(chat_messages(view) if self._takes_messages else view))


class AsyncFunctionAgent:
    """An agent that replies with the result of a coroutine function; it takes what `FunctionAgent` takes."""

    def __init__(self, function: PlayerFunction, *, takes_messages: bool = False) -> None:
        self._function = function
        self._takes_messages = takes_messages

    async def act(self, view: View) -> str | Reply:
        """Return the result of the coroutine function."""
        given = chat_messages(view) if self._takes_messages else view
        return cast("str | Reply", await self._function(given))


def chat_messages(view: View) -> list[dict[str, Any]]:
    """Return the messages of a view in OpenAI's form; a tool message without a tool call gets role `user`.

    >>> from ssp_env.game import Message
    >>> messages = (Message("tool", "no results"),)
    >>> chat_messages(View("g", "solver_0", "solve", messages, 1, 0))
    [{'role': 'user', 'content': 'no results'}]
    """
    return [
        message.to_openai() | ({} if message.role != "tool" or message.tool_call_id else {"role": "user"})
        for message in view.messages
    ]


def _first_parameter(function: PlayerFunction) -> str:
    try:
        return next(iter(inspect.signature(function).parameters), "")
    except ValueError:  # some functions written in C have no signature
        return ""


def _reply_of(message: Any) -> str | Reply:
    """Read the text and the tool calls of what `invoke` returned."""
    if isinstance(message, str | Reply):
        return message
    content = getattr(message, "content", None)
    if not isinstance(content, str):
        kind = type(message).__name__
        raise TypeError(f"invoke(messages) must return text or a message with text, got {kind}")
    return Reply(content, tool_calls=_tool_calls(getattr(message, "tool_calls", ())))


def _tool_calls(calls: Sequence[Any]) -> tuple[ToolCall, ...]:
    functions = [{"name": call["name"], "arguments": call["args"]} for call in calls]
    return tuple(
        ToolCall.from_openai({"id": call["id"] or f"call_{place}", "function": function})
        for place, (call, function) in enumerate(zip(calls, functions, strict=True))
    )


def as_judge(judge: Any) -> JudgeFunction | AsyncJudgeFunction:
    """Return a judge unchanged after checking that it can be called.

    Args:
        judge: A function or coroutine function from a `Judge` request to True, False or None, or an object
            with a method `judge_batch`, which is given many requests and returns as many verdicts.

    Raises:
        TypeError: If the judge is none of these, or is a class instead of an object.
    """
    if inspect.isclass(judge):
        raise TypeError(f"judge must be an object, got the class {judge.__name__}: pass an instance")
    if not callable(judge) and not callable(getattr(judge, "judge_batch", None)):
        raise TypeError(
            "judge must be a function from a Judge request to True, False or None, "
            f"or have judge_batch(requests), got {type(judge).__name__}"
        )
    return cast("JudgeFunction | AsyncJudgeFunction", judge)


# -- asking ------------------------------------------------------------------------------------------------


def is_async_agent(agent: AnyAgent | AnyAsyncAgent) -> bool:
    """Whether the method that plays is a coroutine function: `act_batch` if there is one, otherwise `act`."""
    return is_async(getattr(agent, "act_batch", None) or getattr(agent, "act", None))


def act_all(agent: AnyAgent, views: Sequence[View]) -> list[Reply]:
    """Ask an agent for one reply per view, in one batch if it has `act_batch`.

    Raises:
        ValueError: If the agent gives more or fewer replies than there are views.
        TypeError: If a reply is neither text nor a `Reply`.
    """
    if hasattr(agent, "act_batch"):
        return as_replies(agent.act_batch(views), len(views))
    return [as_reply(agent.act(view)) for view in views]


def as_replies(replies: Sequence[str | Reply], expected: int) -> list[Reply]:
    """Check what a batch agent returned.

    Raises:
        ValueError: If there are more or fewer than `expected` replies.
        TypeError: If a reply is neither text nor a `Reply`.
    """
    replies = list(replies)
    if len(replies) != expected:
        raise ValueError(f"the agent was asked for {expected} replies and gave {len(replies)}")
    return [as_reply(reply) for reply in replies]


@contextmanager
def blocking(player: AnyPlayer) -> Iterator[AnyAgent]:
    """Make an asynchronous player usable by callers that do not await: `play`, `Driver`, the environments.

    The player's coroutines run on an event loop in another thread, which ends with the context. The agent
    takes one view at a time if the player does, so that a failed turn ends only one game. To play many games
    at the same time use `play_async`.

    Args:
        player: An asynchronous agent, or a coroutine function; see `as_agent`.

    Raises:
        TypeError: If the player is not asynchronous.

    >>> async def shy(view):
    ...     return "hm"
    >>> with blocking(shy) as agent:
    ...     agent.act(View("g", "solver_0", "solve", (), 1, 0))
    'hm'
    """
    agent: Any = as_agent(player)
    if not is_async_agent(agent):
        raise TypeError(f"expected an asynchronous agent, got a blocking one: {type(agent).__name__}")
    with start_blocking_portal() as portal:
        yield (_BlockingBatch if hasattr(agent, "act_batch") else _Blocking)(agent, portal)


class _Blocking:
    def __init__(self, agent: Any, portal: BlockingPortal) -> None:
        self._agent, self._portal = agent, portal

    def act(self, view: View) -> str | Reply:
        reply: str | Reply = self._portal.call(self._agent.act, view)
        return reply


class _BlockingBatch:
    def __init__(self, agent: Any, portal: BlockingPortal) -> None:
        self._agent, self._portal = agent, portal

    def act_batch(self, views: Sequence[View]) -> Sequence[str | Reply]:
        replies: Sequence[str | Reply] = self._portal.call(self._agent.act_batch, views)
        return replies
