"""Playing a recorded game again from its record: to check it, or to score it by other rules or rewards.

The rules are not repeated here: the game runs again, and each of its requests is answered with the recorded
result of the same request. A request that differs from the recorded ones has no answer, and the outcome is
then unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import ssp_env
from ssp_env.game import Failure, Game, GameConfig, Judge, Request, Turn
from ssp_env.game.events import Event
from ssp_env.game.requests import Result
from ssp_env.game.snapshot import decode
from ssp_env.play import JudgeFunction, ask_judge
from ssp_env.records.episode import Episode, json_line, plain_events, to_plain

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Step:
    """A request, its result, and the events that the result caused."""

    request: Request
    result: Result
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Retold:
    """A recorded game played again.

    Attributes:
        game: The game; not over if `unknown` says why.
        steps: The requests with the results that were submitted, in order.
        unknown: What is missing in the record; empty if the game came to its end.
        verdicts: Request ids and verdicts of the judge that was passed to the replay, without recorded ones.
    """

    game: Game
    steps: tuple[Step, ...]
    unknown: str = ""
    verdicts: tuple[tuple[str, bool], ...] = ()


def replay(episode: Episode) -> Retold:
    """Play a game again exactly as it was played.

    Raises:
        ValueError: If the snapshot is of another version, or its results do not fit this version's game.
    """
    game = episode.opening()
    steps = []
    for request_id, result in _inputs(episode):
        request = next((request for request in game.requests() if request.id == request_id), None)
        if request is None:
            open_now = ", ".join(request.id for request in game.requests()) or "none"
            raise ValueError(
                f"game {episode.game_id!r} does not replay: a result for {request_id!r} was recorded, "
                f"open are: {open_now}"
            )
        try:
            steps.append(_step(game, request, result))
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"game {episode.game_id!r} does not replay: {error}") from error
    return Retold(game, tuple(steps))


def replay_under(episode: Episode, config: GameConfig, judge: JudgeFunction | None = None) -> Retold:
    """Play a recorded game again under other rules, as far as the record goes; see `rescore`.

    Raises:
        ValueError: As `rescore`.
    """
    replayed = replay(episode)
    played = replayed.game.config
    # Prompts tell the rules: where style and tags are the same, other rules alone make no other request.
    same_words = (played.prompts, played.protocol) == (config.prompts, config.protocol)
    given = {step.request.id: step for step in replayed.steps}
    position = {request_id: number for number, request_id in enumerate(given)}
    game = _opening_under(episode, config)
    steps: list[Step] = []
    verdicts: list[tuple[str, bool]] = []
    while game.outcome is None:
        # In the order of the record, so that attempts interleave as they did.
        waiting = sorted(game.requests(), key=lambda request: position.get(request.id, len(position)))
        missing = ""
        for request in waiting:
            result = _answer(request, given, judge, same_words, {step.request.id: step for step in steps})
            if not isinstance(result, _Unknown):
                break
            missing = missing or result.why
        else:
            return Retold(game, tuple(steps), missing, tuple(verdicts))
        if judge is not None and isinstance(request, Judge) and isinstance(result, bool):
            verdicts.append((request.id, result))
        steps.append(_step(game, request, result))
    return Retold(game, tuple(steps), "", tuple(verdicts))


def retold(episode: Episode) -> Retold:
    """Play an episode again under the rules that gave its events: as it was played, or as it was rescored.

    Raises:
        ValueError: If the record does not replay.
    """
    if episode.scored_by is None:
        return replay(episode)
    verdicts = episode.scored_by["verdicts"]
    config = GameConfig.from_dict(episode.scored_by["config"])
    given = None if verdicts is None else dict(_verdict(pair) for pair in verdicts)
    return replay_under(episode, config, None if given is None else lambda request: given.get(request.id))


def _verdict(pair: Any) -> tuple[str, bool]:
    if len(pair) != 2 or not isinstance(pair[0], str) or not isinstance(pair[1], bool):
        raise ValueError(f"expected pairs of a request's id and a verdict under scored_by, got {pair!r:.100}")
    return pair[0], pair[1]


def first_difference(episode: Episode) -> str:
    """Replay an episode and describe the first difference from its record; empty if there is none.

    Events and outcome are compared as JSON text, to the byte.
    """
    try:
        game = retold(episode).game
    except ValueError as error:
        return str(error)
    return difference_from(episode, game)


def difference_from(episode: Episode, game: Game) -> str:
    """Describe the first difference between a replayed game and its record; empty if there is none."""
    pairs = zip_longest(episode.events, plain_events(game))
    for number, (recorded, replayed) in enumerate(pairs, start=1):
        if _text(recorded) != _text(replayed):
            return f"event {number}: recorded {_text(recorded)}, replayed {_text(replayed)}"
    outcome = to_plain(game.outcome)
    if _text(episode.outcome) != _text(outcome):
        return f"outcome: recorded {_text(episode.outcome)}, replayed {_text(outcome)}"
    return ""


@dataclass(frozen=True, slots=True)
class _Unknown:
    why: str


def _answer(
    request: Request,
    given: Mapping[str, Step],
    judge: JudgeFunction | None,
    same_words: bool,
    taken: Mapping[str, Step],
) -> Result | _Unknown:
    if judge is not None and isinstance(request, Judge):
        verdict = ask_judge(judge, request)
        return _Unknown(f"{request.id}: {verdict.detail}") if isinstance(verdict, Failure) else verdict
    if request.id not in given:
        return _Unknown(f"{request.id} was never asked")
    step = given[request.id]
    same = step.request == request or (same_words and _said(step.request, given) == _said(request, taken))
    return step.result if same else _Unknown(f"{request.id} was asked differently")


def _said(request: Request, steps: Mapping[str, Step]) -> Request:
    """Return a turn without the opening of its conversation, which tells the rules; else the request."""
    if not isinstance(request, Turn):
        return request
    first = steps[opening].request if (opening := f"{request.view.seat}/turn/0") in steps else request
    assert isinstance(first, Turn)
    messages = request.view.messages[len(first.view.messages) :]
    return replace(request, view=replace(request.view, messages=messages))


def _step(game: Game, request: Request, result: Result) -> Step:
    before = len(game.events)
    game.submit(request.id, result)
    return Step(request, result, tuple(game.events[before:]))


def _opening_under(episode: Episode, config: GameConfig) -> Game:
    # Rules that allow repetition refuse to be told of earlier questions.
    earlier = [] if config.max_similarity is None else episode.snapshot["earlier"]
    return Game.restore({**episode.snapshot, "config": config.to_dict(), "earlier": earlier, "inputs": []})


def _inputs(episode: Episode) -> list[tuple[str, Result]]:
    try:
        *_, inputs = decode(episode.snapshot)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"expected a snapshot of this version, got one it cannot read: {error}") from error
    return inputs


def _text(data: Any) -> str:
    return "none" if data is None else json_line(data)


def rescore(episode: Episode, config: GameConfig, judge: JudgeFunction | None = None) -> Episode:
    """Score a recorded game by other rules.

    The game runs again under `config`; every turn, search and reading is answered with what was recorded for
    exactly this request. Where the rules ask for something the record does not hold, the outcome is None and
    `scored_by["unknown"]` says what is missing: an invalid question that laxer rules let pass was never read
    or solved, say. Rules that change what players see (budgets, `top_k`, ...) cannot be scored offline.

    Args:
        episode: The record, as played or scored before.
        config: The rules to score by.
        judge: A frozen judge for every answer the rules put to one (`config.judge`), recorded verdicts
            included; None takes the recorded verdicts.

    Returns:
        The record with its snapshot unchanged, the events and outcome under `config`, and `scored_by` set.

    Raises:
        ValueError: If the record does not replay under its own rules, or the reward of `config` is a function
            that other processes cannot import.
    """
    told = replay_under(episode, config, judge)
    scored_by = {
        "config": told.game.config.to_dict(),
        "verdicts": None if judge is None else [list(verdict) for verdict in told.verdicts],
        "unknown": told.unknown,
    }
    return replace(
        episode,
        package=ssp_env.__version__,
        events=plain_events(told.game),
        outcome=to_plain(told.game.outcome),
        scored_by=to_plain(scored_by),
    )


@dataclass
class Comparison:
    """What a rescoring changed, summed over games.

    Attributes:
        before: Games per recorded reason.
        after: Games per new reason; `unknown` if the record cannot tell.
        changes: Games per (recorded reason, new reason), where they differ.
        missing: Games per missing piece of the record.
        compared: Games whose rewards are known before and after, games with a failure left out.
        rewards: Sum of rewards (before, after) per seat over the compared games.
    """

    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    rewards: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, old: Episode, new: Episode) -> None:
        """Count one game."""
        reasons = (_reason(old), _reason(new))
        self.before[reasons[0]] += 1
        self.after[reasons[1]] += 1
        if reasons[0] != reasons[1]:
            self.changes[reasons] += 1
        if new.outcome is None and new.scored_by is not None:
            self.missing[new.scored_by["unknown"]] += 1
        if old.outcome is None or new.outcome is None or "error" in reasons:
            return
        self.compared += 1
        for seat in {**old.outcome["rewards"], **new.outcome["rewards"]}:
            before, after = self.rewards.get(seat, (0.0, 0.0))
            self.rewards[seat] = (
                before + old.outcome["rewards"].get(seat, 0.0),
                after + new.outcome["rewards"].get(seat, 0.0),
            )


def _reason(episode: Episode) -> str:
    return UNKNOWN if episode.outcome is None else str(episode.outcome["reason"])
