"""The list of games: what a page knows of each game before it is opened, few hundred bytes each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ssp_env.records import Episode
from ssp_env.records.replay import UNKNOWN

COLUMNS = (
    *("line", "id", "step", "verdict", "reason", "hops", "label", "rate", "paid", "question", "answer"),
    *("words", "attempts", "searches", "malformed", "forged", "tokens"),
)
"""Names of what a row holds; a page gets one list for each."""


def game_row(number: int, episode: Episode) -> dict[str, Any]:
    """Make the row of a game.

    Args:
        number: Line of the record in its file, from 1.
        episode: The record.

    Returns:
        By the names of `COLUMNS`: `step` of the run, or None; `label`, whether the asked answer is the only
        right one, or None if nobody knows; `rate`, the solver's success, and `paid`, the proposer's reward,
        or None; `words`, other texts that a search should find; `tokens`, whether the players returned any.
    """
    task, outcome = episode.snapshot["task"], episode.outcome or {}
    metrics, rewards = outcome.get("metrics", {}), outcome.get("rewards", {})
    step = episode.extra.get("step")
    return {
        "line": number,
        "id": episode.game_id,
        "step": step if isinstance(step, int) else None,
        "verdict": str(outcome.get("verdict", UNKNOWN)),
        "reason": str(outcome.get("reason", UNKNOWN)),
        "hops": int(task["hops"]),
        "label": label_truth(episode.extra),
        "rate": outcome.get("success_rate"),
        "paid": rewards.get("proposer_0"),
        "question": str(outcome.get("question") or task["question"]),
        "answer": str(task["answer"]),
        "words": "\n".join(_words(episode)),
        "attempts": int(episode.snapshot["config"]["attempts"]),
        "searches": sum(event.get("type") == "SearchReturned" for event in episode.events),
        "malformed": int(metrics.get("malformed_turns", 0)),
        "forged": int(metrics.get("spoofed_tags", 0)),
        "tokens": any(_has_tokens(event) for event in episode.events),
    }


def label_truth(extra: Mapping[str, Any]) -> bool | None:
    """Return what the writer's audit says about the label of a question; None if it does not know."""
    found = extra.get("audit")
    truth = found.get("label_true") if isinstance(found, Mapping) else None
    return bool(truth) if isinstance(truth, int | float) else None


def columns_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows into one list for each column, so that no name is repeated."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for row in rows:
        for name, values in columns.items():
            values.append(row[name])
    return columns


def _words(episode: Episode) -> dict[str, None]:
    """Texts that players wrote as queries and answers, the aliases, and what failed; each once, in order."""
    found = dict.fromkeys(map(str, episode.snapshot["task"]["aliases"]))
    for event in episode.events:
        text = {"SearchReturned": event.get("query"), "AnswerScored": event.get("answer")}.get(event["type"])
        if isinstance(text, str):
            found[text] = None
    if failure := (episode.outcome or {}).get("failure"):
        found[str(failure)] = None
    return found


def _has_tokens(event: Mapping[str, Any]) -> bool:
    reply = event.get("reply")
    return isinstance(reply, Mapping) and bool(reply.get("token_ids"))
