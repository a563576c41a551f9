"""Learning-rate schedules and the optimiser step: clip, step, clear."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.optimizer import ScheduledAdamW, constant_schedule, cosine_schedule


def test_a_constant_schedule_warms_up_linearly_and_stays():
    schedule = constant_schedule(4)
    assert [schedule(step) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert constant_schedule(0)(0) == 1.0


def test_a_cosine_schedule_warms_up_and_falls_to_its_floor():
    schedule = cosine_schedule(100, warmup_share=0.1, floor=0.2)
    factors = [schedule(step) for step in range(101)]
    assert factors[:3] == [0.1, 0.2, pytest.approx(0.3)]
    assert factors[9] == max(factors) == pytest.approx(1.0, abs=0.03)
    assert factors[50] == pytest.approx(0.6)
    assert factors[100] == pytest.approx(0.2)
    assert factors[9:] == sorted(factors[9:], reverse=True)


@given(st.integers(1, 300), st.integers(0, 400))
def test_factors_stay_within_bounds_at_every_length(steps: int, step: int):
    assert 0.0 < cosine_schedule(steps)(step) <= 1.0
    assert 0.0 < constant_schedule(steps)(step) <= 1.0


def model_with_gradient(*gradient: float) -> torch.nn.Linear:
    model = torch.nn.Linear(len(gradient), 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    model.weight.grad = torch.tensor([gradient])
    return model


def test_applying_returns_the_norm_before_clipping_and_clears_the_gradients():
    model = model_with_gradient(3.0, 4.0)
    optimizer = ScheduledAdamW(model, 0.1, lambda step: 1.0)
    assert optimizer.apply(0) == pytest.approx(5.0)
    assert model.weight.grad is None


def test_gradients_are_clipped_to_the_norm():
    model = model_with_gradient(3.0, 4.0)
    optimizer = ScheduledAdamW(model, 0.1, lambda step: 1.0, max_grad_norm=2.0)
    optimizer.apply(0)
    # Adam's first moment is (1 - beta1) times the clipped gradient.
    moment = optimizer.adamw.state[model.weight]["exp_avg"] / (
        1 - optimizer.adamw.param_groups[0]["betas"][0]
    )
    torch.testing.assert_close(moment, torch.tensor([[1.2, 1.6]]))


def test_a_first_step_moves_each_weight_by_the_scheduled_rate():
    for step, factor in ((0, 0.25), (7, 1.0)):
        model = model_with_gradient(0.5, -0.01)
        ScheduledAdamW(model, 0.1, constant_schedule(4)).apply(step)
        torch.testing.assert_close(
            model.weight.detach(), torch.tensor([[1 - 0.1 * factor, 1 + 0.1 * factor]]), atol=1e-5, rtol=0
        )


def test_weight_decay_is_decoupled_from_the_gradient():
    model = model_with_gradient(0.0, 0.0)
    ScheduledAdamW(model, 0.1, lambda step: 0.5, weight_decay=0.2).apply(0)
    torch.testing.assert_close(model.weight.detach(), torch.full((1, 2), 1 - 0.1 * 0.5 * 0.2))


def test_the_rate_depends_on_the_step_alone():
    """An optimiser that starts at step 30 uses the rate of step 30: that is what makes a run resumable."""
    schedule = cosine_schedule(40)
    model = model_with_gradient(1.0)
    optimizer = ScheduledAdamW(model, 0.3, schedule)
    optimizer.apply(30)
    assert optimizer.adamw.param_groups[0]["lr"] == 0.3 * schedule(30)
    assert not math.isclose(schedule(30), schedule(0))
