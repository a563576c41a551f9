"""Advantage estimators over outcome rewards, as pure functions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor


def group_means(rewards: Tensor, groups: Sequence[Hashable]) -> tuple[Tensor, Tensor]:
    """Return mean and unbiased standard deviation of each reward's group, aligned with `rewards`.

    A group of one has mean 0 and deviation 1, so that its advantage is the raw reward, as in verl.
    """
    index = {group: position for position, group in enumerate(dict.fromkeys(groups))}
    members = torch.tensor([index[group] for group in groups])
    count = torch.zeros(len(index)).index_add_(0, members, torch.ones_like(rewards))
    mean = torch.zeros(len(index)).index_add_(0, members, rewards) / count
    squared = torch.zeros(len(index)).index_add_(0, members, (rewards - mean[members]) ** 2)
    deviation = (squared / (count - 1).clamp(min=1)).sqrt()
    single = count == 1
    mean = torch.where(single, torch.zeros_like(mean), mean)
    deviation = torch.where(single, torch.ones_like(deviation), deviation)
    return mean[members], deviation[members]


def grpo(
    rewards: Tensor, groups: Sequence[Hashable], *, scale_by_std: bool = True, epsilon: float = 1e-6
) -> Tensor:
    """Return the group-relative advantage (R - mean) / (std + epsilon); Dr. GRPO is without the division.

    Args:
        rewards: Outcome rewards, shape (n,).
        groups: Group of each reward; attempts at one question form a group.
        scale_by_std: Divide by the group's unbiased standard deviation (SSP's released code does, its
            equation 4 does not).
        epsilon: 1e-6 in verl, 1e-4 in TRL.

    Returns:
        Advantages, shape (n,).
    """
    mean, deviation = group_means(rewards, groups)
    centred = rewards - mean
    return centred / (deviation + epsilon) if scale_by_std else centred


def reinforce(rewards: Tensor, *, baseline: float = 0.0) -> Tensor:
    """Return the advantage R - b of REINFORCE (SSP equation 5 has b = 0)."""
    return rewards - baseline


def mixed_groups(rewards: Tensor, groups: Sequence[Hashable]) -> Tensor:
    """Return True where the group of a reward holds different rewards; only such groups have a gradient."""
    highest: dict[Hashable, float] = {}
    lowest: dict[Hashable, float] = {}
    for reward, group in zip(rewards.tolist(), groups, strict=True):
        highest[group] = max(reward, highest.get(group, reward))
        lowest[group] = min(reward, lowest.get(group, reward))
    return torch.tensor([highest[group] > lowest[group] for group in groups], dtype=torch.bool)
