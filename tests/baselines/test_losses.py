"""Losses: slow reference loops, closed forms, and which tokens a gradient may reach."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines.losses import (
    aggregate,
    importance_weights,
    kl,
    policy_loss,
    sampled_logprobs_and_entropy,
    value_loss,
)


def random_batch(seed: int, batch: int = 3, length: int = 7) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-probabilities now and at sampling time, advantages per row, and a mask with gaps."""
    generator = torch.Generator().manual_seed(seed)
    old = -3 * torch.rand(batch, length, generator=generator)
    new = old + 0.5 * torch.randn(batch, length, generator=generator)
    advantages = torch.randn(batch, generator=generator)
    mask = torch.rand(batch, length, generator=generator) < 0.6
    return new, old, advantages, mask


def slow_loss(
    new: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, low: float, high: float
) -> np.ndarray:
    result = np.zeros(new.shape)
    for row in range(new.shape[0]):
        for place in range(new.shape[1]):
            if not mask[row, place]:
                continue
            advantage = float(advantages[row] if advantages.dim() == 1 else advantages[row, place])
            ratio = math.exp(float(new[row, place]) - float(old[row, place]))
            bounded = max(1 - low, min(1 + high, ratio))
            result[row, place] = -min(ratio * advantage, bounded * advantage)
    return result


@given(st.integers(0, 10**6), st.floats(0.05, 0.5), st.floats(0.05, 0.5), st.booleans())
def test_the_clipped_loss_is_the_written_formula(seed: int, low: float, high: float, per_token: bool):
    new, old, advantages, mask = random_batch(seed)
    if per_token:
        advantages = advantages[:, None] * torch.linspace(-1, 1, new.shape[1])
    got = policy_loss(new, old, advantages, mask, clip_low=low, clip_high=high).losses
    np.testing.assert_allclose(got, slow_loss(new, old, advantages, mask, low, high), atol=1e-5)


def test_the_default_range_is_that_of_dapo():
    new, old, advantages, mask = random_batch(0, 8, 16)
    np.testing.assert_allclose(
        policy_loss(new, old, advantages, mask).losses,
        slow_loss(new, old, advantages, mask, 0.2, 0.28),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("ratio", "advantage", "passes"),
    [
        (1.27, 1.0, True),
        (1.29, 1.0, False),
        (0.5, 1.0, True),
        (0.81, -1.0, True),
        (0.79, -1.0, False),
        (2.0, -1.0, True),
    ],
)
def test_the_gradient_stops_where_the_ratio_has_gone_far_enough(ratio: float, advantage: float, passes: bool):
    new = torch.tensor([[math.log(ratio)]], requires_grad=True)
    mask = torch.ones(1, 1, dtype=torch.bool)
    policy_loss(new, torch.zeros(1, 1), torch.tensor([advantage]), mask).losses.sum().backward()
    assert float(new.grad) == pytest.approx(-ratio * advantage if passes else 0.0)


@given(st.integers(0, 10**6))
def test_on_policy_the_gradient_is_that_of_reinforce(seed: int):
    new, _, advantages, mask = random_batch(seed)
    new.requires_grad_()
    policy_loss(new, new.detach(), advantages, mask).losses.sum().backward()
    torch.testing.assert_close(new.grad, -advantages[:, None] * mask)


@pytest.mark.parametrize("rubbish", [float("inf"), float("-inf"), float("nan"), 1e6])
def test_nothing_outside_the_mask_matters(rubbish: float):
    new, old, advantages, mask = random_batch(1)
    mask[0] = False
    expected = policy_loss(new, old, advantages, mask).losses
    spoiled = new.clone().requires_grad_()
    got = policy_loss(spoiled, torch.where(mask, old, torch.tensor(rubbish)), advantages, mask).losses
    assert torch.equal(got, expected)
    got.sum().backward()
    assert torch.isfinite(spoiled.grad).all()
    assert not spoiled.grad[~mask].any() and not got[~mask].any()


# -- log-probabilities and entropy ---------------------------------------------------------------------


def over_sequence(logits: Tensor, ids: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies of every token given those before it; 0 for the first."""
    batch, length, vocabulary = logits.shape
    rows = logits[:, :-1].reshape(-1, vocabulary)
    found = sampled_logprobs_and_entropy(rows, ids[:, 1:].reshape(-1), temperature)
    first = torch.zeros(batch, 1)
    logprobs, entropy = (torch.cat([first, each.view(batch, length - 1)], dim=1) for each in found)
    return logprobs, entropy


def token_logprobs(logits: Tensor, ids: Tensor, temperature: float = 1.0) -> Tensor:
    return over_sequence(logits, ids, temperature)[0]


def token_entropy(logits: Tensor) -> Tensor:
    return over_sequence(logits, torch.zeros(logits.shape[:2], dtype=torch.long))[1]


def random_logits(seed: int, batch: int = 2, length: int = 5, vocabulary: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(batch, length, vocabulary, generator=generator)
    return logits, torch.randint(vocabulary, (batch, length), generator=generator)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 1.0, 2.0]))
def test_token_logprobs_and_entropy_are_those_of_the_tempered_softmax_before_the_token(
    seed: int, temperature: float
):
    logits, ids = random_logits(seed)
    logprobs, entropy = over_sequence(logits, ids, temperature)
    assert logprobs.shape == entropy.shape == ids.shape
    assert not logprobs[:, 0].any() and not entropy[:, 0].any()
    scores = np.exp(logits.double().numpy() / temperature)
    shares = scores / scores.sum(-1, keepdims=True)
    for row in range(ids.shape[0]):
        for place in range(1, ids.shape[1]):
            share = shares[row, place - 1]
            assert float(logprobs[row, place]) == pytest.approx(math.log(share[ids[row, place]]), abs=1e-5)
            assert float(entropy[row, place]) == pytest.approx(-(share * np.log(share)).sum(), abs=1e-5)


def test_entropy_runs_from_zero_to_the_logarithm_of_the_vocabulary():
    certain = torch.zeros(1, 2, 8)
    certain[..., 3] = 100.0
    assert float(token_entropy(certain)[0, 1]) == pytest.approx(0.0, abs=1e-6)
    assert float(token_entropy(torch.zeros(1, 2, 8))[0, 1]) == pytest.approx(math.log(8))


def test_log_softmax_is_taken_in_single_precision():
    logits, ids = random_logits(0)
    half = logits.to(torch.bfloat16)
    assert token_logprobs(half, ids).dtype == torch.float32
    assert torch.equal(token_logprobs(half, ids), token_logprobs(half.float(), ids))


# -- a bandit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_on_a_three_armed_bandit_the_expected_gradient_is_the_closed_form(temperature: float):
    """d/dz_a of sum_b p_b R_b is p_a (R_a - sum_b p_b R_b) / T, for p = softmax(z / T)."""
    scores = torch.tensor([0.2, -0.5, 0.9], requires_grad=True)
    rewards = torch.tensor([1.0, 0.0, 0.3])
    shares = (scores.detach() / temperature).softmax(0)
    # Every arm once, weighted by how often it is pulled; token 0 stands for the prompt.
    ids = torch.tensor([[0, 0], [0, 1], [0, 2]])
    logprobs = token_logprobs(scores.expand(3, 2, 3), ids, temperature)
    mask = torch.tensor([[False, True]] * 3)
    policy_loss(logprobs, logprobs.detach(), shares * rewards, mask).losses.sum().backward()
    expected = shares * (rewards - (shares * rewards).sum()) / temperature
    torch.testing.assert_close(-scores.grad, expected)


def test_reinforce_finds_the_best_arm():
    generator = torch.Generator().manual_seed(0)
    scores = torch.zeros(3, requires_grad=True)
    rewards = torch.tensor([0.2, 0.9, 0.5])
    optimizer = torch.optim.SGD([scores], lr=0.5)
    for _ in range(200):
        arms = torch.multinomial(scores.detach().softmax(0), 16, replacement=True, generator=generator)
        ids = torch.stack([torch.zeros_like(arms), arms], dim=1)
        logprobs = token_logprobs(scores.expand(16, 2, 3), ids)
        earned = rewards[arms]
        mask = torch.tensor([[False, True]] * 16)
        loss = policy_loss(logprobs, logprobs.detach(), earned - earned.mean(), mask).losses.sum() / 16
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(scores.detach().softmax(0)[1]) > 0.9


# -- the other losses ----------------------------------------------------------------------------------


def test_the_first_ratio_is_exactly_1_and_nothing_is_clipped():
    new, _, advantages, mask = random_batch(0)
    for kind in ("clip", "gspo", "cispo"):
        found = policy_loss(new, new, advantages, mask, kind=kind, clip_high=5.0 if kind == "cispo" else 0.28)
        assert torch.equal(found.ratio, torch.ones_like(new)) and not found.clipped.any()


def test_kl_estimates_are_schulmans():
    new, old, _, mask = random_batch(0)
    log_ratio = (new - old)[mask]
    expected = {"k1": log_ratio, "k2": log_ratio**2 / 2, "k3": (-log_ratio).exp() - 1 + log_ratio}
    for estimator, numbers in expected.items():
        got = kl(new, torch.where(mask, old, float("nan")), mask, estimator=estimator)
        torch.testing.assert_close(got[mask], numbers)
        assert not got[~mask].any()


def test_the_value_loss_is_the_larger_of_the_two_and_of_sampled_and_scored_tokens_only():
    values = torch.tensor([[1.0, 0.2, 5.0, 1.0]], requires_grad=True)
    old = torch.tensor([[0.0, 0.0, 9.0, 0.0]])
    returns = torch.tensor([[1.0, 1.0, float("nan"), float("nan")]])
    mask = torch.tensor([[True, True, False, True]])
    losses = value_loss(values, old, returns, mask, clip=0.5)
    torch.testing.assert_close(losses, torch.tensor([[0.125, 0.32, 0.0, 0.0]]))
    losses.sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([[0.0, -0.8, 0.0, 0.0]]))
    assert float(value_loss(values.detach(), old, returns, mask, clip=None)[0, 0]) == 0.0


def test_importance_weights_are_capped_and_carry_no_gradient():
    old = torch.tensor([[0.0, -1.0, -1.0]], requires_grad=True)
    sampled = torch.tensor([[float("nan"), -1.5, -2.5]])
    mask = torch.tensor([[False, True, True]])
    by_token = importance_weights(old, sampled, mask)
    torch.testing.assert_close(by_token, torch.tensor([[1.0, math.exp(0.5), 2.0]]))
    by_sequence = importance_weights(old, sampled, mask, level="sequence", cap=100.0)
    torch.testing.assert_close(by_sequence, torch.tensor([[1.0, math.exp(2.0), math.exp(2.0)]]))
    assert not by_token.requires_grad


@pytest.mark.parametrize("normaliser", ["token", "sequence", "constant"])
def test_micro_batches_with_global_totals_add_up(normaliser: str):
    generator = torch.Generator().manual_seed(0)
    losses, mask = torch.randn(6, 5, generator=generator), torch.rand(6, 5, generator=generator) < 0.5
    mask[2] = False
    totals = {"tokens": float(mask.sum()), "sequences": float(mask.any(1).sum()), "length": 5.0}
    parts = [
        aggregate(losses[rows], mask[rows], normaliser=normaliser, **totals)
        for rows in (slice(0, 2), slice(2, 3), slice(3, 6))
    ]
    whole = aggregate(losses, mask, normaliser=normaliser, length=5.0)
    torch.testing.assert_close(sum(parts), whole)


def test_a_constant_normaliser_needs_its_length():
    with pytest.raises(ValueError, match="needs the length"):
        aggregate(torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool), normaliser="constant")
