"""The configuration of a training run, and named presets of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal

from ssp_env.game import GameConfig
from ssp_env.game.config import TERSE_RULES
from ssp_env.game.rewards import NEED_ATTEMPTS

Mode = Literal["self-play", "solver-only", "proposer-only"]
MODES: tuple[Mode, ...] = ("self-play", "solver-only", "proposer-only")

TERSE_GAME = replace(TERSE_RULES, attempts=8, reward="4p(1-p)")
"""The game for tiny models. A reward of 1 - p pays most for the questions nobody can answer that slip through
the RAG check of a tiny policy, so here both extremes pay nothing."""


@dataclass(frozen=True)
class ModelConfig:
    """Size of a tiny Llama."""

    hidden_size: int = 128
    layers: int = 4
    heads: int = 4
    intermediate_size: int = 384
    context: int = 512


@dataclass(frozen=True)
class WarmStartConfig:
    """Configuration of the warm start: reading practice, then cloning of weak scripted play.

    Attributes:
        lookup_steps: Optimiser steps on dense look-ups.
        lookup_sequences: Sequences per look-up step, a multiple of 4.
        rehearsed_sequences: Look-up sequences added to every cloning step, a multiple of 4.
        cloning_steps: Optimiser steps on demonstrations.
        cloning_games: Scripted games per cloning step.
        cloning_attempts: Demonstrated solver attempts per game.
        learning_rate: Peak learning rate of each stage.
    """

    lookup_steps: int = 320
    lookup_sequences: int = 40
    rehearsed_sequences: int = 4
    cloning_steps: int = 280
    cloning_games: int = 56
    cloning_attempts: int = 1
    learning_rate: float = 2e-3


@dataclass(frozen=True)
class TrainConfig:
    """Configuration of a whole run.

    Attributes:
        preset: Name of the preset that this configuration started from.
        seed: Fixes every random choice of the run.
        mode: `self-play`; `solver-only` freezes the proposer at the warm start, `proposer-only` the solver.
        world: Name in `WORLD_PRESETS`.
        game: Rules of the game.
        model: Size of the policy.
        warm_start: The stages before self-play.
        steps: Self-play steps.
        answers: Answers drawn per step; each gets one proposal.
        learning_rate: Learning rate of AdamW in self-play (3e-4 was unstable).
        temperature: Sampling temperature in training and evaluation.
        proposer_weight: Factor on the proposer's loss.
        scale_by_std: Divide by the group's standard deviation as in GRPO; Dr. GRPO does not.
        proposer_baseline: Subtract the step's mean reward from the proposer's.
        hops: Numbers of hops that are asked for.
        evaluation_questions: Held-out questions per hop count, before and after.
        validation_every: Steps between points of the learning curve; 0 for none.
        validation_questions: Questions per hop count and point, from worlds of their own.
        checkpoint_every: Steps between checkpoints.
        micro_batch_tokens: Most tokens of a forward pass, padding included.
    """

    preset: str = "tiny"
    seed: int = 0
    mode: Mode = "self-play"
    world: str = "tiny"
    game: GameConfig = TERSE_GAME
    model: ModelConfig = field(default_factory=ModelConfig)
    warm_start: WarmStartConfig = field(default_factory=WarmStartConfig)
    steps: int = 220
    answers: int = 32
    learning_rate: float = 2e-4
    temperature: float = 1.0
    proposer_weight: float = 1.0
    scale_by_std: bool = False
    proposer_baseline: bool = True
    hops: tuple[int, ...] = (1, 2, 3)
    evaluation_questions: int = 240
    validation_every: int = 20
    validation_questions: int = 80
    checkpoint_every: int = 20
    micro_batch_tokens: int = 8192

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if self.game.reward in NEED_ATTEMPTS and self.game.attempts < 2:
            raise ValueError(
                f"reward {self.game.reward!r} pays nothing with one attempt; set attempts to 2 or more, got 1"
            )
        for name in ("steps", "answers", "evaluation_questions", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "game": self.game.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainConfig:
        """Invert `to_dict`.

        Raises:
            ValueError: If a key is missing or unknown.
        """
        known = {item.name for item in fields(cls)}
        if set(data) != known:
            wrong = ", ".join(sorted(set(data) ^ known))
            raise ValueError(f"expected a configuration of this version, got one with other keys: {wrong}")
        values = dict(data)
        values["game"] = GameConfig.from_dict(data["game"])
        values["model"] = ModelConfig(**data["model"])
        values["warm_start"] = WarmStartConfig(**data["warm_start"])
        values["hops"] = tuple(data["hops"])
        return cls(**values)


PRESETS: Mapping[str, TrainConfig] = MappingProxyType(
    {
        "tiny": TrainConfig(),
        "smoke": TrainConfig(
            preset="smoke",
            model=ModelConfig(hidden_size=32, layers=2, heads=4, intermediate_size=64),
            warm_start=WarmStartConfig(lookup_steps=4, lookup_sequences=8, cloning_steps=4, cloning_games=4),
            game=replace(TERSE_GAME, attempts=4),
            steps=3,
            answers=4,
            evaluation_questions=8,
            validation_every=2,
            validation_questions=4,
            checkpoint_every=2,
        ),
    }
)
"""`tiny` is the default of `ssp train`; `smoke` runs every part in seconds and learns nothing."""


def preset(name: str) -> TrainConfig:
    """Return the preset called `name`.

    Raises:
        ValueError: If there is none; the message lists them.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name]
