"""Options of the learner: how a policy is updated, whatever the algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ssp_env.objects import check_least

OldLogprobs = Literal["sampled", "recomputed"]
Optimizer = Literal["adamw", "muon"]
Schedule = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True)
class LearnerConfig:
    """How a policy is updated, whatever the algorithm.

    Attributes:
        optimizer: `adamw`, or `muon` for matrices inside layers and AdamW for the rest (torch 2.9 or newer).
        learning_rate: Peak learning rate. 2e-4 suits the tiny model, 1e-4 LoRA, 1e-6 billions of parameters.
        betas: Decay rates of AdamW's moments.
        weight_decay: Decoupled weight decay.
        max_grad_norm: The gradient is clipped to this norm.
        warmup_steps: Optimiser steps over which the learning rate rises from 0.
        schedule: What the learning rate does then: stay, or fall until `total_steps`.
        total_steps: Optimiser steps of the whole run; needed unless the schedule is `constant`.
        floor: Share of the peak that a falling learning rate ends at.
        epochs: Times that the samples of an update are gone through.
        minibatches: Optimiser steps per epoch.
        micro_batch_tokens: Most tokens of a forward pass, padding included; results do not depend on it.
        old_logprobs: `sampled` takes the sampler's log-probabilities as those of the old policy; `recomputed`
            computes them before the first step, in the micro-batches of the update, which sampling in
            bfloat16 or by another engine needs.
        importance_cap: With `recomputed`, each token's loss is multiplied by min(old / sampled, cap),
            truncated importance sampling; None for no correction.
        importance_level: Whose ratios these are: each `token`'s own, or for all tokens of a `sequence` their
            product.
        reference: What a KL penalty refers to: `fixed`, the weights before the first update, or `moving`.
        reference_every: Optimiser steps between two moves of the reference.
        reference_decay: Share of itself that the reference keeps in a move: 0 takes over the policy's
            weights, more is an exponential moving average.
        seed: Seed of the order in which samples fall into minibatches.
    """

    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-6
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    warmup_steps: int = 0
    schedule: Schedule = "constant"
    total_steps: int = 0
    floor: float = 0.0
    epochs: int = 1
    minibatches: int = 1
    micro_batch_tokens: int = 2048
    old_logprobs: OldLogprobs = "sampled"
    importance_cap: float | None = None
    importance_level: Literal["token", "sequence"] = "token"
    reference: Literal["fixed", "moving"] = "fixed"
    reference_every: int = 100
    reference_decay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        check_least(
            1,
            **{
                name: getattr(self, name)
                for name in ("epochs", "minibatches", "micro_batch_tokens", "reference_every")
            },
        )
        if not 0 <= self.reference_decay < 1:
            raise ValueError(f"reference_decay must be from 0 to below 1, got {self.reference_decay}")
        if self.schedule != "constant" and self.total_steps < 1:
            raise ValueError(
                f"a {self.schedule} schedule needs total_steps of at least 1, got {self.total_steps}"
            )
        if self.importance_cap is not None and self.old_logprobs != "recomputed":
            raise ValueError(
                "importance_cap corrects recomputed log-probabilities: set old_logprobs to 'recomputed'"
            )
        if self.importance_level != "token" and self.importance_cap is None:
            raise ValueError(f"importance_level is {self.importance_level!r}: set importance_cap too")
