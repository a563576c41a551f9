"""Collapses are found in curves, and told apart from other runs by what showed long enough before."""

import json
from pathlib import Path
from typing import Any

import pytest

from baselines.early_warnings import WINDOW
from benchmarks.collapse import auroc, collapse_of, judge, main


def rows_of(steps: int, *, falls_at: int | None = None, warns_at: int | None = None) -> list[dict[str, Any]]:
    """A run that is validated at every tenth step."""
    rows = []
    for step in range(1, steps + 1):
        distinct = 0.1 if warns_at is not None and step >= warns_at else 1.0
        row = {"stage": "self-play", "step": step, "distinct_questions": distinct}
        if step % 10 == 0:
            fallen = falls_at is not None and step >= falls_at
            row |= {"validation/1_hop": 0.9, "validation/2_hop": 0.1 if fallen else 0.8}
        rows.append(row)
    return rows


def test_a_collapse_is_a_fall_that_lasts():
    assert collapse_of(rows_of(100, falls_at=60), 0.15) == 60
    assert collapse_of(rows_of(100), 0.15) is None
    assert collapse_of(rows_of(100, falls_at=60), 0.5) is None
    again = [*rows_of(100, falls_at=60), {"validation/1_hop": 0.9, "validation/2_hop": 0.8}]
    assert collapse_of(again, 0.15) is None
    assert collapse_of([], 0.15) is None


def test_only_what_shows_early_enough_counts():
    early, late = (judge("x", rows_of(100, falls_at=80, warns_at=step), 20, 0.15) for step in (30, 59))
    assert (early.collapsed, early.signs, early.score) == (80, ("distinct_questions",), 1)
    # The mean of ten steps is below 0.8 with the third of 0.1.
    assert early.warned == 30 + 2 and early.warned > WINDOW
    assert (late.warned, late.signs, late.score) == (None, (), 0)
    never = judge("x", rows_of(100, warns_at=85), 20, 0.15)
    assert (never.collapsed, never.warned, never.score) == (None, None, 0)


def test_the_area_is_one_where_every_collapse_was_foreseen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    kinds = {"bad0": (70, 20), "bad1": (90, 30), "good0": (None, None), "good1": (None, None)}
    for name, (falls, warns) in kinds.items():
        (tmp_path / name).mkdir()
        lines = [json.dumps(row) + "\n" for row in rows_of(100, falls_at=falls, warns_at=warns)]
        (tmp_path / name / "metrics.jsonl").write_text("".join(lines))
    main([tmp_path / name for name in kinds], out=tmp_path / "out.json")
    printed = capsys.readouterr().out
    assert "area under the ROC curve: 1.000" in printed and "distinct_questions" in printed
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["auroc"]["collapsed"] == figures["auroc"]["others"] == 2
    assert [one["collapsed"] for one in figures["runs"]] == [70, 90, None, None]


def test_there_is_no_area_without_both_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert auroc([judge("x", rows_of(100), 20, 0.15)]) is None
    main([tmp_path])
    assert "runs of both kinds" in capsys.readouterr().out
