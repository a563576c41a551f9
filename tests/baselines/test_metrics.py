"""The table of metrics in docs/metrics.md has every metric that runs write, and no other."""

import re
from pathlib import Path

import pytest

from baselines.rollouts.defences import DEFENCES
from ssp_env.game.outcome import REASON_CODES
from tests.baselines.conftest import half_right
from tests.baselines.short_runs import LEARNING, rows, train
from tests.markdown import ROOT

PLACES = {
    "ROLE": "(?:solver|proposer)",
    "REASON": f"(?:{'|'.join(REASON_CODES)})",
    "SET": r"(?:\d_hop|questions)",
    "asked_N": r"asked_\d",
    "NAME": f"(?:{'|'.join(DEFENCES)})",
}
"""What a capital word in a name of the table stands for."""
ROWS = re.findall(
    r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$",
    (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").partition("## Every metric")[2],
    flags=re.MULTILINE,
)
EVENTFUL = LEARNING.changed(
    {
        "steps": 3,
        "policies": "models",
        "updates": "separate",
        "evaluation": {"validation_every": 3},
        "opponents": {"proposer": "pfsp", "solver": "pfsp", "every": 1, "window": 2},
        "defences": ["least_success"],
        "filling": {"kind": "prioritised", "max_age": 3, "max_uses": 2},
        "solver": {"algorithm": "ppo", "kl_coefficient": 0.1},
        "proposer": {"algorithm": "reinforce", "kl_coefficient": 0.1},
        "learner": {"old_logprobs": "recomputed"},
    }
)
"""PPO and REINFORCE with nearly all options that have metrics of their own; `LEARNING` has GRPO."""


def pattern(name: str) -> re.Pattern[str]:
    for word, expression in PLACES.items():
        name = name.replace(word, expression)
    return re.compile(name)


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory,
    short_run: Path,
    learning_run: Path,
    ahead_run: Path,
    warm_start: Path,
) -> set[str]:
    """The names of the metrics of runs with GRPO, PPO and REINFORCE."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssp_env.game.game.exact_match", half_right)
        eventful = train(EVENTFUL, tmp_path_factory.mktemp("runs") / "eventful", warm_start=warm_start)
    runs = (short_run, learning_run, ahead_run, eventful)
    names = {name for path in runs for row in rows(path) for name in row}
    return names - {"stage", "step"}


def test_every_metric_that_is_written_is_explained_once(written: set[str]):
    patterns = [pattern(name) for name, _, _ in ROWS]
    found = {name: sum(bool(p.fullmatch(name)) for p in patterns) for name in sorted(written)}
    assert {name: count for name, count in found.items() if count != 1} == {}


def test_every_metric_that_is_explained_is_written(written: set[str]):
    assert [name for name, _, _ in ROWS if not any(map(pattern(name).fullmatch, written))] == []


def test_every_metric_has_a_unit_and_a_question():
    assert len(ROWS) > 40 and len({name for name, _, _ in ROWS}) == len(ROWS)
    assert [
        name for name, unit, text in ROWS if not unit.strip() or ("?" not in text and "same" not in text)
    ] == []
