"""Scoring recorded games by other rules or rewards, offline: what the record does not tell stays unknown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import ssp_env
from ssp_env.game import GameConfig
from ssp_env.play import JudgeFunction
from ssp_env.records.episode import Episode, plain_events
from ssp_env.records.plain import to_plain
from ssp_env.records.replay import replay_under

UNKNOWN = "unknown"


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
        ValueError: If the record does not replay under its own rules.
    """
    told = replay_under(episode, config, judge)
    scored_by = {
        "config": told.game.snapshot()["config"],
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
