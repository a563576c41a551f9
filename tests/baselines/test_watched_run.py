"""The live display of a run: a bar on a terminal, a line every twenty steps elsewhere."""

import io

import pytest
from rich.console import Console

from baselines.watched_run import SHOWN, ProgressDisplay

METRICS = dict.fromkeys(SHOWN, 0.25) | {"proposer_reward": 0.75}


def shown(steps: int, *, terminal: bool, done: int = 0) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)
    with ProgressDisplay(console) as display:
        display.stage("self-play", steps, done)
        for _ in range(steps - done):
            display.step(METRICS)
        display.evaluating("held-out questions")
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_log_has_a_line_every_twenty_steps_and_the_last():
    lines = shown(50, terminal=False).splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "self-play: 50 steps",
        "self-play 20/50",
        "self-play 40/50",
        "self-play 50/50",
        "evaluating: held-out questions ...",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_numbers_that_matter_are_there(terminal: bool):
    text = shown(3, terminal=terminal)
    assert "3/3" in text
    for label in ("solver", "valid", "hops", "searches", "entropy", "mixed"):
        assert f"{label} 0.25" in text
    assert "0.75" not in text


def test_a_resumed_stage_counts_on_from_where_it_was():
    assert "self-play 50/50" in shown(50, terminal=False, done=45)
    assert "40/50" not in shown(50, terminal=False, done=45)


def test_an_evaluation_has_a_bar_of_its_own_on_a_terminal():
    assert "evaluating: held-out questions" in shown(3, terminal=True)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_warning_is_said_with_the_step(terminal: bool):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=60, color_system=None)
    with ProgressDisplay(console) as display:
        display.stage("self-play", 50, 20)
        display.step(METRICS)
        display.warning(
            "distinct_questions 0.5, below 0.8 in the mean of 10 steps: the proposer repeats itself"
        )
    assert "warning at self-play 21: distinct_questions 0.5, below 0.8" in console.file.getvalue()  # type: ignore[attr-defined]
