"""Checks of an agent or a reader in every phase, with one view or many, in one game or several at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from ssp_env.game import Game, GameConfig, Noise, Open, Read, Reply, Role, Search, Task, Turn, View
from ssp_env.game.config import TERSE_RULES
from ssp_env.game.events import AnswerScored, NoticeGiven, ReadingGiven, SeatForfeited
from ssp_env.game.passage import Passage
from ssp_env.game.view import ROLES
from ssp_env.play import AnyPlayer, as_agent
from ssp_env.scenario import open_scenario
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.engine import PassageStore, SearchEngine
from ssp_env.testing.conformance import Check
from ssp_env.testing.engines import PASSAGES


@dataclass(frozen=True, slots=True)
class Case:
    """A task with a known question, and queries that find its evidence."""

    task: Task
    queries: tuple[str, ...]


_PROSE_CASES = (
    Case(
        Task(
            "Tavor",
            hops=3,
            question="Which astronomer taught the mayor of the harbour town in which the glass blower Belin "
            "lives?",
            id="case-0",
        ),
        ("astronomer Tavor", "mayor of Corun"),
    ),
    Case(
        Task(
            "Aller",
            hops=2,
            question="On which river lies the harbour town in which the glass blower called Belin lives?",
            id="case-1",
        ),
        ("river Aller", "glass blower Belin"),
    ),
)


def check_agent(
    agent: AnyPlayer,
    *,
    roles: Collection[Role] = ROLES,
    config: GameConfig = TERSE_RULES,
    deterministic: bool = True,
    keeps_budgets: bool = True,
) -> None:
    """Check an agent: it has `act(view)` or `act_batch(views)`, async or not, and returns text or `Reply`.

    Args:
        agent: The agent, or anything else that `ssp_env.play.as_agent` takes, a function for instance.
        roles: The roles that the agent plays.
        config: Rules, prompts and tags of the test games; those of the terse game by default.
        deterministic: Require the same replies to the same conversations, whatever other games are played at
            the same time; turn this off for an agent that samples.
        keeps_budgets: Require that the agent ends every conversation in time, with a question or an answer,
            and does not search when it has no search left.

    Raises:
        ConformanceError: At the first check that fails.
        ValueError: If a reader is to be checked and the rules never ask one.
    """
    made = Check("methods").attempt(
        lambda: as_agent(agent, "the agent"),
        expected="act(view) or act_batch(views), a function, or invoke(messages)",
        why="the drivers call one of them",
    )
    if hasattr(made, "act_batch"):
        Check("empty batch").require(
            list(_call(made, "act_batch", [])) == [],
            expected="no replies to no views",
            came="something else",
            why="a round may have no turn for an agent",
        )
    for role in roles:
        alone = [_play(made, role, [case], config)[0] for case in _cases(config)]
        together = _play(made, role, _cases(config), config)
        backwards = _play(made, role, _cases(config)[::-1], config)[::-1]
        if deterministic:
            _check_same(role, alone, together, "with its turns interleaved with those of another game")
            _check_same(role, alone, backwards, "with the other game asked first")
        # A player may do anything when its searches find nothing, but it must not raise.
        _play(made, role, _cases(config), config, finds=False)
        if keeps_budgets:
            for game in (*alone, *together):
                _check_budgets(role, game)


def check_reader(
    reader: AnyPlayer,
    *,
    config: GameConfig = TERSE_RULES,
    deterministic: bool = True,
    recovers: bool = True,
) -> None:
    """Check a reader: an agent that answers the RAG check from the passages in its prompt, without searching.

    Args:
        reader: The reader, or anything else that `ssp_env.play.as_agent` takes.
        config: As in `check_agent`.
        deterministic: As in `check_agent`.
        recovers: Require the right answer to at least one of two questions whose passages state it.

    Raises:
        ConformanceError: At the first check that fails.
        ValueError: If the rules never ask a reader.
    """
    only: tuple[Role, ...] = ("reader",)
    check_agent(reader, roles=only, config=config, deterministic=deterministic, keeps_budgets=False)
    games = _play(as_agent(reader), "reader", _cases(config), config)
    for game in games:
        for reading in [event for event in game.events if isinstance(event, ReadingGiven)]:
            Check("reading").require(
                reading.action.kind == "answer",
                expected=f"an answer such as {game.protocol.wrap(game.protocol.answer, 'tavor')}",
                came=reading.reply.text,
                why="a question whose reading has no answer is invalid, however good it is",
            )
    if recovers:
        scored = [event for game in games for event in game.events if isinstance(event, AnswerScored)]
        Check("recovery").require(
            any(event.correct for event in scored),
            expected=f"one of {[game.task.answer for game in games]} from passages that state them",
            came=[event.answer for event in scored],
            why="a reader that recovers nothing makes every question invalid",
        )


def _cases(config: GameConfig) -> tuple[Case, ...]:
    return _setting(config.prompts == "terse")[0]


@lru_cache(maxsize=2)
def _setting(terse: bool) -> tuple[tuple[Case, ...], SearchEngine]:
    """Return two tasks and their engine: those of a tiny world, or of a few passages of prose."""
    if not terse:
        return _PROSE_CASES, BM25Engine(PASSAGES)
    scenario = open_scenario("tiny")
    assert scenario.world is not None
    cases = tuple(
        Case(replace(gold.task, id=f"case-{number}"), gold.entities[:2])
        for number, gold in enumerate(scenario.world.questions(2, 2, np.random.default_rng(0)))
    )
    return cases, scenario.engine


def _play(
    agent: Any, role: Role, cases: Sequence[Case], config: GameConfig, *, finds: bool = True
) -> list[Game]:
    """Let the agent play one role in all cases side by side, one turn of each case at a time."""
    _, engine = _setting(config.prompts == "terse")
    games = [_open(role, case, config, engine) for case in cases]
    while waiting := [(game, request) for game in games for request in _turns(game, role)]:
        replies = _replies(agent, [request.view for _, request in waiting])
        for (game, request), reply in zip(waiting, replies, strict=True):
            game.submit(request.id, reply)
            _serve(game, engine if finds else None)
    return games


def _open(role: Role, case: Case, config: GameConfig, engine: SearchEngine) -> Game:
    if role == "solver":
        return Game(case.task, config)
    game = Game(replace(case.task, question=""), config)
    if role == "reader":
        tags = game.protocol
        lines = [tags.wrap(tags.search, query) for query in case.queries]
        for line in (*lines, tags.wrap(tags.question, case.task.question)):
            (turn,) = game.requests()
            game.submit(turn.id, line)
            _serve(game, engine)
        if not _turns(game, role):
            raise ValueError(f"the rules in config never ask a reader; the game ended with {game.outcome}")
    return game


def _turns(game: Game, role: Role) -> list[Turn | Read]:
    asked = [request for request in game.requests() if isinstance(request, Turn | Read)]
    return [request for request in asked if request.view.role == role]


def _serve(game: Game, engine: SearchEngine | None) -> None:
    """Answer every search, page to open and request for noise; without an engine, with no passages."""
    while found := [request for request in game.requests() if isinstance(request, Search | Open | Noise)]:
        request = found[0]
        hits: list[Passage] = []
        if engine is not None and isinstance(request, Search):
            (hits,) = engine.search([request.query], request.top_k)
        store: object = engine
        if isinstance(request, Open) and isinstance(store, PassageStore):
            hits = [passage for passage in store.get_passages([request.passage_id]) if passage]
        game.submit(request.id, hits)


def _replies(agent: Any, views: Sequence[View]) -> list[str | Reply]:
    if hasattr(agent, "act_batch"):
        replies = list(_call(agent, "act_batch", views))
    else:
        replies = [_call(agent, "act", view) for view in views]
    Check("replies").require(
        len(replies) == len(views),
        expected=f"{len(views)} replies to {len(views)} views, in their order",
        came=f"{len(replies)}",
        why="replies are matched with games by position",
    )
    for view, reply in zip(views, replies):
        Check("replies").require(
            isinstance(reply, str | Reply),
            expected=f"text or a Reply in phase {view.phase}",
            came=reply,
            why="the game accepts nothing else",
        )
    return replies


def _call(agent: Any, method: str, argument: View | Sequence[View]) -> Any:
    views = [argument] if isinstance(argument, View) else argument
    return Check(f"{method} in phase {', '.join(dict.fromkeys(view.phase for view in views))}").attempt(
        lambda: getattr(agent, method)(argument),
        expected="a reply to any view of the game",
        why="an exception raised by a player ends its game as `error`",
    )


def _check_same(role: Role, alone: Sequence[Game], others: Sequence[Game], words: str) -> None:
    for game, other in zip(alone, others, strict=True):
        expected, came = (_said(one) for one in (game, other))
        Check(f"interleaved games, {role}").require(
            came == expected,
            expected=f"the replies that the agent gave when it played this game alone: {expected}",
            came=f"{came} {words}",
            why="thousands of games run at once; state must be kept per View.conversation_id or not at all",
        )


def _said(game: Game) -> list[str]:
    inputs = game.snapshot()["inputs"]
    return [result["reply"]["text"] for _, result in inputs if "reply" in result]


def _check_budgets(role: Role, game: Game) -> None:
    forfeits = [event.code for event in game.events if isinstance(event, SeatForfeited)]
    Check(f"budgets, {role}").require(
        not forfeits,
        expected="a question or an answer before turns and retries run out (View.turns_left)",
        came=f"a forfeit ({forfeits}) after the replies {_said(game)}",
        why="a forfeit earns nothing",
    )
    notices = [event.notice for event in game.events if isinstance(event, NoticeGiven)]
    Check(f"budgets, {role}").require(
        "search_limit" not in notices,
        expected="no search when View.searches_left is 0",
        came=f"another search, in the replies {_said(game)}",
        why="the search is not executed and costs a turn",
    )
