"""The policy update: ratio 1 on policy, every sampled token and no other, whatever the batches look like."""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from agents.tiny_policy import TinyPolicy
from baselines.losses import token_logprobs
from baselines.optimizer import ScheduledAdamW
from baselines.self_play import Rollout, play_rollout
from baselines.tasks import TaskSource
from baselines.transcripts import Segment, Transcript, collate
from baselines.update import Experience, PolicyUpdate
from ssp_env.game import GameConfig
from tests.agents.tiny import TOKENIZER

PlayRollout = Callable[..., Rollout]


class GradientRecorder:
    """Takes the place of the optimiser: keeps the gradient of each step and changes no weight."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model
        self.gradients: list[Tensor] = []

    def apply(self, step: int) -> float:
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.model.parameters()]
        self.gradients.append(torch.cat([grad.flatten() for grad in grads]).clone())
        self.model.zero_grad()
        return float(self.gradients[-1].norm())


def gradient(
    model: torch.nn.Module,
    experiences: Sequence[Experience],
    *,
    micro_batch_tokens: int = 8192,
    temperature: float = 1.0,
) -> Tensor:
    recorder = GradientRecorder(model)
    update = PolicyUpdate(model, recorder, temperature=temperature, micro_batch_tokens=micro_batch_tokens)  # type: ignore[arg-type]
    update.step(experiences, 0)
    (got,) = recorder.gradients
    return got


def assert_same_gradient(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, atol=2e-5 * float(expected.norm()), rtol=1e-4)


@pytest.fixture
def play_step(cloned_model: LlamaForCausalLM, easy_game: GameConfig, lenient_scores: None) -> PlayRollout:
    """Play a rollout with the cloned policy; half of its attempts count as right."""

    def play(temperature: float = 1.0, seed: int = 0) -> Rollout:
        policy = TinyPolicy(cloned_model, TOKENIZER, temperature=temperature, seed=seed)
        source = TaskSource("tiny", worlds=2)
        return play_rollout(source, easy_game, proposer=policy, solver=policy, answers=8, seed=seed, step=0)

    return play


def halves(experience: Experience) -> tuple[Experience, Experience]:
    """Two parts of an experience that keep its normaliser."""
    middle = len(experience.transcripts) // 2
    first, second = (
        replace(experience, transcripts=experience.transcripts[half], advantages=experience.advantages[half])
        for half in (slice(middle), slice(middle, None))
    )
    return first, second


# -- the first step ------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("micro_batch_tokens", [1, 8192])
def test_the_ratio_is_one_for_both_roles_under_the_weights_that_sampled(
    play_step: PlayRollout, learner: LlamaForCausalLM, temperature: float, micro_batch_tokens: int
):
    played = play_step(temperature)
    for experience in (played.proposer, played.solver):
        assert len(experience.transcripts) >= 8
        assert max(len(t.segments) for t in experience.transcripts) >= 4
        update = PolicyUpdate(
            learner,
            GradientRecorder(learner),
            temperature=temperature,
            micro_batch_tokens=micro_batch_tokens,  # type: ignore[arg-type]
        )
        metrics = update.step([experience], 0)
        assert metrics["max_ratio_error"] < 1e-4
        assert metrics["trained_tokens"] == sum(t.sampled_count for t in experience.transcripts)


def test_a_wrong_temperature_or_other_weights_show_in_the_ratio(
    play_step: PlayRollout, learner: LlamaForCausalLM
):
    played = play_step(0.7)
    update = PolicyUpdate(learner, GradientRecorder(learner), temperature=1.0)  # type: ignore[arg-type]
    assert update.step([played.proposer], 0)["max_ratio_error"] > 0.05
    with torch.no_grad():
        learner.model.norm.weight.mul_(1.2)
    update = PolicyUpdate(learner, GradientRecorder(learner), temperature=0.7)  # type: ignore[arg-type]
    assert update.step([played.proposer], 0)["max_ratio_error"] > 0.05


def test_on_policy_the_gradient_is_the_sum_over_sampled_tokens(
    play_step: PlayRollout, learner: LlamaForCausalLM
):
    """Recomputed one conversation at a time, without masks or padding: A * grad log p / token count."""
    experience = play_step().solver
    got = gradient(learner, [experience])
    for transcript, advantage in zip(experience.transcripts, experience.advantages):
        batch = collate([transcript])
        logprobs = token_logprobs(learner(input_ids=batch.ids).logits, batch.ids)[0]
        sampled, start = [], 0
        for segment in transcript.segments:
            end = start + len(segment.token_ids)
            sampled += [logprobs[place] for place in range(start, end) if segment.sampled]
            start = end
        (-advantage * torch.stack(sampled).sum() / experience.token_count).backward()
    recorder = GradientRecorder(learner)
    recorder.apply(0)
    assert float(got.norm()) > 1e-3
    assert_same_gradient(got, recorder.gradients[0])


# -- batches -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("micro_batch_tokens", [1, 60, 200])
def test_the_gradient_does_not_depend_on_micro_batches(
    play_step: PlayRollout, learner: LlamaForCausalLM, micro_batch_tokens: int
):
    played = play_step()
    whole = gradient(learner, [played.proposer, played.solver], micro_batch_tokens=10**6)
    assert_same_gradient(
        gradient(learner, [played.proposer, played.solver], micro_batch_tokens=micro_batch_tokens), whole
    )


def test_metrics_do_not_depend_on_micro_batches(play_step: PlayRollout, learner: LlamaForCausalLM):
    played = play_step()
    results = [
        PolicyUpdate(learner, GradientRecorder(learner), micro_batch_tokens=size).step(  # type: ignore[arg-type]
            [played.proposer, played.solver], 0
        )
        for size in (1, 10**6)
    ]
    for key in ("loss", "entropy", "trained_tokens", "grad_norm"):
        assert results[0][key] == pytest.approx(results[1][key], rel=1e-4, abs=1e-6)


def test_each_roles_gradient_ignores_how_much_the_other_role_played(
    play_step: PlayRollout, learner: LlamaForCausalLM
):
    one, other = play_step(seed=0), play_step(seed=1)
    proposer, solver = gradient(learner, [one.proposer]), gradient(learner, [one.solver])
    assert_same_gradient(gradient(learner, [one.proposer, one.solver]), proposer + solver)
    doubled = Experience(
        [*one.solver.transcripts, *one.solver.transcripts],
        torch.cat([one.solver.advantages] * 2),
        2 * one.solver.token_count,
    )
    assert_same_gradient(gradient(learner, [one.proposer, doubled]), proposer + solver)
    assert_same_gradient(
        gradient(learner, [one.proposer, other.solver]), proposer + gradient(learner, [other.solver])
    )


def test_the_weight_of_a_role_scales_its_gradient(play_step: PlayRollout, learner: LlamaForCausalLM):
    proposer = play_step().proposer
    plain = gradient(learner, [proposer])
    assert_same_gradient(gradient(learner, [replace(proposer, weight=0.25)]), 0.25 * plain)


def test_leaving_out_conversations_without_advantage_changes_nothing(
    play_step: PlayRollout, learner: LlamaForCausalLM
):
    full = play_step().solver
    zeroed = replace(
        full, advantages=torch.where(torch.arange(len(full.advantages)) % 3 == 0, 0.0, full.advantages)
    )
    kept = zeroed.advantages != 0
    dropped = replace(
        zeroed,
        transcripts=[t for t, keep in zip(zeroed.transcripts, kept.tolist()) if keep],
        advantages=zeroed.advantages[kept],
    )
    assert 0 < len(dropped.transcripts) < len(full.transcripts)
    assert_same_gradient(gradient(learner, [dropped]), gradient(learner, [zeroed]))


def test_parts_with_the_common_normaliser_add_up(play_step: PlayRollout, learner: LlamaForCausalLM):
    whole = play_step().solver
    assert_same_gradient(sum(gradient(learner, [half]) for half in halves(whole)), gradient(learner, [whole]))


# -- nothing to train ----------------------------------------------------------------------------------

NOTHING = Experience([], torch.zeros(0), 1)


@pytest.mark.parametrize("experiences", [[], [NOTHING], [NOTHING, NOTHING]])
def test_with_nothing_to_train_on_no_step_is_taken(learner: LlamaForCausalLM, experiences: list[Experience]):
    before = deepcopy(learner.state_dict())
    optimizer = ScheduledAdamW(learner, 1.0, lambda step: 1.0, weight_decay=0.5)
    metrics = PolicyUpdate(learner, optimizer).step(experiences, 0)
    assert set(metrics) == {"loss", "grad_norm", "entropy", "max_ratio_error", "trained_tokens"}
    assert not any(metrics.values())
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())
    assert not optimizer.adamw.state


# -- tokens --------------------------------------------------------------------------------------------


class Table(torch.nn.Module):
    """A language model whose logits are parameters, one row per position, the same whatever it reads."""

    def __init__(self, length: int, vocabulary: int) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(length, vocabulary))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits[: input_ids.shape[1]].expand(*input_ids.shape, -1))


def three_turns(vocabulary: int) -> Transcript:
    """Prompt, two searches with results in between, an answer."""
    log = -math.log(vocabulary)
    return Transcript(
        "g",
        "solver_0",
        (
            Segment((1, 2, 3), False),
            Segment((4, 5), True, (log, log)),
            Segment((6, 7, 8, 9), False),
            Segment((4, 1, 5), True, (log, log, log)),
            Segment((2,), False),
            Segment((3,), True, (log,)),
        ),
    )


@pytest.mark.parametrize("advantage", [1.5, -0.5])
def test_the_advantage_reaches_every_sampled_token_and_no_context_token(advantage: float):
    table, transcript = Table(14, 12), three_turns(12)
    experience = Experience([transcript], torch.tensor([advantage]), 6)
    metrics = PolicyUpdate(table, ScheduledAdamW(table, 0.0, lambda step: 1.0)).step([experience], 0)  # type: ignore[arg-type]
    assert metrics["entropy"] == pytest.approx(math.log(12))
    assert metrics["trained_tokens"] == transcript.sampled_count == 6
    assert metrics["loss"] == pytest.approx(-advantage)
    recorder = GradientRecorder(table)
    PolicyUpdate(table, recorder).step([experience], 0)  # type: ignore[arg-type]
    got = recorder.gradients[0].view(14, 12)
    ids = [id_ for segment in transcript.segments for id_ in segment.token_ids]
    sampled = [segment.sampled for segment in transcript.segments for _ in segment.token_ids]
    expected = torch.zeros(14, 12)
    for place, (id_, chosen) in enumerate(zip(ids, sampled)):
        if chosen:
            # The position before a token predicts it: d(-A log p / n)/dz = A (softmax - one-hot) / n.
            expected[place - 1] += advantage / 6 / 12
            expected[place - 1, id_] -= advantage / 6
    torch.testing.assert_close(got, expected)


def test_steps_make_praised_conversations_likelier_and_blamed_ones_less_likely(
    play_step: PlayRollout, learner: LlamaForCausalLM
):
    """Over several steps on the same samples, so that the ratio leaves 1."""
    experience = play_step().solver

    def likelihood() -> Tensor:
        batch = collate(experience.transcripts)
        with torch.no_grad():
            logits = learner(input_ids=batch.ids, attention_mask=batch.attention.long()).logits
        return (token_logprobs(logits, batch.ids) * batch.loss_mask).sum(1)

    before = likelihood()
    update = PolicyUpdate(learner, ScheduledAdamW(learner, 1e-3, lambda step: 1.0))
    ratios = [update.step([experience], step)["max_ratio_error"] for step in range(4)]
    change = likelihood() - before
    assert ratios[0] < 1e-4 < ratios[-1]
    assert float((change * experience.advantages).sum()) > 0
    praised = experience.advantages > 0
    assert float(change[praised].mean()) > float(change[~praised].mean())
