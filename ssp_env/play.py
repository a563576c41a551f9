"""Drive many games at once: fetch what they ask for, in batches, until all are over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

import numpy as np

from ssp_env.game import Failure, Game, Judge, Noise, Outcome, Read, Reply, Search, Task, Turn, View
from ssp_env.game.requests import Request, Result
from ssp_env.passage import Passage
from ssp_env.search.engine import PassageSampler, SearchEngine


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


AnyAgent: TypeAlias = Agent | BatchAgent
JudgeFunction: TypeAlias = Callable[[Judge], bool | None]
Pending: TypeAlias = list[tuple[Game, Request]]
Value = TypeVar("Value")


def play(
    games: Sequence[Game],
    *,
    proposer: AnyAgent,
    solver: AnyAgent,
    search: SearchEngine | Mapping[str, SearchEngine],
    reader: AnyAgent | None = None,
    judge: JudgeFunction | None = None,
    seed: int = 0,
    on_outcome: Callable[[Game], None] | None = None,
) -> list[Outcome]:
    """Play games to their end in lockstep rounds.

    Every round serves all open requests of one kind together: one search per corpus, one batch per agent.
    Noise is drawn once no game is proposing any more, from the evidence of the other games over the same
    corpus, topped up from the corpus itself (paper section 3.3).

    Whatever an engine, an injected reader or a judge raises ends the games it was asked for as `error`;
    what a player raises is the caller's to handle.

    Args:
        games: Games with distinct ids; those already over are left alone.
        proposer: Plays `proposer_0`.
        solver: Plays every `solver_k`.
        search: One engine for all games, or engines by `Task.corpus`.
        reader: Answers the RAG check; the solver does if None (paper algorithm 1).
        judge: Decides answers that fail exact match; None is unknown.
        seed: Seed of the noise draw.
        on_outcome: Called with each game as it ends.

    Returns:
        The outcomes, in the order of `games`.

    Raises:
        ValueError: If two games share an id, or a game's corpus has no engine.
    """
    if len({game.id for game in games}) < len(games):
        raise ValueError("games played together need distinct ids (pass game_id=)")
    engines = {game.id: engine_of(game.task, search) for game in games}
    agents = {"propose": proposer, "verify": reader or solver, "solve": solver}
    injected_reader = None if reader is solver else reader
    running = [game for game in games if game.outcome is None]
    while running:
        pending: Pending = [(game, request) for game in running for request in game.requests()]
        turns = [(game, request) for game, request in pending if isinstance(request, Turn | Read)]
        searches = [(game, request) for game, request in pending if isinstance(request, Search)]
        if searches:
            _run_searches(searches, engines)
        elif turns and (proposing := [pair for pair in turns if pair[0].phase == "propose"]):
            _take_turns(proposing, agents, injected_reader)
        elif noise := [(game, request) for game, request in pending if isinstance(request, Noise)]:
            _draw_noise(noise, games, engines, seed)
        elif turns:
            _take_turns(turns, agents, injected_reader)
        else:
            _judge_answers([pair for pair in pending if isinstance(pair[1], Judge)], judge)
        for game in running:
            if game.outcome is not None and on_outcome is not None:
                on_outcome(game)
        running = [game for game in running if game.outcome is None]
    return [game.outcome for game in games if game.outcome is not None]


def act_all(agent: AnyAgent, views: Sequence[View]) -> list[Reply]:
    """Ask an agent for one reply per view, in a batch if it can."""
    if hasattr(agent, "act_batch"):
        replies = list(agent.act_batch(views))
    else:
        replies = [agent.act(view) for view in views]
    if len(replies) != len(views):
        raise ValueError(f"the agent was asked for {len(views)} replies and gave {len(replies)}")
    return [reply if isinstance(reply, Reply) else Reply(reply) for reply in replies]


def guarded(source: str, fetch: Callable[[], Value]) -> Value | Failure:
    """Call foreign code; whatever it raises makes its result unknown, with `source` named in the detail."""
    try:
        return fetch()
    except Exception as error:
        return Failure(f"{source}: {type(error).__name__}: {error}")


def run_searches(engine: SearchEngine, queries: Sequence[str], top_k: int) -> list[list[Passage] | Failure]:
    """Search in one batch; if the engine raises or returns something else, every result is a `Failure`."""

    def search() -> list[list[Passage] | Failure]:
        results = [_as_passages(found) for found in engine.search(queries, top_k)]
        if len(results) != len(queries):
            raise ValueError(f"{len(queries)} queries gave {len(results)} results")
        return [*results]

    results = guarded("search", search)
    return [results] * len(queries) if isinstance(results, Failure) else results


def sample_noise(
    engine: SearchEngine, rng: np.random.Generator, count: int, exclude: Collection[str]
) -> list[Passage] | Failure:
    """Draw random passages from the engine's corpus; none if it cannot sample."""
    if not isinstance(engine, PassageSampler):
        return []
    return guarded("noise", lambda: _as_passages(engine.sample(rng, count, exclude)))


def ask_judge(judge: JudgeFunction | None, request: Judge) -> bool | Failure:
    """Ask for a verdict; anything but a truth value is a `Failure`."""
    verdict = guarded("judge", lambda: judge(request) if judge else None)
    if isinstance(verdict, Failure):
        return verdict
    if isinstance(verdict, bool | np.bool_):
        return bool(verdict)
    return Failure(f"judge: expected True or False, got {verdict!r}")


def engine_of(task: Task, search: SearchEngine | Mapping[str, SearchEngine]) -> SearchEngine:
    """Return the engine a task is played over.

    Raises:
        ValueError: If there is none for its corpus.
    """
    if not isinstance(search, Mapping):
        return search
    if task.corpus not in search:
        known = ", ".join(sorted(search)[:5])
        raise ValueError(f"no search engine for corpus {task.corpus!r}; there are engines for: {known}")
    return search[task.corpus]


def _as_passages(found: Iterable[Passage]) -> list[Passage]:
    passages = list(found)
    for passage in passages:
        if not isinstance(passage, Passage):
            raise TypeError(f"expected passages, got {type(passage).__name__}")
    return passages


def _submit(game: Game, request: Request, result: Result) -> None:
    # A failure handed to the same game a moment ago has closed its other requests.
    if game.outcome is None:
        game.submit(request.id, result)


def _take_turns(
    turns: Sequence[tuple[Game, Turn | Read]],
    agents: Mapping[str, AnyAgent],
    injected_reader: AnyAgent | None,
) -> None:
    by_agent: dict[int, tuple[AnyAgent, list[tuple[Game, Turn | Read]]]] = {}
    for game, request in turns:
        agent = agents[request.view.phase]
        by_agent.setdefault(id(agent), (agent, []))[1].append((game, request))
    for agent, asked in by_agent.values():
        views = [request.view for _, request in asked]
        replies: Sequence[Result] | Failure
        if agent is injected_reader:
            replies = guarded("reader", partial(act_all, agent, views))
        else:
            replies = act_all(agent, views)
        if isinstance(replies, Failure):
            replies = [replies] * len(asked)
        for (game, request), reply in zip(asked, replies, strict=True):
            _submit(game, request, reply)


def _run_searches(searches: Sequence[tuple[Game, Search]], engines: Mapping[str, SearchEngine]) -> None:
    batches: dict[tuple[int, int], list[tuple[Game, Search]]] = {}
    for game, request in searches:
        batches.setdefault((id(engines[game.id]), request.top_k), []).append((game, request))
    for (_, top_k), asked in batches.items():
        results = run_searches(engines[asked[0][0].id], [request.query for _, request in asked], top_k)
        for (game, request), result in zip(asked, results, strict=True):
            _submit(game, request, result)


def _draw_noise(
    requests: Sequence[tuple[Game, Noise]],
    games: Sequence[Game],
    engines: Mapping[str, SearchEngine],
    seed: int,
) -> None:
    evidence: dict[str, dict[str, list[Passage]]] = {}
    for game in sorted(games, key=lambda game: game.id):
        if game.evidence:
            evidence.setdefault(game.task.corpus, {})[game.id] = game.evidence
    for game, request in requests:
        # By the game's id, so that a game draws the same in any company.
        rng = np.random.default_rng([seed, *game.id.encode()])
        found = evidence.get(game.task.corpus, {})
        units = _foreign_units(request, [found[key] for key in found if key != game.id])
        drawn = [units[i] for i in rng.permutation(len(units))[: request.count]]
        noise = list({passage.id: passage for unit in drawn for passage in unit}.values())
        result: Result = noise
        missing = request.passages if not drawn else request.count - len(drawn)
        if missing > 0 and (request.unit == "passage" or not drawn):
            known = request.exclude | {passage.id for passage in noise}
            more = sample_noise(engines[game.id], rng, missing, known)
            result = more if isinstance(more, Failure) else noise + more
        _submit(game, request, result)


def _foreign_units(request: Noise, evidence: Sequence[Sequence[Passage]]) -> list[list[Passage]]:
    """What noise is drawn from: the passages other games found, one by one or a game's all together."""
    foreign = [[passage for passage in found if passage.id not in request.exclude] for found in evidence]
    if request.unit == "evidence":
        return [found for found in foreign if found]
    passages = {passage.id: passage for found in foreign for passage in found}
    return [[passages[key]] for key in sorted(passages)]


def _judge_answers(asked: Pending, judge: JudgeFunction | None) -> None:
    for game, request in asked:
        assert isinstance(request, Judge)
        _submit(game, request, ask_judge(judge, request))
