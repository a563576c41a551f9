"""Advantages: the formulas of TRL and verl recomputed in NumPy, and what holds for any rewards."""

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.advantages import grpo, mixed_groups, reinforce

Scale = Literal["group", "batch", "none"]
REWARDS = st.floats(-2, 2, width=32)
ROWS = st.lists(st.tuples(REWARDS, st.sampled_from(["a", "b", 3, ("c", 1)])), min_size=1, max_size=20)
# Rewards far enough apart for their spread to survive float32, as outcome rewards are.
COARSE_ROWS = st.lists(
    st.tuples(st.integers(-8, 8).map(lambda k: k / 8), st.integers(0, 3)), min_size=1, max_size=20
)


def split(rows: Sequence[tuple[float, Hashable]]) -> tuple[torch.Tensor, list[Hashable]]:
    return torch.tensor([reward for reward, _ in rows]), [group for _, group in rows]


def reference(rewards: Sequence[float], groups: Sequence[Hashable], epsilon: float | None) -> np.ndarray:
    """(R - mean) / (std + epsilon) with Bessel's correction, one by one; Dr. GRPO if epsilon is None."""
    result = []
    for reward, group in zip(rewards, groups):
        members = np.array([r for r, g in zip(rewards, groups) if g == group], dtype=np.float64)
        mean, deviation = (members.mean(), members.std(ddof=1)) if len(members) > 1 else (0.0, 1.0)
        result.append((reward - mean) / (1.0 if epsilon is None else deviation + epsilon))
    return np.array(result)


@pytest.mark.parametrize("epsilon", [1e-6, 1e-4], ids=["verl", "TRL"])
@given(rows=COARSE_ROWS)
def test_grpo_is_the_written_formula(epsilon: float, rows: list[tuple[float, int]]):
    rewards, groups = split(rows)
    got = grpo(rewards, groups, epsilon=epsilon)
    np.testing.assert_allclose(got, reference(rewards.tolist(), groups, epsilon), atol=2e-3, rtol=2e-4)


def test_grpo_on_numbers_worked_out_by_hand():
    rewards = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    groups = ["x", "x", "x", "x", "y", "y"]
    # Unbiased standard deviation of (1, 0, 0, 0) is 1/2.
    expected = [0.75 / 0.5001, *[-0.25 / 0.5001] * 3, 0.0, 0.0]
    torch.testing.assert_close(grpo(rewards, groups, epsilon=1e-4), torch.tensor(expected))


def test_the_default_epsilon_is_that_of_verl():
    rewards = torch.tensor([0.001, 0.0])
    assert torch.equal(grpo(rewards, [0, 0]), grpo(rewards, [0, 0], epsilon=1e-6))
    assert not torch.allclose(grpo(rewards, [0, 0]), grpo(rewards, [0, 0], epsilon=1e-4))


@given(ROWS)
def test_without_the_deviation_it_is_dr_grpo(rows: list[tuple[float, Hashable]]):
    rewards, groups = split(rows)
    got = grpo(rewards, groups, scale="none")
    np.testing.assert_allclose(got, reference(rewards.tolist(), groups, None), atol=1e-6)


@given(COARSE_ROWS, st.sampled_from(["group", "none"]))
def test_advantages_of_a_group_sum_to_zero(rows: list[tuple[float, int]], scale: Scale):
    rewards, groups = split(rows)
    advantages = grpo(rewards, groups, scale=scale)
    for group in set(groups):
        members = advantages[[g == group for g in groups]]
        if len(members) > 1:
            assert float(members.mean()) == pytest.approx(0.0, abs=1e-4 if scale == "group" else 1e-6)


@given(COARSE_ROWS, st.sampled_from(["group", "none"]), st.randoms(use_true_random=False))
def test_the_order_of_the_rewards_plays_no_part(rows: list[tuple[float, int]], scale: Scale, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    rewards, groups = split(rows)
    shuffled = grpo(rewards[order], [groups[place] for place in order], scale=scale)
    torch.testing.assert_close(shuffled, grpo(rewards, groups, scale=scale)[order], atol=1e-4, rtol=1e-4)


@given(COARSE_ROWS, st.sampled_from(["group", "none"]))
def test_groups_do_not_see_one_another(rows: list[tuple[float, int]], scale: Scale):
    rewards, groups = split(rows)
    alone = [group == groups[0] for group in groups]
    own = grpo(rewards[alone], [groups[0]] * sum(alone), scale=scale)
    torch.testing.assert_close(grpo(rewards, groups, scale=scale)[alone], own, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_a_group_of_one_keeps_its_raw_reward(scale: Scale):
    advantages = grpo(torch.tensor([0.7, 1.0, 0.0]), ["only", "two", "two"], scale=scale)
    assert float(advantages[0]) == pytest.approx(0.7, abs=1e-5)


def test_reinforce_subtracts_the_baseline_and_nothing_by_default():
    rewards = torch.tensor([1.0, 0.25, 0.0])
    assert torch.equal(reinforce(rewards), rewards)
    torch.testing.assert_close(reinforce(rewards, baseline=0.25), torch.tensor([0.75, 0.0, -0.25]))


@given(COARSE_ROWS)
def test_mixed_groups_are_those_with_different_rewards(rows: list[tuple[float, int]]):
    rewards, groups = split(rows)
    expected = [len({r for r, g in rows if g == group}) > 1 for group in groups]
    mixed = mixed_groups(rewards, groups)
    assert mixed.tolist() == expected and mixed.dtype == torch.bool
    shared = [groups.count(group) > 1 for group in groups]
    # What is left out of a group of several has no advantage to lose.
    assert not grpo(rewards, groups, scale="none")[torch.tensor(shared) & ~mixed].abs().gt(1e-6).any()
