"""What an agent, a judge and an asynchronous search engine look like, and how a batch is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from ssp_env.game import Judge, Reply, View
from ssp_env.game.view import as_reply
from ssp_env.objects import is_async
from ssp_env.passage import Passage


class Agent(Protocol):
    """A player that takes one view at a time."""

    def act(self, view: View) -> str | Reply:
        """Return what the seat says in this situation."""
        ...


class BatchAgent(Protocol):
    """A player that takes many views at once, one reply each, in order."""

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


class AsyncSearchEngine(Protocol):
    """A `SearchEngine` whose `search` is a coroutine function."""

    async def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return at most `top_k` passages per query, best first, ties broken by passage id."""
        ...

    def fingerprint(self) -> str:
        """Return a hash of corpus and index settings; equal fingerprints rank equally."""
        ...


AnyAgent: TypeAlias = Agent | BatchAgent
AnyAsyncAgent: TypeAlias = AsyncAgent | AsyncBatchAgent
JudgeFunction: TypeAlias = Callable[[Judge], bool | None]
AsyncJudgeFunction: TypeAlias = Callable[[Judge], Awaitable[bool | None]]


def is_async_agent(agent: AnyAgent | AnyAsyncAgent) -> bool:
    """Whether the method that plays is a coroutine function: `act_batch` where there is one, else `act`."""
    return is_async(getattr(agent, "act_batch", None) or getattr(agent, "act", None))


def act_all(agent: AnyAgent, views: Sequence[View]) -> list[Reply]:
    """Ask an agent for one reply per view, in a batch if it can.

    Raises:
        ValueError: If it gives more or fewer replies.
        TypeError: If a reply is neither text nor a `Reply`.
    """
    if hasattr(agent, "act_batch"):
        return as_replies(agent.act_batch(views), len(views))
    return [as_reply(agent.act(view)) for view in views]


def as_replies(replies: Sequence[str | Reply], expected: int) -> list[Reply]:
    """Check what a batch agent returned.

    Raises:
        ValueError: If there are more or fewer than `expected` replies.
        TypeError: If one is neither text nor a `Reply`.
    """
    replies = list(replies)
    if len(replies) != expected:
        raise ValueError(f"the agent was asked for {expected} replies and gave {len(replies)}")
    return [as_reply(reply) for reply in replies]
