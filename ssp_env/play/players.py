"""Players: the interfaces an agent may have, adapters for functions and models, and calls of agents."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, update_wrapper
from types import SimpleNamespace
from typing import Any, Protocol, TypeAlias, cast

from anyio.from_thread import start_blocking_portal

from ssp_env.game import Judge, Reply, ToolCall, View
from ssp_env.game.view import ToolRole, as_reply, text_of
from ssp_env.objects import is_async


class Agent(Protocol):
    """A player that takes one view at a time."""

    def act(self, view: View) -> str | Reply:
        """Return what the seat says in this situation."""


class BatchAgent(Protocol):
    """A player that takes many views at once and returns one reply per view, in the same order."""

    def act_batch(self, views: Sequence[View]) -> Sequence[str | Reply]:
        """Return one reply per view."""


class AsyncAgent(Protocol):
    """An `Agent` whose `act` is a coroutine function."""

    async def act(self, view: View) -> str | Reply:
        """Return what the seat says in this situation."""


class AsyncBatchAgent(Protocol):
    """A `BatchAgent` whose `act_batch` is a coroutine function."""

    async def act_batch(self, views: Sequence[View]) -> Sequence[str | Reply]:
        """Return one reply per view."""


class Runnable(Protocol):
    """An object with LangChain's interface of the same name: chat models, chains, retrievers."""

    def invoke(self, input: Any, /) -> Any:
        """Return the result for one input."""


AnyAgent: TypeAlias = Agent | BatchAgent
AnyAsyncAgent: TypeAlias = AsyncAgent | AsyncBatchAgent
PlayerFunction: TypeAlias = Callable[[Any], Any]
AnyPlayer: TypeAlias = AnyAgent | AnyAsyncAgent | PlayerFunction | Runnable
"""Every kind of player that `as_agent` takes."""

JudgeFunction: TypeAlias = Callable[[Judge], bool | None]
AsyncJudgeFunction: TypeAlias = Callable[[Judge], Awaitable[bool | None]]
AnyJudge: TypeAlias = JudgeFunction | AsyncJudgeFunction
Policy: TypeAlias = Callable[[View], Reply]


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
        return cast("AnyAgent", FunctionAgent(partial(_invoke, player)))
    if callable(player):
        told = _named_as(player, partial(_tell_async if is_async(player) else _tell, player))
        return cast("AnyAgent", FunctionAgent(told if _first_parameter(player) == "messages" else player))
    raise TypeError(
        f"{name} must be an agent with act(view), a function of a View or of messages, "
        f"or have invoke(messages), got {type(player).__name__}"
    )


class ReplyError(TypeError):
    """A player returned something other than text or a `Reply`; the message says what, and which player."""


@dataclass(frozen=True, eq=False)
class FunctionAgent:
    """An agent whose `act` is a function or a coroutine function of the view."""

    act: PlayerFunction


def _named_as(function: PlayerFunction, adapter: partial[Any]) -> Any:
    """Let error messages call an adapter by the name of the function that it calls."""
    return update_wrapper(adapter, function, updated=())


def _tell(function: PlayerFunction, view: View) -> Any:
    return function(chat_messages(view))


async def _tell_async(function: PlayerFunction, view: View) -> Any:
    return await function(chat_messages(view))


def chat_messages(view: View, tool_role: ToolRole = "user") -> list[dict[str, Any]]:
    """Return the messages of a view in OpenAI's form; a tool message without a tool call gets `tool_role`.

    >>> from ssp_env.game import Message
    >>> messages = (Message("tool", "no results"),)
    >>> chat_messages(View("g", "solver_0", "solve", messages, 1, 0))
    [{'role': 'user', 'content': 'no results'}]
    """
    return view.to_openai(tool_role)


def _first_parameter(function: PlayerFunction) -> str:
    try:
        return next(iter(inspect.signature(function).parameters), "")
    except ValueError:  # some functions written in C have no signature
        return ""


def _invoke(runnable: Runnable, view: View) -> str | Reply:
    """Read the text and the tool calls of what `invoke` returns."""
    message = runnable.invoke(chat_messages(view))
    if isinstance(message, str | Reply):
        return message
    try:
        content = text_of(message.content)
    except (AttributeError, TypeError):
        kind = type(message).__name__
        raise ReplyError(f"invoke(messages) must return text or a message with text, got {kind}") from None
    calls = [
        {
            "id": call["id"] or f"call_{place}",
            "function": {"name": call["name"], "arguments": call["args"]},
        }
        for place, call in enumerate(getattr(message, "tool_calls", ()))
    ]
    return Reply(content, tool_calls=tuple(map(ToolCall.from_openai, calls)))


def as_judge(judge: Any) -> AnyJudge:
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
    return cast("AnyJudge", judge)


def act_of(agent: AnyAgent | AnyAsyncAgent) -> Any:
    """Return the method that plays: `act_batch` if there is one, otherwise `act`."""
    return getattr(agent, "act_batch", None) or getattr(agent, "act", None)


def is_async_agent(agent: AnyAgent | AnyAsyncAgent) -> bool:
    """Whether the method that plays, `act_batch` or `act`, is a coroutine function."""
    return is_async(act_of(agent))


def act_all(agent: AnyAgent, views: Sequence[View]) -> list[Reply]:
    """Ask an agent for one reply per view, in one batch if it has `act_batch`.

    Raises:
        ValueError: If the agent gives more or fewer replies than there are views.
        ReplyError: If a reply is neither text nor a `Reply`.
    """
    if hasattr(agent, "act_batch"):
        return as_replies(agent.act_batch(views), len(views), agent.act_batch)
    return [reply_of(agent.act(view), agent.act) for view in views]


def reply_of(said: object, method: Callable[..., Any] | None) -> Reply:
    """Check what a player returned from one of its methods, or from the function that it is.

    Raises:
        ReplyError: If it is neither text nor a `Reply`; the message names the method.
    """
    if isinstance(said, str | Reply):
        return as_reply(said)
    raise ReplyError(f"{_name_of(method)} must return text or a Reply, got {reprlib.repr(said)}")


def as_replies(
    replies: Sequence[str | Reply], expected: int, method: Callable[..., Any] | None = None
) -> list[Reply]:
    """Check what a batch agent returned; error messages name its `method`.

    Raises:
        ValueError: If there are more or fewer than `expected` replies.
        ReplyError: If there is no list of replies, or one of them is neither text nor a `Reply`.
    """
    if isinstance(replies, str | Reply) or not isinstance(replies, Iterable):
        raise ReplyError(
            f"{_name_of(method)} must return a list with text or a Reply for each view, "
            f"got {reprlib.repr(replies)}"
        )
    replies = list(replies)
    if len(replies) != expected:
        raise ValueError(f"the agent was asked for {expected} replies and gave {len(replies)}")
    return [reply_of(reply, method) for reply in replies]


def _name_of(method: Callable[..., Any] | None) -> str:
    """Return the name of a function, or of a method with that of its class."""
    if method is None:
        return "the agent"
    function: Any = inspect.unwrap(method)
    while isinstance(function, partial):
        function = function.func
    name: str = getattr(function, "__qualname__", type(function).__name__)
    return name.rpartition("<locals>.")[2]


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
    name = "act_batch" if hasattr(agent, "act_batch") else "act"
    with start_blocking_portal() as portal:
        act = getattr(agent, name)
        yield cast("AnyAgent", SimpleNamespace(**{name: _named_as(act, partial(portal.call, act))}))


def policy(role: str, player: AnyPlayer) -> Policy:
    """Turn a player of any kind that `as_agent` takes into a function from a `View` to a `Reply`.

    Raises:
        TypeError: If it is no player, or an asynchronous one.
    """
    agent: Any = as_agent(player, role)
    if is_async_agent(agent):
        raise TypeError(f"{role} is asynchronous: put ssp_env.play.blocking around it")
    return partial(_act, agent)


def _act(agent: AnyAgent, view: View) -> Reply:
    return act_all(agent, [view])[0]
