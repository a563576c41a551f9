"""Measures what agents sample and how long they take, without changing how they are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from threading import Lock
from time import perf_counter
from types import SimpleNamespace
from typing import Any

from ssp_env.game import Reply
from ssp_env.objects import is_async
from ssp_env.play import AnyAgent, AnyAsyncAgent


class Meter:
    """What agents did so far, and the time in which at least one call was under way.

    Attributes:
        turns: Turns taken and readings given.
        tokens: Tokens of the replies.
        seconds: Time in seconds; calls side by side count once.
    """

    def __init__(self) -> None:
        self.turns = 0
        self.tokens = 0
        self.seconds = 0.0
        self._calls = 0
        self._since = 0.0
        self._lock = Lock()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Time a call."""
        with self._lock:
            if not self._calls:
                self._since = perf_counter()
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    self.seconds += perf_counter() - self._since

    def count(self, said: str | Reply | Sequence[str | Reply]) -> None:
        """Count one reply or several, and their tokens; text has none. Others check what an agent returns."""
        replies = said if isinstance(said, Sequence) and not isinstance(said, str) else [said]
        tokens = sum(len(reply.token_ids) for reply in replies if isinstance(reply, Reply))
        with self._lock:
            self.turns += len(replies)
            self.tokens += tokens


def metered(agent: AnyAgent | AnyAsyncAgent, meter: Meter) -> Any:
    """Return an agent that is called as this one is, in batches or not, asynchronously or not."""
    name = "act_batch" if hasattr(agent, "act_batch") else "act"
    function = getattr(agent, name)

    @wraps(function)
    def act(asked: Any) -> Any:
        with meter.call():
            said = function(asked)
        meter.count(said)
        return said

    @wraps(function)
    async def async_act(asked: Any) -> Any:
        with meter.call():
            said = await function(asked)
        meter.count(said)
        return said

    return SimpleNamespace(**{name: async_act if is_async(function) else act})
