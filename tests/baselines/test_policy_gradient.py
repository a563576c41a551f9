"""What GRPO, REINFORCE and PPO share."""

import math

import pytest
import torch

from baselines.learner import Totals
from baselines.policies.causal_lm import Scores
from baselines.policy_gradient import PolicyGradientConfig, surrogate_loss
from baselines.samples import Batch


def test_the_kl_of_an_update_is_that_of_the_old_policy_from_the_new_one():
    """Two actions are there as often as the old policy takes them, so the mean of k3 is the divergence."""
    old, new = torch.tensor([[0.25, 0.75, 0.75, 0.75]]).log(), torch.full((1, 4), 0.5).log()
    mask = torch.ones(1, 4, dtype=torch.bool)
    batch = Batch(mask.long(), mask, mask, mask.long() - 1, old, {"old_logprobs": old, "advantages": 0 * old})
    loss = surrogate_loss(batch, Scores(new, 0 * new, new), Totals(4, 1), PolicyGradientConfig())
    divergence = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert float(loss.sums["update_kl"]) / 4 == pytest.approx(divergence)
