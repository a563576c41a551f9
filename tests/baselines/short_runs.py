"""Runs in seconds, watchers that stop or kill them, and what is left of them in their folders."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from baselines.config import EvaluationConfig, TrainConfig, preset
from baselines.runs.directory import RunDirectory
from baselines.train import Training
from ssp_env.game import GameConfig

EASY_GAME = GameConfig(
    protocol="terse",
    prompts="terse",
    attempts=4,
    top_k=2,
    min_searches=0,
    min_question_chars=0,
    min_question_words=1,
    rag_check=False,
    reward="1-acc",
).with_budget(max_searches=4, max_turns=6, retries=1)
"""Rules under which questions about nothing in particular are valid."""

SHORT = replace(
    preset("smoke"),
    hops=(1, 2),
    game=EASY_GAME.with_budget(max_tokens=8),
    warm_start=replace(
        preset("smoke").warm_start, lookup_steps=3, lookup_sequences=4, cloning_steps=3, cloning_games=3
    ),
    steps=3,
    answers=4,
    learner=replace(preset("smoke").learner, learning_rate=1e-3),
    evaluation=EvaluationConfig(questions=2, validation_every=3, validation_questions=1),
    checkpoint_every=2,
)
"""All stages, shorter than the smoke preset; a model that has learnt nothing would talk on and on."""

LEARNING = replace(
    SHORT,
    game=EASY_GAME,
    steps=5,
    answers=4,
    evaluation=EvaluationConfig(questions=2, validation_every=5, validation_questions=1),
    models_every=2,
)
"""Self-play that changes the cloned policy at every step, if scores are lenient."""

AHEAD = LEARNING.changed(
    {
        # Untrained attempts are all wrong: the entropy bonus moves the weights at every step.
        "proposer": {"entropy_coefficient": 0.1},
        "rollout": {"staleness": 1},
        "filling": {"kind": "replay"},
        "opponents": {"solver": "window", "every": 1},
        "evaluation": {"questions": 2, "validation_every": 2, "validation_questions": 2},
    }
)
"""Self-play whose games another process plays."""


class Watcher:
    """An observer that keeps what it is told and may act on a step or an evaluation."""

    def __init__(self, at: str = "", act: Callable[[], None] = lambda: None) -> None:
        self.at = at
        self.act = act
        self.seen: list[str] = []
        self.warned: list[str] = []
        self._stage = ""
        self._step = 0

    def stage(self, name: str, steps: int, done: int) -> None:
        self._stage, self._step = name, done

    def step(self, metrics: dict[str, float]) -> None:
        self._step += 1
        self._tell(f"{self._stage} {self._step}")

    def warning(self, text: str) -> None:
        self.warned.append(text)

    def evaluating(self, what: str) -> None:
        self._tell(what.rpartition(" ")[2])

    def _tell(self, moment: str) -> None:
        self.seen.append(moment)
        if moment == self.at:
            self.act()


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it happens."""


def kill() -> None:
    raise Killed


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def train(
    config: TrainConfig, path: Path, watcher: Watcher | None = None, warm_start: Path | None = None
) -> Path:
    """Run a configuration in a new folder."""
    Training(config, RunDirectory.create(path, config), watcher or Watcher(), warm_start).train()
    return path


def resume(path: Path) -> Watcher:
    run, config = RunDirectory.open(path)
    watcher = Watcher()
    Training(config, run, watcher).train()
    return watcher


def rows(path: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / name).read_text().splitlines()]


def summary(path: Path) -> dict[str, Any]:
    return json.loads((path / "summary.json").read_text())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def assert_same_run(got: Path, expected: Path) -> None:
    """Weights, figures and records are equal, clocks aside."""
    assert same(weights(got / "final"), weights(expected / "final"))
    assert same(weights(got / "warm-start"), weights(expected / "warm-start"))
    assert (got / "best").exists() == (expected / "best").exists()
    if (expected / "best").exists():
        assert same(weights(got / "best"), weights(expected / "best"))
        assert rows(got / "best", "validation.json") == rows(expected / "best", "validation.json")
    figures = [
        {k: v for k, v in summary(path).items() if k not in ("wall_s", "self_play_s", "peak_rss_mb")}
        for path in (got, expected)
    ]
    assert figures[0] == figures[1]
    assert rows(got) == rows(expected)
    assert rows(got, "episodes.jsonl") == rows(expected, "episodes.jsonl")
