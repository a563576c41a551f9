"""Advantage estimators, as pure functions.

Rewards of whole conversations are (n,); a reward of NaN could not be scored: that sample has advantage 0 and
changes nobody else's. Tensors over tokens are (batch, length), aligned with the ids; the mask is True on
tokens that the policy sampled, and nothing outside the mask influences a result.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

Scale = Literal["group", "batch", "none"]

# -- from the rewards of whole conversations ---------------------------------------------------------------


def _floating(rewards: Tensor) -> Tensor:
    return rewards if rewards.is_floating_point() else rewards.float()


def _members(groups: Sequence[Hashable]) -> Tensor:
    index = {group: position for position, group in enumerate(dict.fromkeys(groups))}
    return torch.tensor([index[group] for group in groups], dtype=torch.long)


def _extremes(rewards: Tensor, members: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest scored reward of each reward's group; inf and -inf without any."""
    infinity = torch.full((size,), float("inf"), dtype=rewards.dtype)
    lowest = infinity.scatter_reduce(0, members, torch.where(rewards.isnan(), float("inf"), rewards), "amin")
    highest = (-infinity).scatter_reduce(
        0, members, torch.where(rewards.isnan(), float("-inf"), rewards), "amax"
    )
    return lowest[members], highest[members]


def _scored(advantages: Tensor, rewards: Tensor) -> Tensor:
    """Return advantages with 0 where the reward is NaN; what is infinite stays, for the learner to refuse."""
    return torch.where(rewards.isnan(), torch.zeros_like(advantages), advantages)


def _group_statistics(rewards: Tensor, groups: Sequence[Hashable]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the count, mean and unbiased deviation of the scored members of each reward's group."""
    members, scored = _members(groups), ~rewards.isnan()
    size = int(members.max()) + 1 if len(members) else 0
    known = torch.where(scored, rewards, 0.0)
    zeros = torch.zeros(size, dtype=rewards.dtype)
    count = zeros.index_add(0, members, scored.to(rewards.dtype))[members]
    mean = zeros.index_add(0, members, known)[members] / count.clamp(min=1)
    lowest, highest = _extremes(rewards, members, size)
    # The mean of equal rewards is that reward, not what rounding makes of their sum.
    mean = torch.where(lowest == highest, lowest, mean)
    squared = torch.where(scored, (known - mean) ** 2, 0.0)
    deviation = (zeros.index_add(0, members, squared)[members] / (count - 1).clamp(min=1)).sqrt()
    return count, mean, deviation


def grpo(
    rewards: Tensor,
    groups: Sequence[Hashable],
    *,
    scale: Scale = "group",
    epsilon: float = 1e-6,
    leave_singletons: bool = True,
) -> Tensor:
    """Return the group-relative advantage (R - mean) / (deviation + epsilon), (n,).

    Args:
        rewards: Rewards, (n,).
        groups: Group of each reward: attempts at one question (GRPO), or all samples of as many hops (HRPO of
            Dr. Zero).
        scale: Divide by the unbiased standard deviation of the `group` (GRPO; SSP's released code), of the
            `batch` (Lite PPO), or not at all, `none` (Dr. GRPO; SSP's equation 4).
        epsilon: Added to the deviation; 1e-6 in verl, 1e-4 in TRL.
        leave_singletons: Give a group of one its raw reward, as verl does; otherwise 0.
    """
    rewards = _floating(rewards)
    count, mean, deviation = _group_statistics(rewards, groups)
    alone = count == 1
    advantages = rewards - mean
    if scale == "batch":
        deviation = _group_statistics(rewards, [0] * len(rewards))[2]
    if scale != "none":
        advantages = advantages / (deviation + epsilon)
    # verl takes mean 0 and deviation 1 for a group of one.
    single = rewards / (1.0 + epsilon) if scale == "group" else rewards
    advantages = torch.where(alone, single if leave_singletons else torch.zeros_like(rewards), advantages)
    return _scored(advantages, rewards)


def rloo(rewards: Tensor, groups: Sequence[Hashable]) -> Tensor:
    """Return R less the mean of the group's other members (RLOO), (n,); raw in a group of one, as in verl."""
    rewards = _floating(rewards)
    count, mean, _ = _group_statistics(rewards, groups)
    others = (rewards - mean) * count / (count - 1).clamp(min=1)
    return _scored(torch.where(count == 1, rewards, others), rewards)


def maxrl(rewards: Tensor, groups: Sequence[Hashable], *, epsilon: float = 1e-6) -> Tensor:
    """Return (R - mean) / mean (MaxRL; rewards from 0 up), (n,); 0 where the mean is at most `epsilon`."""
    rewards = _floating(rewards)
    _, mean, _ = _group_statistics(rewards, groups)
    advantages = (rewards - mean) / mean.clamp(min=epsilon)
    return _scored(torch.where(mean > epsilon, advantages, torch.zeros_like(rewards)), rewards)


def reinforce(rewards: Tensor, *, baseline: float | Tensor = 0.0) -> Tensor:
    """Return the advantage R - b of REINFORCE (SSP equation 5 has b = 0), (n,)."""
    rewards = _floating(rewards)
    return _scored(rewards - baseline, rewards)


class MovingBaseline:
    """Role-conditioned advantages: a moving average of earlier rewards by key (SPIRAL, section 3.3).

    Args:
        decay: Share of the old average that stays at an update; 0.95 in SPIRAL and prime-rl.

    >>> baseline = MovingBaseline(decay=0.5)
    >>> baseline.advantages(torch.tensor([1.0, 1.0]), ["solver", "solver"])
    tensor([1., 1.])
    >>> baseline.advantages(torch.tensor([1.0]), ["solver"])
    tensor([0.2500])
    """

    def __init__(self, decay: float = 0.95) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay must be from 0 to below 1, got {decay}")
        self.decay = decay
        self._averages: dict[str, float] = {}

    def advantages(self, rewards: Tensor, keys: Sequence[str]) -> Tensor:
        """Return rewards less the averages before this call, (n,), then take the rewards in, one by one."""
        rewards = _floating(rewards)
        before = torch.tensor([self._averages.get(key, 0.0) for key in keys], dtype=rewards.dtype)
        for key, reward in zip(keys, rewards.tolist(), strict=True):
            if not math.isnan(reward):
                average = self._averages.get(key, 0.0)
                self._averages[key] = self.decay * average + (1.0 - self.decay) * reward
        return reinforce(rewards, baseline=before)

    def state_dict(self) -> dict[str, float]:
        """Return the averages by key."""
        return dict(self._averages)

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Invert `state_dict`."""
        self._averages = dict(state)


def mixed_groups(rewards: Tensor, groups: Sequence[Hashable]) -> Tensor:
    """Return True where the scored rewards of a reward's group differ, (n,): only those have a gradient."""
    rewards, members = _floating(rewards), _members(groups)
    lowest, highest = _extremes(rewards, members, int(members.max()) + 1 if len(members) else 0)
    return lowest < highest


# -- over tokens -------------------------------------------------------------------------------------------


def broadcast(advantages: Tensor, mask: Tensor) -> Tensor:
    """Give every sampled token the advantage of its conversation, (n,) to (n, length)."""
    return torch.where(mask, advantages[:, None], 0.0)


def token_rewards(
    rewards: Tensor, mask: Tensor, *, turns: Tensor | None = None, turn_rewards: Tensor | None = None
) -> Tensor:
    """Put rewards on tokens: that of the conversation on its last sampled token, those of turns on theirs.

    Args:
        rewards: Rewards of whole conversations, (n,).
        mask: (n, length).
        turns: Number of the sampled turn of each token, -1 elsewhere, (n, length); needed for `turn_rewards`.
        turn_rewards: Rewards of turns, (n, most turns), 0 where there is no such turn.

    Returns:
        (n, length); a row without a sampled token has no reward.

    Raises:
        ValueError: If there are rewards of turns, and no turns.
    """
    rewards = _floating(rewards)
    placed = torch.where(_last(mask), rewards[:, None], 0.0)
    if turn_rewards is not None:
        if turns is None:
            raise ValueError("turn_rewards need `turns`, the number of the turn of each token; got None")
        following = torch.cat([turns[:, 1:], torch.full_like(turns[:, :1], -1)], dim=1)
        ends = mask & (following != turns)
        placed = placed + torch.where(ends, turn_rewards.gather(1, turns.clamp(min=0)), 0.0)
    return placed


def _last(mask: Tensor) -> Tensor:
    """Return True on the last sampled token of each row."""
    after = mask.flip(1).cumsum(1).flip(1)
    return mask & (after == 1)


def unscored_rows(token_rewards: Tensor, mask: Tensor) -> Tensor:
    """Return True for rows with a NaN reward on a sampled token, (batch, 1): they could not be scored."""
    return (mask & token_rewards.isnan()).any(1, keepdim=True)


def gae(
    token_rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    *,
    discount: float = 1.0,
    lam: float | Tensor = 1.0,
    bootstrap: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return generalised advantage estimates and returns over sampled tokens (Schulman et al. 2016).

    delta_t = r_t + discount V_t' - V_t and A_t = delta_t + discount lam A_t', where t' is the next *sampled*
    token: what tools wrote is stepped over, as in verl.

    Args:
        token_rewards: (batch, length).
        values: Value of the state before each sampled token, (batch, length).
        mask: (batch, length).
        discount: Discount per sampled token.
        lam: Weight of longer returns, one number or one per row, (batch,).
        bootstrap: Value after the last sampled token of each row, (batch,); 0 if None, the end of a game.

    Returns:
        Advantages and returns A + V, both (batch, length), without a gradient, and 0 outside the mask. A row
        with a NaN reward has advantage 0, and the values themselves as returns.
    """
    values, unscored = values.detach(), unscored_rows(token_rewards, mask)
    next_value = torch.zeros_like(values[:, 0]) if bootstrap is None else bootstrap.detach().to(values)
    next_advantage = torch.zeros_like(next_value)
    advantages = torch.zeros_like(values)
    for t in range(values.shape[1] - 1, -1, -1):
        sampled = mask[:, t]
        delta = token_rewards[:, t] + discount * next_value - values[:, t]
        advantage = delta + discount * lam * next_advantage
        next_advantage = torch.where(sampled, advantage, next_advantage)
        next_value = torch.where(sampled, values[:, t], next_value)
        advantages[:, t] = torch.where(sampled, advantage, 0.0)
    advantages = torch.where(unscored, 0.0, advantages)
    return advantages, torch.where(mask, advantages + values, 0.0)


def gae_by_turn(
    token_rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    turns: Tensor,
    *,
    discount: float = 1.0,
    lam: float = 1.0,
    bootstrap: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return `gae` with turns as steps: a turn has the value at its first token and the sum of its rewards.

    Args:
        token_rewards: (batch, length).
        values: (batch, length).
        mask: (batch, length).
        turns: Number of the sampled turn of each token, -1 elsewhere, (batch, length).
        discount: Discount per turn.
        lam: Weight of longer returns.
        bootstrap: Value after the last turn of each row, (batch,); 0 if None.

    Returns:
        Advantages and returns, (batch, length): every token of a turn has those of the turn.
    """
    count = max(0, int(turns.max())) + 1
    place = torch.where(mask, turns, 0)
    rewards_by_turn = values.new_zeros(len(values), count).scatter_add(
        1, place, torch.where(mask, token_rewards, 0.0)
    )
    before = torch.cat([torch.full_like(turns[:, :1], -1), turns[:, :-1]], dim=1)
    first = mask & (before != turns)
    values_by_turn = values.new_zeros(len(values), count).scatter_add(
        1, place, torch.where(first, values, 0.0)
    )
    exists = values.new_zeros(len(values), count).scatter_add(1, place, mask.to(values)) > 0
    advantages, returns = gae(
        rewards_by_turn, values_by_turn, exists, discount=discount, lam=lam, bootstrap=bootstrap
    )
    advantages, returns = advantages.gather(1, place), returns.gather(1, place)
    return torch.where(mask, advantages, 0.0), torch.where(mask, returns, 0.0)


def whiten(values: Tensor, mask: Tensor, *, shift_mean: bool = True) -> Tensor:
    """Return values with variance 1, and mean 0 if `shift_mean`, over the mask; 0 outside it.

    (x - mean) / sqrt(variance + 1e-8) with the unbiased variance, as in verl; a single value stays as it is.
    NaN, on tokens that could not be scored, is left out and becomes 0.
    """
    mask = mask & ~values.isnan()
    known = values[mask]
    if len(known) < 2:
        return torch.where(mask, values, 0.0)
    mean = known.mean()
    scaled = (values - mean) * torch.rsqrt(known.var() + 1e-8)
    return torch.where(mask, scaled if shift_mean else scaled + mean, 0.0)


def reinforce_plus_plus(token_rewards: Tensor, mask: Tensor, *, discount: float = 1.0) -> Tensor:
    """Return whitened returns of sampled tokens (REINFORCE++), (batch, length).

    The return of a token is the sum of the rewards from it on, discounted per sampled token: what tools wrote
    is stepped over. Rows with a NaN reward have advantage 0 and are in nobody's mean.
    """
    known = mask & ~unscored_rows(token_rewards, mask)
    zeros = torch.zeros_like(token_rewards)
    returns, _ = gae(torch.where(known, token_rewards, 0.0), zeros, mask, discount=discount, lam=1.0)
    return whiten(returns, known)


def reinforce_plus_plus_baseline(rewards: Tensor, groups: Sequence[Hashable], mask: Tensor) -> Tensor:
    """Return R less the group's mean on every sampled token, whitened over the batch, (n, length).

    A group of one has its raw reward before whitening, as in verl.
    """
    centred = grpo(rewards, groups, scale="none")
    known = mask & ~_floating(rewards).isnan()[:, None]
    return whiten(broadcast(centred, mask), known)
