"""Our advantages and losses equal those of verl 0.9 where verl's are right, in float64."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from baselines.advantage_checks import DISCOUNT, LAMBDA, check_estimator
from baselines.advantages import (
    broadcast,
    gae,
    grpo,
    reinforce_plus_plus,
    reinforce_plus_plus_baseline,
    rloo,
    token_rewards,
    whiten,
)
from baselines.losses import aggregate, kl, policy_loss, value_loss
from baselines.verl_estimators import verl_estimators

verl = pytest.importorskip(
    "verl.trainer.ppo.core_algos",
    reason="needs verl 0.9: make parity",
    exc_type=ImportError,
)
pytestmark = pytest.mark.filterwarnings("default")

SEEDS = range(20)


def batch(seed: int):
    """Outcome rewards, groups of two or more, values, and a mask with gaps."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(6, 11, generator=generator) < 0.6
    mask[:, -1] = True
    rewards = torch.rand(6, generator=generator, dtype=torch.float64)
    values = torch.rand(6, 11, generator=generator, dtype=torch.float64)
    return rewards, ["a", "b", "a", "b", "b", "a"], values, mask


def close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_group_advantages(seed: int):
    rewards, groups, _, mask = batch(seed)
    placed, numbers, index = token_rewards(rewards, mask), mask.double(), np.array(groups)
    theirs = verl.compute_grpo_outcome_advantage(placed.clone(), numbers, index)[0]
    close(broadcast(grpo(rewards, groups), mask), theirs)
    theirs = verl.compute_grpo_outcome_advantage(
        placed.clone(), numbers, index, norm_adv_by_std_in_grpo=False
    )[0]
    close(broadcast(grpo(rewards, groups, scale="none"), mask), theirs)
    theirs = verl.compute_rloo_outcome_advantage(placed.clone(), numbers, index)[0]
    close(broadcast(rloo(rewards, groups), mask), theirs)
    theirs = verl.compute_reinforce_plus_plus_baseline_outcome_advantage(placed.clone(), numbers, index)[0]
    close(reinforce_plus_plus_baseline(rewards, groups, mask), theirs)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("discount", "lam"), [(1.0, 1.0), (1.0, 0.95), (0.9, 0.5)])
def test_advantages_over_tokens(seed: int, discount: float, lam: float):
    rewards, _, values, mask = batch(seed)
    placed, numbers = token_rewards(rewards, mask), mask.double()
    advantages, returns = gae(placed, values, mask, discount=discount, lam=lam)
    theirs, their_returns = verl.compute_gae_advantage_return(placed, values, numbers, discount, lam)
    close(whiten(advantages, mask), theirs * numbers)
    close(returns, their_returns * numbers)
    config = SimpleNamespace(gamma=discount)
    theirs = verl.compute_reinforce_plus_plus_outcome_advantage(placed.clone(), numbers, config=config)[0]
    close(reinforce_plus_plus(placed, mask, discount=discount), theirs)


def test_verl_loses_a_reward_that_stands_on_the_last_observation():
    """Its reward managers pay the last token of an episode, whoever wrote it."""
    mask = torch.tensor([[True, True, False, False]])
    values = torch.full((1, 4), 0.5, dtype=torch.float64)
    paid_last = torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    _, lost = verl.compute_gae_advantage_return(paid_last, values, mask.double(), 1.0, 1.0)
    assert lost[mask].tolist() == [0.0, 0.0]
    ours = token_rewards(torch.ones(1, dtype=torch.float64), mask)
    _, returns = gae(ours, values, mask)
    assert returns[mask].tolist() == [1.0, 1.0]


def test_the_conformance_kit_says_where_verl_differs():
    failed = {
        name: {result.case for result in check_estimator(estimator, kind) if not result.passed}
        for name, (kind, estimator) in verl_estimators(DISCOUNT, LAMBDA).items()
    }
    assert len(failed) == 7
    losing = {name for name, cases in failed.items() if "reward on an observation" in cases}
    assert losing == {"verl: GAE", "verl: REINFORCE++"}
    assert all(cases - {"reward on an observation"} == {"failed scorer"} for cases in failed.values())


class Config(SimpleNamespace):
    def get(self, name, default=None):
        return getattr(self, name, default)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("normaliser", "mode"), [("token", "token-mean"), ("sequence", "seq-mean-token-mean")]
)
def test_losses(seed: int, normaliser: str, mode: str):
    _, _, advantages, mask = batch(seed)
    generator = torch.Generator().manual_seed(seed)
    numbers, advantages = mask.double(), advantages - 0.5
    new, old = -torch.rand(2, 6, 11, generator=generator, dtype=torch.float64)
    config = Config(
        clip_ratio=0.2, clip_ratio_low=0.2, clip_ratio_high=0.28, clip_ratio_c=3.0, global_batch_info={}
    )
    our, their = new.clone().requires_grad_(), new.clone().requires_grad_()
    losses = policy_loss(our, old, advantages, mask, dual_clip=3.0).losses
    loss = aggregate(losses, mask, normaliser=normaliser)
    expected, _ = verl.compute_policy_loss_vanilla(old, their, advantages, numbers, mode, config)
    loss.backward()
    expected.backward()
    close(loss, expected)
    close(our.grad, their.grad)
    for estimator in ("k1", "k3"):
        close(kl(new, old, mask, estimator=estimator), verl.kl_penalty(new, old, estimator) * numbers)
    losses = value_loss(new, old, advantages, mask, clip=0.5)
    expected, _ = verl.compute_value_loss(new, advantages, old, numbers, 0.5, mode)
    close(aggregate(losses, mask, normaliser=normaliser), expected)
