"""The services that answer a game's requests: how each is called, and what its result or exception means."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, cast, get_args

from ssp_env.game import Game, Judge, Noise, Open, Read, Search, Task, Turn
from ssp_env.game.passage import Passage
from ssp_env.game.requests import Result, source_of
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.objects import is_async
from ssp_env.play.players import (
    AnyAgent,
    AnyAsyncAgent,
    AnyJudge,
    AnyPlayer,
    Runnable,
    act_of,
    as_agent,
    as_judge,
    as_replies,
    is_async_agent,
    reply_of,
)
from ssp_env.play.results import (
    as_opened,
    as_passages,
    as_search_results,
    as_verdict,
    as_verdicts,
    failure,
    warn_of_missing_noise,
)
from ssp_env.play.schedule import Ask
from ssp_env.search.adapters import as_engine, as_store, name_of_engine
from ssp_env.search.engine import PassageSampler, SearchEngine

Engine = TypeVar("Engine")
PlayerErrorRule = Literal["end_game", "raise"]


class AsyncSearchEngine(Protocol):
    """A `SearchEngine` whose `search` is a coroutine function."""

    async def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return at most `top_k` passages per query, best first, ties broken by passage id."""

    def fingerprint(self) -> str:
        """Return a hash of corpus and index settings; engines of equal fingerprints rank equally."""


class Retriever(Protocol):
    """An object with the interface of LlamaIndex's retrievers."""

    def retrieve(self, query: Any, /) -> Any:
        """Return the results for one query."""


AnyEngine: TypeAlias = SearchEngine | AsyncSearchEngine | Runnable | Retriever | Callable[..., Any]
"""Every kind of engine that `ssp_env.search.adapters.as_engine` takes."""
AnySearch: TypeAlias = AnyEngine | Mapping[str, AnyEngine]
"""One engine, or a mapping from `Task.corpus` to engines."""


def as_engines(search: Any) -> Any:
    """Adapt one engine, or every engine of a mapping by corpus, with `as_engine`.

    A mapping is returned unchanged if none of its engines needs an adapter. An object that is the engine of
    several corpora is adapted once.

    Raises:
        TypeError: If one of the objects cannot be searched.

    >>> engines = as_engines({"whales": lambda query: ["Whales are large."]})
    >>> [passage.text for passage in engines["whales"].search(["size"], top_k=1)[0]]
    ['Whales are large.']
    """
    if not isinstance(search, Mapping):
        return _engine("search", search)
    made = {id(engine): _engine(f"search for corpus {corpus!r}", engine) for corpus, engine in search.items()}
    if all(made[id(engine)] is engine for engine in search.values()):
        return search
    return {corpus: made[id(engine)] for corpus, engine in search.items()}


def _engine(name: str, source: Any) -> SearchEngine:
    try:
        return as_engine(source)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def engine_of(task: Task, search: Engine | Mapping[str, Engine]) -> Engine:
    """Return the engine a task is played over.

    Raises:
        ValueError: If there is no engine for the task's corpus.
    """
    if not isinstance(search, Mapping):
        return search
    if task.corpus not in search:
        known = ", ".join(sorted(search)[:5])
        raise ValueError(f"no search engine for corpus {task.corpus!r}; there are engines for: {known}")
    engine: Engine = search[task.corpus]
    return engine


def is_async_search(search: Any) -> bool:
    """Whether the method `search` of an engine, or of one of a mapping by corpus, is a coroutine function."""
    engines = search.values() if isinstance(search, Mapping) else [search]
    return any(is_async(engine.search) for engine in engines)


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """One call of a service on behalf of one or more requests.

    Attributes:
        asks: The requests, in the order of their games.
        fetch: The function to call; None if no call is needed.
        accept: Turns the returned value into one result per request; raises if the value is malformed.
        propagate: Whether an exception is passed on to the caller.
    """

    asks: Sequence[Ask]
    fetch: Callable[[], Any] | None
    accept: Callable[[Any], Sequence[Result]]
    propagate: bool = False

    def fail(self, error: Exception) -> Sequence[Result]:
        """Return a `Failure` per request for a call that raised `error`, or raise it again if `propagate`."""
        if self.propagate:
            raise error
        return [failure(source_of(ask.request), error) for ask in self.asks]


@dataclass(frozen=True, kw_only=True)
class Services:
    """The objects that answer the requests of games: players, search engines and a judge.

    The attributes are the arguments of the same names of `ssp_env.play.play`, players as the agents and
    searches as the engines that `as_agent` and `as_engine` make of them.

    Raises:
        ValueError: If `seed` or `on_player_error` is out of range.
        TypeError: If a player, an engine or the judge has no method that answers requests.
    """

    proposer: AnyPlayer | None
    solver: AnyPlayer
    search: AnySearch
    reader: AnyPlayer | None = None
    judge: AnyJudge | None = None
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
        # An object that plays several roles becomes one agent, so that it may play them in one batch.
        agents: dict[int, AnyAgent | AnyAsyncAgent] = {}
        for name in ("proposer", "solver", "reader"):
            player = getattr(self, name)
            if player is not None or name == "solver":
                agent = agents.setdefault(id(player), as_agent(player, name))
                object.__setattr__(self, name, agent)
        object.__setattr__(self, "search", as_engines(self.search))
        if self.judge is not None:
            as_judge(self.judge)

    def check(self, game: Game) -> None:
        """Check that every service that a game needs is there.

        Raises:
            ValueError: If there is no engine for the game's corpus, it cannot open the pages that the rules
                let players open, or there is no proposer or no judge.
        """
        engine = engine_of(game.task, self.search)
        if game.protocol.open:
            as_store(engine, f"the protocol {game.config.protocol}")
        if game.outcome is not None:
            return
        if self.proposer is None and game.phase == "propose":
            raise ValueError(f"game {game.id} has no question yet: pass proposer=, got None")
        if self.judge is None and game.config.judge:
            raise ValueError(
                f"the rules of game {game.id} put answers that fail exact match to a judge: pass judge=, "
                "or play with GameConfig(judge=False); got None"
            )

    def asynchronous(self) -> list[str]:
        """Return the names of the services that only `play_async` can call."""
        players: tuple[Any, ...] = (self.proposer, self.solver, self.reader)
        names = [
            name
            for name, player in zip(("proposer", "solver", "reader"), players, strict=True)
            if is_async_agent(player)
        ]
        if is_async_search(self.search):
            names.append("search")
        judge = getattr(self.judge, "judge_batch", self.judge)
        return [*names, "judge"] if is_async(judge) else names

    def lane(self, ask: Ask) -> Hashable:
        """Return the key of the object that may serve only one call at a time; None if this request has none.

        Engines, batch agents and judges with `judge_batch` are called once at a time, so that requests that
        arrive during a call form the next batch.
        """
        if isinstance(ask.request, Search | Open | Noise):
            return id(self._engine(ask))
        if isinstance(ask.request, Turn | Read):
            agent = self._agent(ask)
            return id(agent) if hasattr(agent, "act_batch") else None
        return id(self.judge) if hasattr(self.judge, "judge_batch") else None

    def batch(self, ask: Ask) -> Hashable:
        """Return a key; requests with equal keys may share a call."""
        lane = self.lane(ask)
        if lane is None or isinstance(ask.request, Noise):
            return ask
        if isinstance(ask.request, Judge):
            return (lane, "judge")
        if isinstance(ask.request, Open):
            return (lane, "open")
        return (lane, ask.request.top_k if isinstance(ask.request, Search) else "act")

    def call(self, asks: Sequence[Ask], *, prefer_async: bool = False) -> Call:
        """Return the call that serves requests of equal `batch` keys.

        Args:
            asks: The requests.
            prefer_async: Whether to call an engine's coroutine function `asearch` if it has one.
        """
        if len(asks) > 1:
            asks = sorted(asks, key=lambda ask: (ask.index, ask.position))
        request = asks[0].request
        if isinstance(request, Search):
            return self._search_call(asks, request.top_k, prefer_async)
        if isinstance(request, Open):
            return self._open_call(asks)
        if isinstance(request, Noise):
            return self._noise_call(asks[0], request)
        if isinstance(request, Judge):
            return self._judge_call(asks)
        return self._act_call(asks)

    def _judge_call(self, asks: Sequence[Ask]) -> Call:
        requests = [ask.request for ask in asks if isinstance(ask.request, Judge)]
        batch = getattr(self.judge, "judge_batch", None)
        if batch is not None:
            sources = [source_of(request) for request in requests]
            return Call(asks, partial(batch, requests), lambda verdicts: as_verdicts(verdicts, sources))
        fetch = partial(self.judge, requests[0]) if self.judge else None
        return Call(asks, fetch, lambda verdict: [as_verdict(verdict, source_of(requests[0]))])

    def _act_call(self, asks: Sequence[Ask]) -> Call:
        agent = self._agent(asks[0])
        act = act_of(agent)
        views = [ask.request.view for ask in asks if isinstance(ask.request, Turn | Read)]
        injected = self.reader is not None and self.reader is not self.solver
        playing = not injected or any(isinstance(ask.request, Turn) for ask in asks)
        propagate = playing and self.on_player_error == "raise"
        if hasattr(agent, "act_batch"):
            return Call(
                asks, partial(act, views), lambda replies: as_replies(replies, len(views), act), propagate
            )
        return Call(asks, partial(act, views[0]), lambda reply: [reply_of(reply, act)], propagate)

    def _search_call(self, asks: Sequence[Ask], top_k: int, prefer_async: bool) -> Call:
        engine = self._engine(asks[0])
        queries = [ask.request.query for ask in asks if isinstance(ask.request, Search)]
        sources = [source_of(ask.request) for ask in asks]
        search = getattr(engine, "asearch", engine.search) if prefer_async else engine.search
        return Call(
            asks, partial(search, queries, top_k), lambda results: as_search_results(results, sources)
        )

    def _open_call(self, asks: Sequence[Ask]) -> Call:
        engine: Any = self._engine(asks[0])
        requests = [ask.request for ask in asks if isinstance(ask.request, Open)]
        ids = [request.passage_id for request in requests]
        return Call(asks, partial(engine.get_passages, ids), lambda found: as_opened(found, requests))

    def _noise_call(self, ask: Ask, request: Noise) -> Call:
        engine = self._engine(ask)
        draw = ask.pool.draw(ask.game, request, self.seed)
        if draw.missing > 0 and isinstance(engine, PassageSampler):
            fetch = partial(engine.sample, draw.rng, draw.missing, draw.known)
            return Call([ask], fetch, lambda sampled: [draw.passages + as_passages(sampled)])
        if draw.missing > 0:
            warn_of_missing_noise(name_of_engine(engine))
        return Call([ask], None, lambda _: [draw.passages])

    def _engine(self, ask: Ask) -> SearchEngine | AsyncSearchEngine:
        return cast("SearchEngine | AsyncSearchEngine", engine_of(ask.game.task, self.search))

    def _agent(self, ask: Ask) -> Any:
        if isinstance(ask.request, Read):
            return self.solver if self.reader is None else self.reader
        assert isinstance(ask.request, Turn)
        return self.proposer if ask.request.view.seat == PROPOSER_SEAT else self.solver
