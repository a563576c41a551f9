"""The conformance kit: our estimators pass it, and it catches the faults that published trainers have."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines import advantages
from baselines.advantage_checks import DISCOUNT, ESTIMATORS, LAMBDA, assert_conforms, check_estimator


@pytest.mark.parametrize("name", ESTIMATORS)
def test_our_estimators_conform(name: str):
    kind, estimator = ESTIMATORS[name]
    assert_conforms(estimator, kind)
    assert len(check_estimator(estimator, kind)) >= 5


def failed(estimator, kind: str) -> set[str]:
    return {result.case for result in check_estimator(estimator, kind) if not result.passed}


def walk_through_observations(rewards, values, mask, groups):
    """Takes tool results for steps of the policy."""
    everywhere = torch.ones_like(mask)
    found, _ = advantages.gae(rewards.nan_to_num(0.0), values, everywhere, discount=DISCOUNT, lam=LAMBDA)
    return found * mask


def reward_on_the_last_token(rewards, values, mask, groups):
    """Moves the outcome to the last column, which may be an observation, where it is lost."""
    outcomes = torch.zeros_like(rewards)
    outcomes[:, -1] = rewards.nan_to_num(0.0).sum(1)
    found, _ = advantages.gae(torch.where(mask, outcomes, 0.0), values, mask, lam=LAMBDA)
    return found


def mean_of_all(rewards, values, mask, groups):
    """Lets a reward that could not be scored into the mean."""
    outcomes = rewards.sum(1)
    return (outcomes - outcomes.mean())[:, None] * mask


def ends_found_by_reward(rewards, values, mask, groups):
    """Looks for the end of an episode where the reward is not zero."""
    ends = [row.nonzero()[0, 0] for row in rewards]
    return torch.stack([row * float(end) for row, end in zip(mask, ends)])


def on_every_token(rewards, values, mask, groups):
    return advantages.grpo(rewards.sum(1), groups)[:, None].expand(mask.shape)


def only_what_was_sampled_is_paid(rewards, values, mask, groups):
    """Takes tokens for steps, and drops what stands on the others."""
    return advantages.gae(rewards, values, mask, discount=DISCOUNT, lam=LAMBDA)[0]


def only_sampled_outcomes(rewards, values, mask, groups):
    return advantages.broadcast(advantages.grpo((rewards * mask).sum(1), groups), mask)


def refusing(rewards, values, mask, groups):
    if rewards[~mask].any():
        raise ValueError("rewards must stand on sampled tokens")
    return only_what_was_sampled_is_paid(rewards, values, mask, groups)


def test_a_reward_on_an_observation_may_be_refused():
    assert failed(refusing, "critic") == set()


@pytest.mark.parametrize(
    ("estimator", "kind", "cases"),
    [
        (walk_through_observations, "critic", {"gap", "mask"}),
        (reward_on_the_last_token, "critic", {"observation at the end"}),
        (only_what_was_sampled_is_paid, "critic", {"reward on an observation"}),
        (only_what_was_sampled_is_paid, "turn", {"gap", "reward on an observation"}),
        (only_sampled_outcomes, "group", {"reward on an observation"}),
        (mean_of_all, "group", {"failed scorer"}),
        (ends_found_by_reward, "critic", {"all rewards zero"}),
        (on_every_token, "group", {"mask", "KL in the reward"}),
    ],
)
def test_known_faults_are_caught(estimator, kind: str, cases: set[str]):
    assert cases <= failed(estimator, kind)
    with pytest.raises(AssertionError, match=min(cases)):
        assert_conforms(estimator, kind)


ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from("ab")), min_size=2, max_size=8)


@given(
    ROWS,
    st.integers(0, 7),
    st.sampled_from([name for name, (kind, _) in ESTIMATORS.items() if kind == "group"]),
)
def test_a_failed_scorer_changes_nobody_elses_advantage(rows: list[tuple[float, str]], place: int, name: str):
    estimator = ESTIMATORS[name][1]
    place %= len(rows)
    rewards = torch.zeros(len(rows), 3)
    rewards[:, 2] = torch.tensor([reward for reward, _ in rows])
    groups = [group for _, group in rows]
    mask = torch.tensor([[False, True, True]] * len(rows))
    values = torch.zeros_like(rewards)
    kept = [row for row in range(len(rows)) if row != place]
    expected = estimator(rewards[kept], values[kept], mask[kept], [groups[row] for row in kept])
    rewards[place, 2] = float("nan")
    got = estimator(rewards, values, mask, groups)
    torch.testing.assert_close(got[kept], expected)
    assert not got[place].any()
