"""What GRPO, REINFORCE and PPO share: shaped rewards and the surrogate loss, and their options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from baselines.advantages import token_rewards
from baselines.learner import Experience, Learner, Loss, Totals
from baselines.losses import KLEstimator, Normaliser, Surrogate, aggregate, kl, policy_loss
from baselines.policies.causal_lm import Scores
from baselines.samples import Batch, Sample


@dataclass(frozen=True)
class PolicyGradientConfig:
    """Options of the policy loss.

    Attributes:
        surrogate: `clip` (PPO), `gspo` (one ratio per conversation) or `cispo` (clipped weight on the
            log-probability).
        clip_low: The ratio is clipped below 1 - clip_low.
        clip_high: The ratio is clipped above 1 + clip_high; 0.28 from DAPO, 0.285 in SSP's code. GSPO's paper
            has 3e-4 below and 4e-4 above. For `cispo` it is the largest weight itself (TRL: 5).
        dual_clip: Bound c of the loss where the advantage is negative, min(-cA, .); None for none (verl: 3).
        normaliser: `token` divides the sum over all sampled tokens by their number (DAPO), `sequence` takes
            means of conversations first (GRPO's paper), `constant` divides by conversations x
            `constant_length` (Dr. GRPO).
        constant_length: Tokens that `constant` divides by.
        entropy_coefficient: Factor of the entropy bonus.
        kl_coefficient: Factor of the KL divergence from the reference; 0 needs no reference.
        kl_estimator: `k1`, `k2` or `k3` (Schulman 2020). In the loss, the gradient of k1 is 0 on average, and
            that of k2 is the gradient of the divergence.
        kl_in: Whether the divergence is part of the `loss` or of the `reward`.
        truncated: `train` learns from conversations that ended at a limit, `mask` leaves them out of the
            policy loss (TRL's mask_truncated_completions); their rewards count in baselines, and their tokens
            in what the loss is divided by, either way.
        length_limit: With `length_buffer`, DAPO's overlong penalty: from limit - buffer sampled tokens on,
            the reward falls linearly by up to 1 at the limit; 0 for none.
        length_buffer: Tokens over which the penalty grows.
    """

    surrogate: Surrogate = "clip"
    clip_low: float = 0.2
    clip_high: float = 0.28
    dual_clip: float | None = None
    normaliser: Normaliser = "token"
    constant_length: int = 0
    entropy_coefficient: float = 0.0
    kl_coefficient: float = 0.0
    kl_estimator: KLEstimator = "k3"
    kl_in: Literal["loss", "reward"] = "loss"
    truncated: Literal["train", "mask"] = "train"
    length_limit: int = 0
    length_buffer: int = 0

    def __post_init__(self) -> None:
        if self.normaliser == "constant" and self.constant_length < 1:
            raise ValueError("normaliser 'constant' needs constant_length, the tokens that it divides by")
        if bool(self.length_limit) != bool(self.length_buffer) or self.length_buffer > self.length_limit:
            raise ValueError(
                "the overlong penalty needs 0 < length_buffer <= length_limit, got "
                f"{self.length_buffer} and {self.length_limit}"
            )
        if self.surrogate == "cispo" and self.clip_high < 1:
            raise ValueError(
                "surrogate 'cispo' takes clip_high as the largest weight itself: expected 1 or more, 5 for "
                f"example, got {self.clip_high}"
            )
        for name in ("clip_low", "clip_high", "entropy_coefficient", "kl_coefficient"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    @property
    def has_loss_beyond_advantages(self) -> bool:
        """Whether a sample with advantage 0 has a gradient: from an entropy bonus or a KL penalty."""
        return self.entropy_coefficient > 0 or (self.kl_coefficient > 0 and self.kl_in == "loss")


def prepare(
    samples: Sequence[Sample], learner: Learner, config: PolicyGradientConfig
) -> tuple[Batch, dict[str, float]]:
    """Return the batch with the log-probabilities that advantages need; see `Learner.prepare`."""
    if config.kl_coefficient and learner.reference is None:
        learner.reference = learner.policy.duplicate(trainable=False)
    return learner.prepare(samples, score=config.kl_coefficient > 0 and config.kl_in == "reward")


def shaped_rewards(
    samples: Sequence[Sample], batch: Batch, config: PolicyGradientConfig
) -> tuple[Tensor, Tensor]:
    """Return what conversations are paid, with the overlong penalty, and what single tokens are paid.

    Returns:
        Rewards (n,), float32, NaN where a sample could not be scored; and (n, length) the reward of each turn
        on its last sampled token, less the KL penalty of each sampled token if `kl_in` is `reward`.

    Raises:
        ValueError: If a sample has more `turn_rewards` than sampled turns.
    """
    rewards = torch.tensor([float(sample.reward) for sample in samples])
    if config.length_limit:
        lengths = batch.mask.sum(1)
        excess = lengths - (config.length_limit - config.length_buffer)
        rewards = rewards - (excess / config.length_buffer).clamp(0.0, 1.0)
    turns = batch.turns.amax(1) + 1
    by_turn = torch.zeros(len(samples), max(1, int(turns.max())))
    for row, sample in enumerate(samples):
        if len(sample.turn_rewards) > turns[row]:
            raise ValueError(
                f"expected at most one of turn_rewards per sampled turn, {turns[row]}, got "
                f"{len(sample.turn_rewards)} from {sample.seat} in game {sample.game_id!r}"
            )
        by_turn[row, : len(sample.turn_rewards)] = torch.tensor(sample.turn_rewards)
    by_token = token_rewards(torch.zeros(len(samples)), batch.mask, turns=batch.turns, turn_rewards=by_turn)
    if config.kl_coefficient and config.kl_in == "reward":
        estimate = kl(batch["old_logprobs"], batch["reference"], batch.mask, estimator=config.kl_estimator)
        by_token = by_token - config.kl_coefficient * estimate
    return rewards, by_token


def experience(
    name: str,
    samples: Sequence[Sample],
    batch: Batch,
    advantages: Tensor,
    config: PolicyGradientConfig,
    metrics: dict[str, float],
) -> Experience:
    """Return samples with advantages as experience for the surrogate loss.

    Args:
        name: Prefix of the metrics.
        samples: The samples of the batch.
        batch: See `prepare`.
        advantages: One advantage per sample, (n,), or per token, (n, length).
        config: The options.
        metrics: Figures to log; `reward`, the mean of what the samples that could be scored were paid, is
            added to them.
    """
    paid = [total for s in samples if not math.isnan(total := s.reward + sum(s.turn_rewards))]
    if paid:
        metrics["reward"] = sum(paid) / len(paid)
    if advantages.dim() == 1:
        advantages = advantages[:, None] * batch.mask
    if config.truncated == "mask":
        whole = torch.tensor([not sample.truncated for sample in samples])[:, None]
        advantages, batch = advantages * whole, batch.with_extras(trained=batch.mask & whole)
    needed = batch.extras.get("trained", batch.mask).any(1)
    if not config.has_loss_beyond_advantages:
        needed &= (advantages * batch.mask).ne(0).any(1)

    def loss(micro: Batch, scores: Scores, totals: Totals) -> Loss:
        return surrogate_loss(micro, scores, totals, config)

    return Experience(name, batch.with_extras(advantages=advantages), loss, needed=needed, metrics=metrics)


def surrogate_loss(batch: Batch, scores: Scores, totals: Totals, config: PolicyGradientConfig) -> Loss:
    """Return the policy loss of a micro-batch, with `clip_fraction` and `update_kl` to log.

    `update_kl` is KL(old || new), estimated by k3.
    """
    mask, old = batch.mask & batch.extras.get("trained", batch.mask), batch["old_logprobs"]
    policy = policy_loss(
        scores.logprobs,
        old,
        batch["advantages"],
        mask,
        kind=config.surrogate,
        clip_low=config.clip_low,
        clip_high=config.clip_high,
        dual_clip=config.dual_clip,
    )
    losses = policy.losses * batch.extras.get("importance", 1.0)
    losses = losses - config.entropy_coefficient * scores.entropy
    if config.kl_coefficient and config.kl_in == "loss":
        distance = kl(scores.logprobs, batch["reference"], mask, estimator=config.kl_estimator)
        losses = losses + config.kl_coefficient * distance
    value = aggregate(
        losses,
        mask,
        normaliser=config.normaliser,
        tokens=totals.tokens,
        sequences=totals.sequences,
        length=config.constant_length,
    )
    # The tokens were sampled by the old policy, so that it is the first of the two.
    moved = kl(old, scores.logprobs.detach(), mask, estimator="k3")
    return Loss(value, {"clip_fraction": policy.clipped.sum(), "update_kl": moved.sum()})
