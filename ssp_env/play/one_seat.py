"""One seat of a game stepped from outside with asyncio, while players and a search engine serve the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from ssp_env.game import Game, Reply, Role, View
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.play.async_driver import play_async
from ssp_env.play.players import AnyPlayer, as_agent, as_replies, is_async_agent, reply_of
from ssp_env.play.services import AnySearch


class OneSeat(AbstractAsyncContextManager["OneSeat"]):
    """One seat of a game, stepped by the caller: a trainer's environment, a server, a user's session.

    Args:
        game: The game, begun or not.
        seat: The seat to step: `proposer_0`, `solver_0`, ...
        search: What searches, as for `play`.
        proposer: Plays the proposer; needed unless that is the seat or the question is known.
        solver: Plays the other attempts; needed unless the seat is the only one.
        reader: Answers the RAG check; the solver if None, and one of them is needed where the rules have one.
        options: Further arguments of `play_async`: `judge`, `seed`, `timeout`, ...

    Attributes:
        game: The game; its `outcome` is there once `view` is None.
        view: What the seat sees now; None once its part is over and the game has ended.

    Raises:
        ValueError: If the game has no such seat, or nobody plays one of the others.

    Example:
        >>> import asyncio
        >>> from ssp_env import Task
        >>> async def answer(text):
        ...     game = Game(Task("Tavor", question="Who?"))
        ...     async with OneSeat(game, "solver_0", search=lambda query: ["Tavor is here."]) as seat:
        ...         await seat.step("<search> belin </search>")
        ...         print(seat.view.messages[-1].role)
        ...         return await seat.step(text), game.outcome.rewards["solver_0"]
        >>> asyncio.run(answer("<answer> Tavor </answer>"))
        tool
        (None, 1.0)
    """

    def __init__(
        self,
        game: Game,
        seat: str,
        *,
        search: AnySearch,
        proposer: AnyPlayer | None = None,
        solver: AnyPlayer | None = None,
        reader: AnyPlayer | None = None,
        **options: Any,
    ) -> None:
        self.game = game
        self.view: View | None = None
        self._seat = seat
        given = {"proposer": proposer, "solver": solver, "reader": solver if reader is None else reader}
        _check_players(game, seat, given)
        self._others = {role: as_agent(one, role) for role, one in given.items() if one is not None}
        self._search, self._options = search, options
        self._views: asyncio.Queue[View | None] = asyncio.Queue()
        self._replies: asyncio.Queue[str | Reply] = asyncio.Queue()

    async def __aenter__(self) -> OneSeat:
        """Play to the seat's first turn, or to the end if it has none."""
        self._playing = asyncio.create_task(self._play())
        await self._next()
        return self

    async def step(self, reply: str | Reply) -> View | None:
        """Let the seat say something, and play on to its next turn or to the end of the game.

        Returns:
            What it sees then, which is `view`.

        Raises:
            RuntimeError: If the game is over.
        """
        if self.view is None:
            raise RuntimeError(f"{self._seat} has no turn any more: the game is over, see game.outcome")
        self._replies.put_nowait(reply)
        return await self._next()

    async def __aexit__(self, *_: object) -> None:
        """Stop what is still going on."""
        self._playing.cancel()
        await asyncio.gather(self._playing, return_exceptions=True)

    async def _play(self) -> None:
        players: Mapping[str, Any] = {"proposer": self._act, "solver": self._act, "reader": self._act}
        try:
            await play_async([self.game], search=self._search, **players, **self._options)
        finally:
            self._views.put_nowait(None)

    async def _next(self) -> View | None:
        self.view = await self._views.get()
        if self.view is None:
            await self._playing
        return self.view

    async def _act(self, view: View) -> str | Reply:
        if view.seat == self._seat and view.role != "reader":
            self._views.put_nowait(view)
            return await self._replies.get()
        return await _ask(self._others[view.role], view)


async def _ask(agent: Any, view: View) -> str | Reply:
    """Ask an agent of any kind about one view; a blocking one in a thread."""
    batched = hasattr(agent, "act_batch")
    act, given = (agent.act_batch, [view]) if batched else (agent.act, view)
    said = await act(given) if is_async_agent(agent) else await asyncio.to_thread(act, given)
    return as_replies(said, 1, act)[0] if batched else reply_of(said, act)


def _check_players(game: Game, seat: str, players: Mapping[str, AnyPlayer | None]) -> None:
    """Refuse a game in which nobody would play one of the seats."""
    if seat not in game.seats:
        raise ValueError(f"expected a seat of the game, {', '.join(game.seats)}, got {seat!r}")
    needed: list[Role] = []
    if game.phase == "propose" and seat != PROPOSER_SEAT:
        needed.append("proposer")
    if game.phase in ("propose", "verify") and game.config.probes:
        needed.append("reader")
    if any(other not in (seat, PROPOSER_SEAT) for other in game.seats):
        needed.append("solver")
    if missing := [role for role in needed if players[role] is None]:
        raise ValueError(
            f"nobody plays the {' and the '.join(missing)} of game {game.id!r} beside {seat}: "
            f"pass {', '.join(f'{role}=' for role in missing)}"
        )
