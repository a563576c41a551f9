"""The learner: ratio 1 on policy, every sampled token and no other, whatever the batches look like."""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import LlamaForCausalLM

from agents.tiny_policy import TinyPolicy
from baselines.config.learner import LearnerConfig
from baselines.grpo import GRPO, GRPOConfig
from baselines.learner import Experience, Learner
from baselines.losses import LOG_RATIO_LIMIT
from baselines.policies.causal_lm import CausalLMPolicy
from baselines.processes import Processes
from baselines.reinforce import Reinforce
from baselines.rollouts.rollout import Rollout, play_rollout
from baselines.rollouts.tasks import WorldSource
from baselines.samples import Sample, Segment, collate
from ssp_env.game import GameConfig, TokensMissing
from tests.agents.tiny import TOKENIZER
from tests.baselines.conftest import policy_of
from tests.logprobs import token_logprobs


class GradientRecorder(Learner):
    """Keeps the gradient of each step and changes no weight."""

    def __init__(self, policy: CausalLMPolicy, **options: object) -> None:
        super().__init__(policy, LearnerConfig(learning_rate=1e-9, **options))  # type: ignore[arg-type]
        self.gradients: list[Tensor] = []

    def step(self) -> float:
        weights = list(self.policy.trainable_parameters())
        parts = [w.grad if w.grad is not None else torch.zeros_like(w) for w in weights]
        self.gradients.append(torch.cat([part.flatten() for part in parts]).clone())
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        return float(self.gradients[-1].norm())


def played(model: LlamaForCausalLM, game: GameConfig, temperature: float = 1.0, seed: int = 0) -> Rollout:
    """A rollout of the cloned policy; half of its attempts count as right."""
    policy = TinyPolicy(model, TOKENIZER, temperature=temperature, seed=seed)
    source = WorldSource("tiny", worlds=2)
    return play_rollout(source, game, proposer=policy, solver=policy, answers=8, seed=seed, step=0)


@pytest.fixture
def rollout(cloned_model: LlamaForCausalLM, easy_game: GameConfig, lenient_scores: None) -> Rollout:
    return played(cloned_model, easy_game)


def experiences(learner: Learner, rollout: Rollout, *roles: str) -> list[Experience]:
    """GRPO for the solver, REINFORCE for the proposer, as the tiny preset has them."""
    makers = {"solver": GRPO(learner, GRPOConfig(scale="none")), "proposer": Reinforce(learner)}
    return [makers[role].experience(rollout.samples[role]) for role in roles or makers]  # type: ignore[index]


def gradient(
    model: LlamaForCausalLM, rollout: Rollout, *roles: str, temperature: float = 1.0, **options: object
) -> Tensor:
    recorder = GradientRecorder(policy_of(model, temperature), **options)
    recorder.fit(experiences(recorder, rollout, *roles))
    (got,) = recorder.gradients
    return got


def assert_same_gradient(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, atol=2e-5 * float(expected.norm()), rtol=1e-4)


# -- the first step ------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("micro_batch_tokens", [1, 8192])
def test_the_ratio_is_one_for_both_roles_under_the_weights_that_sampled(
    cloned_model: LlamaForCausalLM,
    easy_game: GameConfig,
    lenient_scores: None,
    temperature: float,
    micro_batch_tokens: int,
):
    found = played(cloned_model, easy_game, temperature)
    recorder = GradientRecorder(policy_of(cloned_model, temperature), micro_batch_tokens=micro_batch_tokens)
    metrics = recorder.fit(experiences(recorder, found))
    for role in ("solver", "proposer"):
        assert 0.0 < metrics[f"{role}/max_ratio_error"] < 1e-4
        assert metrics[f"{role}/clip_fraction"] == 0.0
        assert metrics[f"{role}/trained_tokens"] > 50


def test_a_wrong_temperature_or_other_weights_show_in_the_ratio(
    cloned_model: LlamaForCausalLM, learner: LlamaForCausalLM, easy_game: GameConfig, lenient_scores: None
):
    found = played(cloned_model, easy_game, 0.7)

    def error(temperature: float) -> float:
        recorder = GradientRecorder(policy_of(learner, temperature))
        return recorder.fit(experiences(recorder, found, "proposer"))["proposer/max_ratio_error"]

    assert error(1.0) > 0.05 > error(0.7)
    with torch.no_grad():
        learner.model.norm.weight.mul_(1.2)
    assert error(0.7) > 0.05


def test_on_policy_the_gradient_is_the_sum_over_sampled_tokens(rollout: Rollout, learner: LlamaForCausalLM):
    """Recomputed one conversation at a time, without masks or padding: A * grad log p / token count."""
    got = gradient(learner, rollout, "solver")
    samples = rollout.samples["solver"]
    by_group: dict[str, list[float]] = {}
    for sample in samples:
        by_group.setdefault(sample.group, []).append(sample.reward)
    count = sum(sample.sampled_count for sample in samples)
    learner.zero_grad()
    for sample in samples:
        group = by_group[sample.group]
        batch = collate([sample])
        logprobs = token_logprobs(learner(input_ids=batch.ids).logits, batch.ids)[0]
        sampled, start = [], 0
        for segment in sample.segments:
            end = start + len(segment.token_ids)
            sampled += [logprobs[place] for place in range(start, end) if segment.sampled]
            start = end
        advantage = sample.reward - sum(group) / len(group)
        (-advantage * torch.stack(sampled).sum() / count).backward()
    expected = torch.cat([w.grad.flatten() for w in learner.parameters() if w.grad is not None])
    assert float(got.norm()) > 1e-3
    assert_same_gradient(got, expected)


# -- batches -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("micro_batch_tokens", [1, 60, 200])
def test_the_gradient_does_not_depend_on_micro_batches(
    rollout: Rollout, learner: LlamaForCausalLM, micro_batch_tokens: int
):
    whole = gradient(learner, rollout, micro_batch_tokens=10**6)
    assert_same_gradient(gradient(learner, rollout, micro_batch_tokens=micro_batch_tokens), whole)


def test_metrics_do_not_depend_on_micro_batches(rollout: Rollout, learner: LlamaForCausalLM):
    results = []
    for size in (1, 10**6):
        recorder = GradientRecorder(policy_of(learner), micro_batch_tokens=size)
        results.append(recorder.fit(experiences(recorder, rollout)))
    assert set(results[0]) == set(results[1]) >= {"solver/loss", "proposer/entropy", "grad_norm"}
    for key, value in results[0].items():
        if not key.endswith("ratio_error") and not key.endswith("update_kl"):
            rounding = 1e-5 if "mismatch" in key else 1e-6
            assert value == pytest.approx(results[1][key], rel=1e-4, abs=rounding), key


def test_the_roles_add_up_and_a_weight_scales_one_of_them(rollout: Rollout, learner: LlamaForCausalLM):
    proposer, solver = gradient(learner, rollout, "proposer"), gradient(learner, rollout, "solver")
    assert_same_gradient(gradient(learner, rollout), proposer + solver)
    recorder = GradientRecorder(policy_of(learner))
    (one,) = experiences(recorder, rollout, "proposer")
    recorder.fit([replace(one, weight=0.25)])
    assert_same_gradient(recorder.gradients[0], 0.25 * proposer)


def test_leaving_out_conversations_without_advantage_changes_nothing(
    rollout: Rollout, learner: LlamaForCausalLM
):
    recorder = GradientRecorder(policy_of(learner))
    samples = rollout.samples["solver"]
    dull = [replace(s, reward=1.0) if s.group == samples[0].group else s for s in samples]
    solver = GRPO(recorder, GRPOConfig(scale="none")).experience(dull)
    assert solver.needed is not None and 0 < int(solver.needed.sum()) < len(solver.needed)
    recorder.fit([solver])
    recorder.fit([replace(solver, needed=None)])
    assert_same_gradient(recorder.gradients[0], recorder.gradients[1])


def test_minibatches_hold_every_sample_once_per_epoch_in_an_order_fixed_by_the_seed(
    rollout: Rollout, learner: LlamaForCausalLM
):
    def visited(seed: int) -> list[list[tuple[int, ...]]]:
        recorder = GradientRecorder(policy_of(learner), epochs=2, minibatches=4, seed=seed)
        seen: list[list[tuple[int, ...]]] = []
        (experience,) = experiences(recorder, rollout, "proposer")
        inner, ids = experience.loss, experience.batch.ids

        def noting(batch, scores, totals):  # type: ignore[no-untyped-def]
            seen.append([tuple(row[keep].tolist()) for row, keep in zip(batch.ids, batch.attention)])
            return inner(batch, scores, totals)

        recorder.fit([replace(experience, loss=noting, needed=None)])
        assert len(recorder.gradients) == 8
        rows = sorted(row for group in seen for row in group)
        attention = experience.batch.attention
        assert rows == sorted(2 * [tuple(row[keep].tolist()) for row, keep in zip(ids, attention)])
        return seen

    assert visited(1) == visited(1) != visited(2)


# -- old log-probabilities -----------------------------------------------------------------------------


def without_logprobs(sample: Sample) -> Sample:
    return replace(sample, segments=tuple(replace(s, logprobs=()) for s in sample.segments))


def test_missing_log_probabilities_are_refused_or_computed(rollout: Rollout, learner: LlamaForCausalLM):
    bare = [without_logprobs(sample) for sample in rollout.samples["proposer"]]
    with pytest.raises(TokensMissing, match="recomputed"):
        GradientRecorder(policy_of(learner)).prepare(bare)
    recorder = GradientRecorder(policy_of(learner), old_logprobs="recomputed")
    batch, metrics = recorder.prepare(bare)
    assert not metrics
    known = collate(rollout.samples["proposer"]).sampled_logprobs
    torch.testing.assert_close(batch["old_logprobs"], known, atol=2e-5, rtol=0)


def test_a_sampler_that_differs_is_seen_and_its_tokens_are_weighted(
    rollout: Rollout, learner: LlamaForCausalLM
):
    off = [
        replace(
            sample,
            segments=tuple(replace(s, logprobs=tuple(p - 1.0 for p in s.logprobs)) for s in sample.segments),
        )
        for sample in rollout.samples["proposer"]
    ]
    recorder = GradientRecorder(policy_of(learner), old_logprobs="recomputed", importance_cap=2.0)
    batch, metrics = recorder.prepare(off)
    assert metrics["mismatch_mean"] == pytest.approx(math.e - 1, rel=1e-3)
    assert metrics["mismatch_max"] == pytest.approx(math.e - 1, rel=1e-3)
    torch.testing.assert_close(batch["importance"][batch.mask], torch.full((int(batch.mask.sum()),), 2.0))
    options = {"old_logprobs": "recomputed", "importance_cap": math.inf, "importance_level": "sequence"}
    batch, _ = GradientRecorder(policy_of(learner), **options).prepare(off)
    products = batch.mask.sum(1, keepdim=True).expand_as(batch.mask).clamp(max=LOG_RATIO_LIMIT)[batch.mask]
    torch.testing.assert_close(batch["importance"][batch.mask].log(), products.float(), rtol=1e-3, atol=1e-3)


def test_weights_of_tokens_multiply_their_loss(rollout: Rollout, learner: LlamaForCausalLM):
    recorder = GradientRecorder(policy_of(learner))
    (plain,) = experiences(recorder, rollout, "proposer")
    halved = plain.batch.with_extras(importance=torch.full(plain.batch.ids.shape, 0.5))
    recorder.fit([plain])
    recorder.fit([replace(plain, batch=halved)])
    assert_same_gradient(recorder.gradients[1], 0.5 * recorder.gradients[0])


# -- the reference -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"reference": "moving", "reference_every": 2}])
@pytest.mark.parametrize("decay", [0.0, 0.75])
def test_a_reference_stays_or_follows_the_policy(
    options: dict[str, object], decay: float, rollout: Rollout, learner: LlamaForCausalLM
):
    config = LearnerConfig(learning_rate=1e-3, reference_decay=decay, **options)  # type: ignore[arg-type]
    changing = Learner(policy_of(learner), config)
    algorithm = GRPO(changing, GRPOConfig(scale="none", kl_coefficient=0.1))
    expected = [weight.detach().clone() for weight in changing.policy.trainable_parameters()]
    for step in range(1, 5):
        algorithm.update(rollout.samples["solver"])
        present = [weight.detach().clone() for weight in changing.policy.trainable_parameters()]
        if options and step % 2 == 0:
            expected = [decay * old + (1 - decay) * new for old, new in zip(expected, present)]
        assert changing.reference is not None
        for found, wanted in zip(changing.reference.state_dict().values(), expected, strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-7, rtol=1e-6)
    assert any(not torch.equal(old, new) for old, new in zip(expected, present)) or not (decay or not options)


# -- schedule and step -----------------------------------------------------------------------------------


def rates(model: LlamaForCausalLM, count: int, **options: object) -> list[float]:
    learner = Learner(policy_of(model), LearnerConfig(learning_rate=0.5, **options))  # type: ignore[arg-type]
    got = []
    for _ in range(count):
        learner.step()
        got.append(learner.optimizer.param_groups[0]["lr"])
    return got


def test_the_learning_rate_warms_up_and_stays_or_falls(learner: LlamaForCausalLM):
    assert rates(learner, 4, warmup_steps=2) == [0.25, 0.5, 0.5, 0.5]
    linear = rates(learner, 5, schedule="linear", total_steps=4, floor=0.2)
    assert linear == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1])
    cosine = rates(learner, 5, schedule="cosine", total_steps=4)
    assert cosine == pytest.approx([0.5, 0.25 * (1 + math.sqrt(0.5)), 0.25, 0.25 * (1 - math.sqrt(0.5)), 0.0])


@given(st.sampled_from(["constant", "linear", "cosine"]), st.integers(0, 50), st.integers(1, 99))
def test_the_rate_is_a_function_of_the_step_alone(schedule: str, warmup: int, step: int):
    config = LearnerConfig(warmup_steps=warmup, schedule=schedule, total_steps=100, floor=0.1)  # type: ignore[arg-type]
    learner = Learner.__new__(Learner)
    learner.config = config
    assert 0.0 < learner._schedule(step) <= 1.0


def test_gradients_are_clipped_and_a_critic_has_a_rate_of_its_own(learner: LlamaForCausalLM):
    update = Learner(
        policy_of(learner), LearnerConfig(learning_rate=0.1, max_grad_norm=2.0, betas=(0.5, 0.9))
    )
    head = torch.nn.Linear(2, 1, bias=False)
    update.add_parameters(list(head.parameters()), 0.01)
    before = head.weight.detach().clone()
    head.weight.grad = torch.tensor([[3.0, 4.0]])
    assert update.step() == pytest.approx(5.0)
    moment = update.optimizer.state[head.weight]["exp_avg"] / 0.5
    torch.testing.assert_close(moment, torch.tensor([[1.2, 1.6]]))
    torch.testing.assert_close(before - head.weight.detach(), torch.full((1, 2), 0.01))
    assert head.weight.grad is None and update.steps == 1


# -- nothing to train on, and what must not be learnt ------------------------------------------------------


def unanimous(rollout: Rollout) -> Sequence[Sample]:
    return [replace(sample, reward=1.0) for sample in rollout.samples["solver"]]


def test_without_a_gradient_no_step_is_taken(rollout: Rollout, learner: LlamaForCausalLM):
    before = deepcopy(learner.state_dict())
    update = Learner(policy_of(learner), LearnerConfig(learning_rate=1.0, weight_decay=0.5))
    algorithm = GRPO(update)
    assert algorithm.update([]) == {}
    metrics = algorithm.update(unanimous(rollout))
    assert metrics["grad_norm"] == metrics["solver/trained_tokens"] == metrics["solver/loss"] == 0.0
    assert update.fit([]) == {"grad_norm": 0.0}
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())
    assert not update.optimizer.state and update.steps == 0


class Twins(Processes):
    """This process, and another one that always has the same numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 2

    def sum(self, values: Tensor) -> Tensor:
        return 2 * values


def test_what_has_no_gradient_in_any_process_is_left_alone(learner: LlamaForCausalLM):
    """The trunk beside a critic that warms up keeps its weights and has no moments yet."""
    update = Learner(policy_of(learner), LearnerConfig(learning_rate=1.0, weight_decay=0.5), Twins())
    head = torch.nn.Linear(2, 1, bias=False)
    update.add_parameters(list(head.parameters()), 0.01)
    before = deepcopy(learner.state_dict())
    head.weight.grad = torch.tensor([[3.0, 4.0]])
    assert update.step() == pytest.approx(10.0)
    assert list(update.optimizer.state) == [head.weight]
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


@pytest.mark.parametrize("rubbish", [math.nan, math.inf])
def test_an_advantage_that_is_no_number_is_refused_before_anything_changes(
    rollout: Rollout, learner: LlamaForCausalLM, rubbish: float
):
    update = Learner(policy_of(learner), LearnerConfig(learning_rate=1e-3))
    (experience,) = experiences(update, rollout, "solver")
    spoiled = torch.where(experience.batch.mask, rubbish, 0.0)
    broken = replace(experience, batch=experience.batch.with_extras(advantages=spoiled))
    before = deepcopy(learner.state_dict())
    with pytest.raises(ValueError, match="advantages of sample 0 are not finite"):
        update.fit([broken])
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


def test_steps_make_praised_conversations_likelier_and_blamed_ones_less_likely(
    rollout: Rollout, learner: LlamaForCausalLM
):
    """Over several epochs on the same samples, so that the ratio leaves 1."""
    update = Learner(policy_of(learner), LearnerConfig(learning_rate=1e-3, epochs=4))
    (experience,) = experiences(update, rollout, "solver")
    before = update.scored(experience.batch, update.policy).sum(1)
    metrics = update.fit([experience])
    change = update.scored(experience.batch, update.policy).sum(1) - before
    assert metrics["solver/max_ratio_error"] < 1e-4 < metrics["solver/update_kl"]
    advantages = experience.batch["advantages"].amax(1) + experience.batch["advantages"].amin(1)
    assert float((change * advantages).sum()) > 0
    assert float(change[advantages > 0].mean()) > float(change[advantages < 0].mean())


def test_context_tokens_have_no_loss(learner: LlamaForCausalLM):
    """The gradient of a conversation is that of its sampled tokens, whatever stands between them."""
    ids = torch.tensor([[5, 6, 7, 8, 9, 5]])
    logprobs = token_logprobs(learner(input_ids=ids).logits, ids)[0]
    learner.zero_grad()
    (-(logprobs[2] + logprobs[5]) / 2).backward()
    expected = torch.cat([w.grad.flatten() for w in learner.parameters() if w.grad is not None])
    learner.zero_grad()
    segments = (
        Segment((5, 6), False),
        Segment((7,), True, (float(logprobs[2].detach()),)),
        Segment((8, 9), False),
        Segment((5,), True, (float(logprobs[5].detach()),)),
    )
    recorder = GradientRecorder(policy_of(learner))
    recorder.fit([GRPO(recorder).experience([Sample("g", "solver_0", segments, reward=1.0)])])
    assert_same_gradient(recorder.gradients[0], expected)
