"""The infos of an agent: what it did and how the game ended, in full or in numbers alone."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

from ssp_env.game import Game, GameConfig
from ssp_env.game.audit import AUDIT_NAMES, Oracle, audit
from ssp_env.game.events import EvidenceMixed, SearchReturned, TurnTaken
from ssp_env.game.outcome import REASON_CODES, count_metrics, cut_passage_chars

_COUNTS = ("turns", "searches", "cut_action_chars", "cut_passage_chars", "cut_prompt_chars")


def count_for(agent: str, game: Game, *, reads: bool) -> dict[str, int]:
    """Count an agent's turns, its searches and the characters of passages that it was not shown.

    Args:
        agent: Its seat.
        game: The game, over or not.
        reads: Whether it also reads the evidence of the RAG check.
    """
    own = [event for event in game.events if getattr(event, "seat", "") == agent]
    shown = [
        event
        for event in game.events
        if getattr(event, "seat", "") == agent or (reads and isinstance(event, EvidenceMixed))
    ]
    return {
        "turns": sum(isinstance(event, TurnTaken) for event in own),
        "searches": sum(isinstance(event, SearchReturned) for event in own),
        "cut_passage_chars": sum(cut_passage_chars(event, game.config) for event in shown),
    }


def describe_end(game: Game, oracle: Oracle | None) -> dict[str, Any]:
    """Tell how a finished game ended, without its question: an invalid one may hold the answer."""
    outcome = game.outcome
    assert outcome is not None
    return {
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "failure": outcome.failure,
        "success_rate": outcome.success_rate,
        "metrics": dict(outcome.metrics),
        "audit": audit(game, oracle),
    }


def as_numbers(info: Mapping[str, Any], config: GameConfig, fill_value: float = nan) -> dict[str, float]:
    """Put an agent's infos into numbers under keys that are always there, as tensors need them.

    Args:
        info: Infos in full; those of a game that goes on lack its end.
        config: The rules of the game.
        fill_value: What stands for what is not known, or not yet.

    Returns:
        Counts by name; `reason` as its index in `REASON_CODES`; `success_rate`; `metrics/<name>` and
        `audit/<name>`. Texts are left out, the counters `audit/rejected/<reason>` too, which `reason` tells.
    """
    reason, metrics, audited = info.get("reason"), info.get("metrics", {}), info.get("audit", {})
    success_rate = info.get("success_rate")
    counted = (*count_metrics((), config), "cut_prompt_chars")
    return {
        **{name: float(info[name]) for name in _COUNTS},
        "reason": fill_value if reason is None else float(REASON_CODES.index(reason)),
        "success_rate": fill_value if success_rate is None else success_rate,
        **{f"metrics/{name}": metrics.get(name, fill_value) for name in counted},
        **{f"audit/{name}": audited.get(name, fill_value) for name in AUDIT_NAMES},
    }
