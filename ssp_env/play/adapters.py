"""Agents from what is none yet: functions of a view or of chat messages, and runnables of LangChain.

`as_agent` is the one place where that happens; whoever takes an agent calls it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, cast

from ssp_env.game import Reply, ToolCall, View
from ssp_env.objects import is_async
from ssp_env.play.agents import AnyAgent, AnyAsyncAgent


class Runnable(Protocol):
    """What LangChain calls a runnable: chat models, chains, graphs that end in a message."""

    def invoke(self, input: Any, /) -> Any:
        """Return text, or a message with `content` and perhaps `tool_calls`."""
        ...


PlayerFunction: TypeAlias = Callable[[Any], Any]
AnyPlayer: TypeAlias = AnyAgent | AnyAsyncAgent | PlayerFunction | Runnable
"""What may be passed wherever an agent is expected."""


def as_agent(player: AnyPlayer, name: str = "player") -> AnyAgent | AnyAsyncAgent:
    """Return an agent; what is one already is returned as it is.

    Args:
        player: An agent; a function, a coroutine function or an object with `__call__` that returns a reply,
            and takes the chat messages (`list[dict]`) if its first parameter is called `messages`, the
            `View` otherwise; or anything with `invoke`, which gets the messages.
        name: What it is, for the error.

    Raises:
        TypeError: If it is nothing of that, or a class instead of an object.

    >>> parrot = as_agent(lambda messages: messages[-1]["content"])
    >>> parrot.act(View("g", "solver_0", "solve", (), 1, 0))
    Traceback (most recent call last):
    IndexError: list index out of range
    >>> as_agent(parrot) is parrot
    True
    """
    if inspect.isclass(player):
        raise TypeError(f"{name} must be an object, got the class {player.__name__}: make one of it")
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
    """Plays with a function.

    Args:
        function: Returns text or a `Reply`.
        takes_messages: Whether it takes the chat messages in OpenAI's shape instead of the `View`.
    """

    def __init__(self, function: PlayerFunction, *, takes_messages: bool = False) -> None:
        self._function = function
        self._takes_messages = takes_messages

    def act(self, view: View) -> str | Reply:
        """Return what the function returns."""
        return cast("str | Reply", self._function(chat_messages(view) if self._takes_messages else view))


class AsyncFunctionAgent:
    """Plays with a coroutine function; takes what `FunctionAgent` takes."""

    def __init__(self, function: PlayerFunction, *, takes_messages: bool = False) -> None:
        self._function = function
        self._takes_messages = takes_messages

    async def act(self, view: View) -> str | Reply:
        """Return what the function returns."""
        given = chat_messages(view) if self._takes_messages else view
        return cast("str | Reply", await self._function(given))


def chat_messages(view: View) -> list[dict[str, Any]]:
    """Return the messages of a view in OpenAI's shape; a tool message that answers no call is a user's.

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
    """Read what a runnable returned."""
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
