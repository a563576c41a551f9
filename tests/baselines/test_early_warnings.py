"""Early warnings speak once, of the mean of ten steps, and again when a sign comes back."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.early_warnings import SIGNS, WINDOW, EarlyWarnings
from tests.baselines.short_runs import SHORT, Watcher, resume, rows, train
from tests.markdown import ROOT

HEALTHY = {sign.metric: sign.limit * (0.5 if sign.above else 2.0) for sign in SIGNS}


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.metric)
def test_each_sign_shows_beyond_its_limit_once_until_it_is_gone(sign: Any):
    warnings = EarlyWarnings()
    bad = {**HEALTHY, sign.metric: sign.limit * (3.0 if sign.above else 0.0)}
    for _ in range(WINDOW):
        assert warnings.observe(HEALTHY) == []
    said = [text for _ in range(WINDOW) for text in warnings.observe(bad)]
    assert len(said) == 1 and said[0].startswith(f"{sign.metric} ") and sign.meaning in said[0]
    assert warnings.showing == [sign.metric]
    assert [text for _ in range(2 * WINDOW) for text in warnings.observe(HEALTHY)] == []
    assert warnings.showing == []
    assert len([text for _ in range(WINDOW) for text in warnings.observe(bad)]) == 1


def test_nothing_is_said_before_there_are_ten_steps_or_of_what_is_not_measured():
    warnings = EarlyWarnings()
    assert [text for _ in range(WINDOW - 1) for text in warnings.observe({"valid_rate": 0.0})] == []
    assert len(warnings.observe({"valid_rate": 0.0})) == 1
    assert warnings.showing == ["valid_rate"]


def test_the_commonest_reason_is_named():
    warnings = EarlyWarnings()
    row = {"valid_rate": 0.0, "invalid/unquoted": 0.3, "invalid/leak": 0.7}
    (said,) = [text for _ in range(WINDOW) for text in warnings.observe(row)]
    assert said.endswith("; most end as leak")


@given(st.lists(st.sampled_from([0.0, 0.02, 0.3, 1.0]), max_size=40), st.integers(0, 40))
def test_a_resumed_run_goes_on_where_it_was(values: list[float], cut: int):
    steps = [{"valid_rate": value, "distinct_questions": 1.0 - value} for value in values]
    whole, before = EarlyWarnings(), EarlyWarnings()
    said = [whole.observe(step) for step in steps]
    for step in steps[:cut]:
        before.observe(step)
    resumed = EarlyWarnings(steps[:cut])
    assert resumed.showing == before.showing
    assert [resumed.observe(step) for step in steps[cut:]] == said[cut:]
    assert resumed.showing == whole.showing


def test_a_run_that_finds_no_valid_question_says_so(tmp_path: Path):
    config = SHORT.changed({"steps": WINDOW + 1, "rules": {"min_question_words": 40}, "checkpoint_every": 4})
    watcher = Watcher()
    path = train(config.changed({"evaluation": {"validation_every": 0}}), tmp_path / "run", watcher)
    (said,) = [text for text in watcher.warned if text.startswith("valid_rate")]
    assert "hardly any question is valid" in said and "most end as" in said
    logged = [row["warnings"] for row in rows(path) if row["stage"] == "self-play"]
    assert logged[: WINDOW - 1] == [0] * (WINDOW - 1) and min(logged[WINDOW - 1 :]) >= 1
    assert resume(path).warned == []


def test_the_page_lists_every_sign_and_its_limit():
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8").partition("## Early warnings")[2]
    for sign in SIGNS:
        (line,) = [
            line
            for line in page.splitlines()
            if line.startswith("| ") and f"`{sign.metric}`" in line.split("|")[1]
        ]
        assert line.split("|")[2].strip() == f"{sign.limit:g}{' above' * sign.above}"
