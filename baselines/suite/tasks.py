"""The tasks of SSP-Bench: what is learnt in how many tokens, and against whom a finished agent plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines.config import TrainConfig, preset

SUITE_VERSION = "0.1"
"""Results of different versions are never in one table."""
SEEDS = (0, 1, 2, 3, 4)
BUDGET = 300_000
QUICK_BUDGET = 40_000
QUICK_WARM_START = {"lookup_steps": 120, "cloning_steps": 100}
"""A third of the usual steps, so that an entry can be tried in minutes."""
_NEVER = 100_000


@dataclass(frozen=True)
class LearnTask:
    """An algorithm gets a warm start and a budget of tokens; held-out worlds decide.

    Attributes:
        about: What it asks of an algorithm, in a sentence.
        changes: What differs from the preset `tiny`.
        both: Whether the proposer learns too; else it does not play.
    """

    about: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    both: bool = False

    def config(self, seed: int, budget: int) -> TrainConfig:
        """Return the run of this task but for the entry's algorithms."""
        base = {
            "seed": seed,
            "steps": _NEVER,
            "tokens": budget,
            "evaluation": {"validation_every": 10, "validation_questions": 40, "questions": 200},
        }
        alone = (
            {} if self.both else {"proposer": {"algorithm": "frozen"}, "source": {"known_questions": True}}
        )
        shorter = {"warm_start": QUICK_WARM_START} if budget == QUICK_BUDGET else {}
        return preset("tiny").changed({**base, **shorter}).changed(alone).changed(self.changes)


LEARN: Mapping[str, LearnTask] = {
    "two-hops": LearnTask("Questions of one and two hops with known answers.", {"hops": [1, 2]}),
    "three-hops": LearnTask("Up to three hops: few attempts succeed at first."),
    "lossy-search": LearnTask(
        "Up to two hops, and searches lose a fifth of what they find: only other words may find the rest.",
        {"hops": [1, 2], "source": {"known_questions": True, "drop": 0.2}},
    ),
    "self-play": LearnTask("Both roles, no question is known.", both=True),
}
"""All learn from the same warm start of a seed."""


def warm_start_folder(seed: int, budget: int, folder: Path) -> Path:
    """Return where the run that makes the warm start of a seed is kept."""
    return folder / "warm-starts" / f"{'quick-' if budget == QUICK_BUDGET else ''}seed{seed}"


@dataclass(frozen=True)
class PlayTask:
    """A finished agent plays both roles against fixed opponents over held-out worlds.

    Attributes:
        about: What it asks of an agent, in a sentence.
        proposers: Scripted proposers whose questions it answers.
        solvers: Scripted solvers who answer its questions.
        hops: Numbers of hops.
        questions: Questions of each proposer.
    """

    about: str
    proposers: tuple[str, ...] = ("strong", "weak")
    solvers: tuple[str, ...] = ("weak", "one_hop", "guess")
    hops: tuple[int, ...] = (1, 2, 3)
    questions: int = 90


PLAY: Mapping[str, PlayTask] = {
    "both-roles": PlayTask(
        "The mean share of points as the solver and as the proposer, with a faultless reader."
    )
}
