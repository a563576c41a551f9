"""What the files of a run hold, read without torch: rows of metrics, one a step, and what they add up to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SELF_PLAY = "self-play"
"""The stage that follows the warm start."""
WARM_START = "warm-start"
"""Folder of the model that self-play begins with."""
CONFIG, METRICS, SUMMARY = "config.json", "metrics.jsonl", "summary.json"
"""Files of a run."""
HELDOUT_BEFORE = "heldout_before.json"
"""Figures on held-out questions before self-play."""


class RunDirectoryError(ValueError):
    """A run folder cannot be used for what was asked; the message says what to do."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file of metrics that may not exist; a last line cut by a kill is dropped.

    Raises:
        RunDirectoryError: If another line is no row.
    """
    if not path.exists():
        return []
    lines = path.read_text(errors="replace").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    return [_row(path, number, line) for number, line in enumerate(whole, start=1)]


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        problem = f"expected an object in JSON, got {line.strip()!r:.60}: {error}"
        raise RunDirectoryError(f"{path}:{number}: {problem}") from error
    if not isinstance(row, dict) or not isinstance(row.get("step", 0), int):
        problem = f"expected an object with a step, got {row!r:.60}"
        raise RunDirectoryError(f"{path}:{number}: {problem}")
    return row


def self_play_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the steps of self-play."""
    return [dict(row) for row in rows if row["stage"] == SELF_PLAY]


def never_asked(rows: Iterable[Mapping[str, Any]]) -> str:
    """Say why the solver's algorithm had nothing to learn from in any step; empty if it had.

    >>> never_asked([{"stage": "self-play", "valid_rate": 0.0, "invalid/malformed": 1.0}])
    'no question of 1 step was valid (malformed 100%)'
    >>> never_asked([{"stage": "self-play", "valid_rate": 0.5, "solver/loss": 0.1}])
    ''
    """
    steps = self_play_rows(rows)
    learnt = any(name.startswith("solver/") for row in steps for name in row)
    if not steps or learnt or any(row.get("valid_rate") for row in steps):
        return ""
    shares = [(row[name], name) for row in steps[-1:] for name in row if name.startswith("invalid/")]
    reason = "" if not shares else f" ({max(shares)[1].removeprefix('invalid/')} {max(shares)[0]:.0%})"
    return f"no question of {len(steps)} step{'s' * (len(steps) > 1)} was valid{reason}"


def tokens_spent(metrics: Mapping[str, float]) -> int:
    """Return the tokens that a step sampled and trained, counted together."""
    return int(metrics.get("sampled_tokens", 0) + metrics.get("trained_tokens", 0))
