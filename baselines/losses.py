"""Policy-gradient losses over sampled tokens, as pure functions."""

from __future__ import annotations

import torch
from torch import Tensor


def token_logprobs(logits: Tensor, ids: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the log-probability of every token given the tokens before it.

    Args:
        logits: (batch, length, vocabulary), position t predicting token t + 1.
        ids: (batch, length).
        temperature: The sampling temperature; it must divide the logits here too.

    Returns:
        (batch, length); the first column is 0, because nothing predicts the first token.
    """
    logprobs = (logits[:, :-1].float() / temperature).log_softmax(-1)
    picked = logprobs.gather(-1, ids[:, 1:, None])[..., 0]
    return torch.cat([torch.zeros_like(picked[:, :1]), picked], dim=1)


def token_entropy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the entropy, in nats, of the distribution of every token, aligned like `token_logprobs`."""
    logprobs = (logits[:, :-1].float() / temperature).log_softmax(-1)
    entropy = -(logprobs.exp() * logprobs).sum(-1)
    return torch.cat([torch.zeros_like(entropy[:, :1]), entropy], dim=1)


def clipped_policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
) -> Tensor:
    """Return PPO's clipped surrogate per token, negated, with DAPO's asymmetric range; 0 outside the mask.

    Args:
        logprobs: Log-probabilities under the current weights, (batch, length).
        old_logprobs: Log-probabilities at sampling time, (batch, length).
        advantages: One advantage per row, (batch,), or per token, (batch, length).
        mask: True on the tokens that the policy sampled, (batch, length).
        clip_low: The ratio is clipped below 1 - clip_low.
        clip_high: The ratio is clipped above 1 + clip_high.

    Returns:
        (batch, length), to be summed and divided by a normaliser that does not depend on micro-batches.
    """
    advantage = advantages[:, None] if advantages.dim() == 1 else advantages
    # Outside the mask old_logprobs is meaningless; a ratio of 1 there keeps exp() finite.
    ratio = torch.where(mask, logprobs - old_logprobs, torch.zeros_like(logprobs)).exp()
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
    return -torch.minimum(ratio * advantage, clipped * advantage) * mask
