"""The advantage estimator `ssp` of verl: rewards within a group, or raw where there is nothing to compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from baselines.advantages import broadcast, grpo


def ssp_advantage(
    token_level_rewards: Tensor,
    response_mask: Tensor,
    index: Sequence[Any],
    config: Any = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Return the advantages of a batch of both roles, and again as returns.

    The reward of a conversation is the sum over its tokens, whoever wrote them: a reward that stands on an
    observation is not lost. Attempts at one question and proposals for one answer are compared (GRPO); a
    conversation that is alone in its group, as the paper's proposals are, has its raw reward (REINFORCE).

    Args:
        token_level_rewards: (n, length).
        response_mask: 1 where the policy sampled, (n, length).
        index: Group of each conversation: verl's `uid`, which `GameAgentLoopWorker` sets.
        config: verl's `algorithm`; `norm_adv_by_std_in_grpo: false` divides by no deviation (Dr. GRPO).
        _: What verl passes to other estimators.
    """
    normalised = True if config is None else config.get("norm_adv_by_std_in_grpo", True)
    # A few numbers a conversation: they are compared on the CPU, wherever the tokens are.
    rewards, groups = token_level_rewards.sum(-1).cpu(), [str(group) for group in index]
    sizes = Counter(groups)
    compared = grpo(rewards, groups, scale="group" if normalised else "none")
    alone = torch.tensor([sizes[group] == 1 for group in groups])
    raw = rewards.nan_to_num(nan=0.0)
    of_conversation = torch.where(alone, raw, compared).to(response_mask.device)
    advantages = broadcast(of_conversation, response_mask.bool())
    return advantages, advantages
