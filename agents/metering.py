"""Counting turns, tokens and time of players while they play."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from ssp_env.game import Reply, View
from ssp_env.game.view import as_reply
from ssp_env.play import act_all, is_async_agent
from ssp_env.play.agents import as_replies


@dataclass
class Meter:
    """What the players did so far.

    Attributes:
        turns: Turns taken and readings given.
        tokens: Tokens they sampled.
        seconds: Time they took.
    """

    turns: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def count(self, replies: Sequence[Reply], seconds: float) -> None:
        """Add replies and the time they took."""
        self.turns += len(replies)
        self.tokens += sum(len(reply.token_ids) for reply in replies)
        self.seconds += seconds


def metered(player: Any, meter: Meter) -> Any:
    """Return an agent that plays as `player` does, in batches and asynchronously as it does."""
    if not is_async_agent(player):
        return MeteredPlayer(player, meter)
    kind = _AsyncMeteredBatch if hasattr(player, "act_batch") else _AsyncMetered
    return kind(player, meter)


class MeteredPlayer:
    """Hands views on to a player and meters its turns."""

    def __init__(self, player: Any, meter: Meter) -> None:
        self._player, self._meter = player, meter

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return the player's replies."""
        started = perf_counter()
        replies = act_all(self._player, views)
        self._meter.count(replies, perf_counter() - started)
        return replies


class _AsyncMetered:
    def __init__(self, player: Any, meter: Meter) -> None:
        self._player, self._meter = player, meter

    async def act(self, view: View) -> Reply:
        started = perf_counter()
        reply = as_reply(await self._player.act(view))
        self._meter.count([reply], perf_counter() - started)
        return reply


class _AsyncMeteredBatch:
    def __init__(self, player: Any, meter: Meter) -> None:
        self._player, self._meter = player, meter

    async def act_batch(self, views: Sequence[View]) -> list[Reply]:
        started = perf_counter()
        replies = as_replies(await self._player.act_batch(views), len(views))
        self._meter.count(replies, perf_counter() - started)
        return replies
