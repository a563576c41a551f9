"""Who answers a game's requests: which object is called with what, and what its result or exception means."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, cast, get_args

from ssp_env.game import Game, Judge, Noise, Read, Search, Turn
from ssp_env.game.requests import Result
from ssp_env.game.view import as_reply
from ssp_env.objects import is_async
from ssp_env.play.adapters import AnyPlayer, as_agent
from ssp_env.play.agents import (
    AnyAgent,
    AnyAsyncAgent,
    AsyncJudgeFunction,
    AsyncSearchEngine,
    JudgeFunction,
    as_replies,
    is_async_agent,
)
from ssp_env.play.results import as_passages, as_search_results, as_verdict, as_verdicts, engine_of, failure
from ssp_env.play.schedule import Ask
from ssp_env.search.engine import PassageSampler, SearchEngine

AnyEngine: TypeAlias = SearchEngine | AsyncSearchEngine
Agents: TypeAlias = AnyAgent | AnyAsyncAgent
PlayerErrorRule = Literal["end_game", "raise"]


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """One call of foreign code on behalf of one or more requests.

    Attributes:
        asks: The requests, in the order of their games.
        fetch: What to call; None if nothing has to be fetched.
        accept: Turns what came back into one result per request; raises if it is malformed.
        propagate: Whether an exception is the caller's to handle.
    """

    asks: Sequence[Ask]
    fetch: Callable[[], Any] | None
    accept: Callable[[Any], Sequence[Result]]
    propagate: bool = False

    def fail(self, error: Exception) -> Sequence[Result]:
        """What the requests get if the call raised `error`, which is raised again if it propagates."""
        if self.propagate:
            raise error
        return [failure(_source(ask), error) for ask in self.asks]


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that many games need from outside.

    Attributes:
        proposer: Plays `proposer_0`; an agent, or what `as_agent` makes one of, as all players.
        solver: Plays every `solver_k`.
        search: One engine for all games, or engines by `Task.corpus`.
        reader: Answers every reading of the RAG check; the solver does if None (paper algorithm 1).
        judge: Decides answers that fail exact match; None is unknown. One with a method `judge_batch` is
            asked for many verdicts at once.
        seed: Seed of the noise draw, 0 or more.
        on_player_error: What an exception of a proposer or solver, or a malformed reply of one, leads to:
            `end_game` ends the games it was asked for as `error`, as it always is with engines, judges and a
            reader of its own; `raise` leaves it to the caller.

    Raises:
        ValueError: If `seed` or `on_player_error` is out of range.
        TypeError: If a player is neither an agent nor what `as_agent` makes one of.
    """

    proposer: AnyPlayer
    solver: AnyPlayer
    search: AnyEngine | Mapping[str, AnyEngine]
    reader: AnyPlayer | None = None
    judge: JudgeFunction | AsyncJudgeFunction | None = None
    seed: int = 0
    on_player_error: PlayerErrorRule = "end_game"

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        known = get_args(PlayerErrorRule)
        if self.on_player_error not in known:
            raise ValueError(
                f"on_player_error must be one of {', '.join(known)}, got {self.on_player_error!r}"
            )
        # One object stays one agent, however many roles it plays: it may play them in one batch.
        agents: dict[int, Agents] = {}
        for name in ("proposer", "solver", "reader"):
            if (player := getattr(self, name)) is not None:
                agent = agents.setdefault(id(player), as_agent(player, name))
                object.__setattr__(self, name, agent)

    def check(self, game: Game) -> None:
        """Raise ValueError if there is no engine for the game's corpus."""
        engine_of(game.task, self.search)

    def asynchronous(self) -> list[str]:
        """Names of the services that only `play_async` can call."""
        players = {"proposer": self.proposer, "solver": self.solver, "reader": self.reader}
        names = [
            name
            for name, player in players.items()
            if player is not None and is_async_agent(cast("Agents", player))
        ]
        engines = self.search.values() if isinstance(self.search, Mapping) else [self.search]
        if any(is_async(engine.search) for engine in engines):
            names.append("search")
        judge = getattr(self.judge, "judge_batch", self.judge)
        return [*names, "judge"] if is_async(judge) else names

    def lane(self, ask: Ask) -> Hashable:
        """What must not be called twice at the same time for this request; None if nothing.

        Engines, batch agents and judges with `judge_batch` get one call at a time, so that meanwhile their
        next batch fills.
        """
        if isinstance(ask.request, Search | Noise):
            return id(self._engine(ask))
        if isinstance(ask.request, Turn | Read):
            agent = self._agent(ask)
            return id(agent) if _act_of(agent)[1] else None
        return id(self.judge) if hasattr(self.judge, "judge_batch") else None

    def batch(self, ask: Ask) -> Hashable:
        """Requests of equal keys may share a call."""
        lane = self.lane(ask)
        if lane is None or isinstance(ask.request, Noise):
            return ask
        if isinstance(ask.request, Judge):
            return (lane, "judge")
        return (lane, ask.request.top_k if isinstance(ask.request, Search) else "act")

    def call(self, asks: Sequence[Ask], *, prefer_async: bool = False) -> Call:
        """The call that serves requests of equal `batch` keys.

        Args:
            asks: The requests.
            prefer_async: Call an engine's coroutine function `asearch` if it has one.
        """
        if len(asks) > 1:
            asks = sorted(asks, key=lambda ask: (ask.index, ask.position))
        request = asks[0].request
        if isinstance(request, Search):
            return self._search_call(asks, request.top_k, prefer_async)
        if isinstance(request, Noise):
            return self._noise_call(asks[0], request)
        if isinstance(request, Judge):
            return self._judge_call(asks)
        return self._act_call(asks)

    def _judge_call(self, asks: Sequence[Ask]) -> Call:
        requests = [ask.request for ask in asks if isinstance(ask.request, Judge)]
        batch = getattr(self.judge, "judge_batch", None)
        if batch is not None:
            return Call(asks, partial(batch, requests), lambda verdicts: as_verdicts(verdicts, len(requests)))
        fetch = partial(self.judge, requests[0]) if self.judge else None
        return Call(asks, fetch, lambda verdict: [as_verdict(verdict)])

    def _act_call(self, asks: Sequence[Ask]) -> Call:
        agent = self._agent(asks[0])
        act, batched = _act_of(agent)
        views = [ask.request.view for ask in asks if isinstance(ask.request, Turn | Read)]
        injected = self.reader is not None and self.reader is not self.solver
        playing = not injected or any(isinstance(ask.request, Turn) for ask in asks)
        propagate = playing and self.on_player_error == "raise"
        if batched:
            return Call(asks, partial(act, views), lambda replies: as_replies(replies, len(views)), propagate)
        return Call(asks, partial(act, views[0]), lambda reply: [as_reply(reply)], propagate)

    def _search_call(self, asks: Sequence[Ask], top_k: int, prefer_async: bool) -> Call:
        engine = self._engine(asks[0])
        queries = [ask.request.query for ask in asks if isinstance(ask.request, Search)]
        search = getattr(engine, "asearch", engine.search) if prefer_async else engine.search
        return Call(
            asks, partial(search, queries, top_k), lambda results: as_search_results(results, len(queries))
        )

    def _noise_call(self, ask: Ask, request: Noise) -> Call:
        engine = self._engine(ask)
        draw = ask.pool.draw(ask.game, request, self.seed)
        if draw.missing <= 0 or not isinstance(engine, PassageSampler):
            return Call([ask], None, lambda _: [draw.passages])
        fetch = partial(engine.sample, draw.rng, draw.missing, draw.known)
        return Call([ask], fetch, lambda sampled: [draw.passages + as_passages(sampled)])

    def _engine(self, ask: Ask) -> AnyEngine:
        return cast("AnyEngine", engine_of(ask.game.task, self.search))

    def _agent(self, ask: Ask) -> Agents:
        if isinstance(ask.request, Read):
            player = self.solver if self.reader is None else self.reader
        else:
            player = self.proposer if _source(ask) == "proposer" else self.solver
        return cast("Agents", player)


def _act_of(agent: Agents) -> tuple[Callable[..., Any], bool]:
    """The method that plays, and whether it takes a batch."""
    batched = hasattr(agent, "act_batch")
    return getattr(agent, "act_batch" if batched else "act"), batched


def _source(ask: Ask) -> str:
    """Who answers a request, as failures name it."""
    request = ask.request
    if isinstance(request, Turn):
        return "proposer" if request.view.phase == "propose" else "solver"
    names: dict[type, str] = {Search: "search", Noise: "noise", Read: "reader", Judge: "judge"}
    return names[type(request)]
