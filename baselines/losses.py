"""Losses over sampled tokens, as pure functions.

Tensors over tokens are (batch, length), aligned with the ids; the mask is True on tokens that the policy
sampled. Nothing outside the mask influences a result.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Surrogate = Literal["clip", "gspo", "cispo"]
Normaliser = Literal["token", "sequence", "constant"]
KLEstimator = Literal["k1", "k2", "k3"]

LOG_RATIO_LIMIT = 20.0
"""Log-ratios are clamped to +-20 before they are exponentiated, as in verl."""


def sampled_logprobs_and_entropy(
    logits: Tensor, ids: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return log-probabilities of tokens, and entropies in nats of what they were sampled from.

    Args:
        logits: (n, vocabulary), each row predicting one token; cast to float32 unless they are float64.
        ids: The tokens, (n,).
        temperature: The sampling temperature; it must divide the logits here too.
    """
    scaled = (logits if logits.dtype == torch.float64 else logits.float()) / temperature
    logprobs = scaled.log_softmax(-1)
    entropy = -(logprobs.exp() * logprobs).sum(-1)
    return logprobs.gather(-1, ids[:, None])[:, 0], entropy


class PolicyLoss(NamedTuple):
    """A policy loss per token.

    Attributes:
        losses: (batch, length), 0 outside the mask.
        ratio: New over old probability, of the token or of its sequence; 1 outside the mask.
        clipped: True where clipping removed the gradient.
    """

    losses: Tensor
    ratio: Tensor
    clipped: Tensor


def policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    kind: Surrogate = "clip",
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    dual_clip: float | None = None,
) -> PolicyLoss:
    """Return a clipped surrogate per token, negated.

    `clip` is -min(r A, clip(r, 1 - low, 1 + high) A) (PPO, with DAPO's separate bounds); where A < 0,
    `dual_clip` c bounds it by -c A (verl). `gspo` has one ratio per sequence, exp of the mean log-ratio,
    whose gradient goes through every token (verl, TRL). `cispo` is -sg(min(r, high)) A log p (TRL's upper
    bound: `clip_high` is the bound itself).

    Args:
        logprobs: Under the current weights, (batch, length).
        old_logprobs: Under the weights that sampled, (batch, length).
        advantages: One per row, (batch,), or per token, (batch, length).
        mask: (batch, length).
        kind: The surrogate.
        clip_low: See above.
        clip_high: See above.
        dual_clip: See above; None for no such bound.
    """
    advantage = (advantages[:, None] if advantages.dim() == 1 else advantages).to(logprobs.dtype)
    advantage = torch.where(mask, advantage, 0.0)
    logprobs = torch.where(mask, logprobs, 0.0)
    log_ratio = torch.where(mask, logprobs - torch.where(mask, old_logprobs, 0.0), 0.0)
    if kind == "gspo":
        mean = (log_ratio.sum(1) / mask.sum(1).clamp(min=1))[:, None]
        log_ratio = torch.where(mask, mean.detach() + logprobs - logprobs.detach(), 0.0)
    ratio = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
    if kind == "cispo":
        weight = ratio.clamp(max=clip_high).detach()
        return PolicyLoss(-weight * advantage * logprobs, ratio, mask & (ratio > clip_high))
    bounded = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
    losses = -torch.minimum(ratio * advantage, bounded * advantage)
    clipped = mask & (bounded * advantage < ratio * advantage)
    if dual_clip is not None:
        bound = -dual_clip * advantage
        beyond = (advantage < 0) & (losses > bound)
        losses, clipped = torch.where(beyond, bound, losses), clipped | (mask & beyond)
    return PolicyLoss(losses * mask, ratio, clipped)


def aggregate(
    losses: Tensor,
    mask: Tensor,
    *,
    normaliser: Normaliser,
    tokens: float | None = None,
    sequences: float | None = None,
    length: float | None = None,
) -> Tensor:
    """Return a loss over tokens as one number; results of micro-batches with global totals add up.

    Args:
        losses: (batch, length).
        mask: (batch, length).
        normaliser: `token` is the sum divided by `tokens` (DAPO), `sequence` the sum of the sequences' means
            divided by `sequences` (GRPO), `constant` the sum divided by `sequences` x `length` (Dr. GRPO).
        tokens: Sampled tokens of all micro-batches together; those of the mask if None.
        sequences: Sequences with a sampled token of all micro-batches together; those of the mask if None.
        length: What `constant` divides by.

    Raises:
        ValueError: If `constant` has no length.
    """
    losses = torch.where(mask, losses, 0.0)
    count = float(mask.any(1).sum()) if sequences is None else sequences
    if normaliser == "token":
        return losses.sum() / max(1.0, float(mask.sum()) if tokens is None else tokens)
    if normaliser == "sequence":
        return (losses.sum(1) / mask.sum(1).clamp(min=1)).sum() / max(1.0, count)
    if not length:
        raise ValueError(f"normaliser 'constant' needs the length that it divides by, got {length}")
    return losses.sum() / (max(1.0, count) * length)


def kl(logprobs: Tensor, reference_logprobs: Tensor, mask: Tensor, *, estimator: KLEstimator) -> Tensor:
    """Return an estimate per token of KL(p || p_ref), (batch, length), 0 outside the mask.

    The tokens are taken as sampled from p. With d = log p - log p_ref, clamped to +-20: k1 = d, k2 = d^2 / 2,
    k3 = exp(-d) - 1 + d (Schulman 2020).
    """
    difference = torch.where(mask, logprobs, 0.0) - torch.where(mask, reference_logprobs, 0.0)
    difference = difference.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    if estimator == "k1":
        return difference
    if estimator == "k2":
        return 0.5 * difference.square()
    return (-difference).exp() - 1.0 + difference


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, *, clip: float | None = 0.5
) -> Tensor:
    """Return 1/2 max((V - R)^2, (clip(V) - R)^2) per token, with V clipped to old_values +- clip.

    A token whose return is NaN could not be scored: its loss is 0.
    """
    mask = mask & ~returns.isnan()
    values, old_values, returns = (torch.where(mask, t, 0.0) for t in (values, old_values, returns))
    errors = (values - returns).square()
    if clip is not None:
        near = torch.maximum(torch.minimum(values, old_values + clip), old_values - clip)
        errors = torch.maximum(errors, (near - returns).square())
    return 0.5 * errors * mask


def importance_weights(
    old_logprobs: Tensor,
    sampled_logprobs: Tensor,
    mask: Tensor,
    *,
    level: Literal["token", "sequence"] = "token",
    cap: float = 2.0,
) -> Tensor:
    """Return truncated importance weights min(old / sampled, cap), without a gradient; 1 outside the mask.

    They correct for a sampler whose probabilities differ from the trainer's, because of lower precision for
    example. At level `sequence` all tokens of a row have the product of its ratios, capped.
    """
    log_ratio = torch.where(mask, old_logprobs, 0.0) - torch.where(mask, sampled_logprobs, 0.0)
    if level == "sequence":
        log_ratio = torch.where(mask, log_ratio.sum(1, keepdim=True), 0.0)
    return log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp().clamp(max=cap).detach()
