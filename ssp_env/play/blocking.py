"""Asynchronous agents where only blocking ones can be used: `play`, `Driver`, the Gymnasium environments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ssp_env.game import Reply, View
from ssp_env.play.adapters import AnyPlayer, as_agent
from ssp_env.play.agents import AnyAgent, is_async_agent


@contextmanager
def blocking(player: AnyPlayer) -> Iterator[AnyAgent]:
    """Make a blocking agent of an asynchronous one, whose coroutines run on an event loop in a thread.

    It takes one view at a time if the asynchronous one does, so that a turn that fails ends one game;
    `play_async` plays many games side by side. The loop ends with the context.

    Args:
        player: An asynchronous agent, or what `as_agent` makes one of.

    Raises:
        TypeError: If it is not asynchronous.

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
