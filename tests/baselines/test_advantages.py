"""Advantages: the formulas of TRL and verl recomputed in NumPy, and what holds for any rewards."""

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.advantages import (
    MovingBaseline,
    broadcast,
    gae,
    gae_by_turn,
    grpo,
    maxrl,
    mixed_groups,
    reinforce,
    reinforce_plus_plus,
    rloo,
    token_rewards,
    whiten,
)

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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [2, 3, 5, 7, 8])
def test_equal_rewards_are_no_mixed_group_whatever_their_sum_rounds_to(size: int, dtype: torch.dtype):
    for hundredths in range(1, 100):
        rewards = torch.full((size,), hundredths / 100, dtype=dtype)
        assert not mixed_groups(rewards, ["a"] * size).any()
        for advantages in (
            grpo(rewards, ["a"] * size),
            rloo(rewards, ["a"] * size),
            maxrl(rewards, [0] * size),
        ):
            assert not advantages.any()


def test_an_infinite_reward_is_not_hidden_from_the_learner():
    rewards = torch.tensor([float("inf"), 0.0, 1.0])
    for advantages in (reinforce(rewards), grpo(rewards, ["a"] * 3), rloo(rewards, ["a"] * 3)):
        assert not torch.isfinite(advantages[0])


def test_rloo_and_maxrl_on_numbers_worked_out_by_hand():
    rewards = torch.tensor([1.0, 0.0, 0.5, 0.0, float("nan")], dtype=torch.float64)
    groups = ["a", "a", "a", "b", "a"]
    expected = torch.tensor([0.75, -0.75, 0.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(rloo(rewards, groups), expected)
    expected = torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(maxrl(rewards, groups), expected)


def test_a_moving_baseline_is_the_one_before_the_update():
    moving = MovingBaseline(decay=0.5)
    nan = float("nan")
    got = moving.advantages(torch.tensor([1.0, nan, 1.0, 0.5]), ["solver", "solver", "solver", "proposer"])
    assert got.tolist() == [1.0, 0.0, 1.0, 0.5]
    again = MovingBaseline(decay=0.5)
    again.load_state_dict(moving.state_dict())
    assert again.advantages(torch.tensor([1.0, 0.0]), ["solver", "proposer"]).tolist() == [0.25, -0.25]


# -- over tokens ---------------------------------------------------------------------------------------


def token_batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rewards per token, values and a mask with gaps, and values after the last tokens."""
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randn(4, 9, generator=generator, dtype=torch.float64)
    values = torch.randn(4, 9, generator=generator, dtype=torch.float64)
    mask = torch.rand(4, 9, generator=generator) < 0.6
    return rewards, values, mask, torch.randn(4, generator=generator, dtype=torch.float64)


@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_gae_is_the_sum_written_out(seed: int, discount: float, lam: float, truncated: bool):
    rewards, values, mask, bootstrap = token_batch(seed)
    last = bootstrap if truncated else None
    got, returns = gae(rewards, values, mask, discount=discount, lam=lam, bootstrap=last)
    assert got.dtype == torch.float64 and not got[~mask].any() and not returns[~mask].any()
    torch.testing.assert_close(returns[mask], (got + values)[mask])
    for row in range(len(mask)):
        places = mask[row].nonzero()[:, 0].tolist()
        after = [*values[row, places[1:]].tolist(), float(bootstrap[row]) if truncated else 0.0]
        deltas = [
            float(rewards[row, place] - values[row, place]) + discount * following
            for place, following in zip(places, after)
        ]
        for number, place in enumerate(places):
            total = sum((discount * lam) ** k * delta for k, delta in enumerate(deltas[number:]))
            assert float(got[row, place]) == pytest.approx(total, abs=1e-9)


@given(st.integers(0, 10**6), st.sampled_from([float("nan"), float("inf"), 1e9]))
def test_what_stands_outside_the_mask_plays_no_part(seed: int, rubbish: float):
    rewards, values, mask, _ = token_batch(seed)
    turns = torch.where(mask, (~mask).cumsum(1), -1)
    spoiled = [torch.where(mask, tensor, rubbish) for tensor in (rewards, values)]
    for function in (
        lambda r, v: gae(r, v, mask, lam=0.9)[0],
        lambda r, v: gae(r, v, mask, lam=0.9)[1],
        lambda r, v: gae_by_turn(r, v, mask, turns, lam=0.9)[0],
        lambda r, v: reinforce_plus_plus(r, mask, discount=0.9),
        lambda r, v: whiten(v, mask),
    ):
        assert torch.equal(function(*spoiled), function(rewards, values))
        assert not function(*spoiled)[~mask].any()


@given(st.integers(0, 10**6))
def test_a_row_that_could_not_be_scored_has_no_advantage_and_changes_no_other(seed: int):
    rewards, values, mask, _ = token_batch(seed)
    turns = torch.where(mask, (~mask).cumsum(1), -1)
    mask[1, 4], turns[1, 4] = True, 4
    spoiled = rewards.clone()
    spoiled[1, 4] = float("nan")
    others = [0, 2, 3]
    advantages, returns = gae(spoiled, values, mask, lam=0.9)
    assert not advantages[1].any()
    torch.testing.assert_close(returns[1], values[1] * mask[1])
    torch.testing.assert_close(advantages[others], gae(rewards, values, mask, lam=0.9)[0][others])
    assert torch.isfinite(gae_by_turn(spoiled, values, mask, turns)[0]).all()
    got = reinforce_plus_plus(spoiled, mask)
    torch.testing.assert_close(got[others], reinforce_plus_plus(rewards[others], mask[others]))
    assert not got[1].any()


def test_advantages_carry_no_gradient_to_the_critic():
    rewards, values, mask, bootstrap = token_batch(0)
    found = gae(rewards, values.requires_grad_(), mask, bootstrap=bootstrap.requires_grad_())
    assert not any(tensor.requires_grad for tensor in found)


def test_rewards_stand_on_sampled_tokens_of_their_turn():
    mask = torch.tensor([[False, True, True, False, True, False], [False] * 6])
    turns = torch.tensor([[-1, 0, 0, -1, 1, -1], [-1] * 6])
    by_turn = torch.tensor([[0.5, 0.25], [9.0, 9.0]])
    placed = token_rewards(torch.tensor([1.0, 7.0]), mask, turns=turns, turn_rewards=by_turn)
    assert placed.tolist() == [[0.0, 0.0, 0.5, 0.0, 1.25, 0.0], [0.0] * 6]
    with pytest.raises(ValueError, match="turn_rewards need `turns`"):
        token_rewards(torch.tensor([1.0, 7.0]), mask, turn_rewards=by_turn)


def test_a_turn_is_one_step_with_the_value_at_its_first_token():
    mask = torch.tensor([[True, True, False, True, True]])
    turns = torch.tensor([[0, 0, -1, 1, 1]])
    rewards, values = torch.tensor([[0.0, 0.5, 0, 0, 1]]), torch.tensor([[0.2, 9.0, 9.0, 0.6, 9.0]])
    advantages, returns = gae_by_turn(rewards, values, mask, turns, discount=0.9, lam=0.5)
    last = 1.0 - 0.6
    first = 0.5 + 0.9 * 0.6 - 0.2 + 0.9 * 0.5 * last
    torch.testing.assert_close(advantages, torch.tensor([[first, first, 0.0, last, last]]))
    torch.testing.assert_close(returns, torch.tensor([[first + 0.2, first + 0.2, 0.0, 1.0, 1.0]]))


def test_whitened_values_have_mean_0_and_variance_1_over_what_was_scored():
    _, values, mask, _ = token_batch(0)
    values[0, mask[0].nonzero()[0]] = float("nan")
    got = whiten(values, mask)
    known = got[mask & ~values.isnan()]
    assert float(known.mean()) == pytest.approx(0.0, abs=1e-9) and float(known.var()) == pytest.approx(1.0)
    kept = whiten(values, mask, shift_mean=False)
    torch.testing.assert_close(
        (kept - got)[mask & ~values.isnan()].std(), torch.zeros((), dtype=torch.float64)
    )
    assert not got[~mask].any() and not got.isnan().any()


def test_broadcast_gives_sampled_tokens_the_advantage_of_their_row():
    mask = torch.tensor([[True, False], [False, True]])
    assert broadcast(torch.tensor([2.0, 3.0]), mask).tolist() == [[2.0, 0.0], [0.0, 3.0]]


@pytest.mark.parametrize("estimate", [grpo, rloo, maxrl], ids=["grpo", "rloo", "maxrl"])
def test_rewards_of_other_types_are_converted(estimate):
    groups = ["a", "a", "a", "b", "b"]
    floats = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])
    expected = estimate(floats, groups)
    for dtype in (torch.int64, torch.int32, torch.bool, torch.float64):
        got = estimate(floats.to(dtype), groups)
        assert got.is_floating_point() and torch.allclose(got.float(), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("estimate", [grpo, rloo, maxrl], ids=["grpo", "rloo", "maxrl"])
def test_one_reward_that_is_nan_leaves_the_others_of_its_group_as_without_it(estimate, dtype):
    rewards = torch.tensor([1.0, float("nan"), 0.0, 0.0, 1.0], dtype=dtype)
    got = estimate(rewards, ["a", "a", "a", "a", "b"])
    without = estimate(rewards[[0, 2, 3, 4]], ["a", "a", "a", "b"])
    assert got[1] == 0
    assert torch.equal(got[[0, 2, 3, 4]], without)
