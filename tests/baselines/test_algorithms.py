"""GRPO, REINFORCE and PPO: advantages, state and learning."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedModel

from agents.tiny_model import build_model
from baselines.advantages import gae, whiten
from baselines.algorithms import build_algorithm
from baselines.config import RoleConfig
from baselines.config.learner import LearnerConfig
from baselines.grpo import GRPO, GRPOConfig
from baselines.learner import Learner
from baselines.policies.causal_lm import CausalLMPolicy
from baselines.ppo import PPO, PPOConfig
from baselines.reinforce import Reinforce, ReinforceConfig
from baselines.samples import Sample, Segment
from ssp_env.play import AnyAgent
from tests.agents.tiny import SIZES
from tests.baselines.conftest import policy_of

VOCABULARY = 8


def fresh_model(seed: int = 0) -> LlamaForCausalLM:
    """A model of eight words, which learns in seconds."""
    return build_model(VOCABULARY, **SIZES, seed=seed)


def learner_of(model: LlamaForCausalLM, **options: object) -> Learner:
    return Learner(policy_of(model), LearnerConfig(**{"learning_rate": 3e-3, **options}))  # type: ignore[arg-type]


def two_turns(reward: float, group: str = "g", *, truncated: bool = False, hops: int = 1) -> Sample:
    """Prompt, two tokens, a result of three, two tokens."""
    log = math.log(1 / VOCABULARY)
    return Sample(
        f"{group}", "solver_0",
        (Segment((1, 2), False), Segment((3, 4), True, (log, log)), Segment((5, 6, 7), False),
         Segment((3, 2), True, (log, log))),
        role="solver", group=group, reward=reward, truncated=truncated, hops=hops,
    )  # fmt: skip


SAMPLES = [two_turns(1.0), two_turns(0.0), two_turns(0.0), two_turns(1.0, "h", hops=2)]


def per_sample(advantages: torch.Tensor, mask: torch.Tensor) -> list[float]:
    """The advantage of each sample, which all its sampled tokens share."""
    for row, kept in zip(advantages, mask):
        assert row[kept].unique().numel() == 1 and not row[~kept].any()
    return [float(row[kept][0]) for row, kept in zip(advantages, mask)]


# -- advantages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"scale": "none"}, [2 / 3, -1 / 3, -1 / 3, 1.0]),
        ({"scale": "group"}, [1.1547, -0.5774, -0.5774, 1.0]),
        ({"estimator": "rloo"}, [1.0, -0.5, -0.5, 1.0]),
        ({"estimator": "maxrl"}, [2.0, -1.0, -1.0, 0.0]),
        ({"scale": "none", "group_by": "hops"}, [2 / 3, -1 / 3, -1 / 3, 1.0]),
        ({"scale": "none", "length_limit": 4, "length_buffer": 2}, [2 / 3, -1 / 3, -1 / 3, 0.0]),
    ],
)
def test_grpo_compares_the_members_of_a_group(options: dict[str, object], expected: list[float]):
    learner = learner_of(fresh_model())
    experience = GRPO(learner, GRPOConfig(**options)).experience(SAMPLES)  # type: ignore[arg-type]
    got = per_sample(experience.batch["advantages"], experience.batch.mask)
    assert got == pytest.approx(expected, abs=1e-3)


def test_truncated_conversations_count_in_the_mean_and_may_be_left_out_of_the_loss():
    samples = [two_turns(1.0), two_turns(0.0, truncated=True)]
    experience = GRPO(learner_of(fresh_model()), GRPOConfig(scale="none", truncated="mask")).experience(
        samples
    )
    assert per_sample(experience.batch["advantages"], experience.batch.mask) == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize(
    ("algorithm", "options"), [("grpo", {}), ("ppo", {"value_coefficient": 0.0, "warmup_updates": 0})]
)
def test_a_truncated_conversation_that_is_left_out_gets_no_entropy_bonus(
    algorithm: str, options: dict[str, object]
):
    learner = learner_of(fresh_model())
    role = RoleConfig(algorithm, options={"truncated": "mask", "entropy_coefficient": 1.0, **options})
    build_algorithm(role, learner).update([two_turns(0.0, truncated=True)])
    assert not any(moments["exp_avg"].any() for moments in learner.optimizer.state.values())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"baseline": "none"}, [1.0, 0.0, 0.0, 1.0]),
        ({"baseline": "batch"}, [0.5, -0.5, -0.5, 0.5]),
        ({"baseline": "batch", "by_hops": True}, [2 / 3, -1 / 3, -1 / 3, 0.0]),
        ({"baseline": "moving"}, [1.0, 0.0, 0.0, 1.0]),
    ],
)
def test_reinforce_subtracts_its_baseline(options: dict[str, object], expected: list[float]):
    experience = Reinforce(learner_of(fresh_model()), ReinforceConfig(**options)).experience(SAMPLES)  # type: ignore[arg-type]
    assert per_sample(experience.batch["advantages"], experience.batch.mask) == pytest.approx(expected)


def test_a_moving_baseline_remembers_and_survives_a_checkpoint():
    learner = learner_of(fresh_model())
    config = ReinforceConfig(baseline="moving", decay=0.5)
    one, other = Reinforce(learner, config), Reinforce(learner, config)
    one.experience(SAMPLES[:1])
    other.load_state_dict(one.state_dict())
    for algorithm in (one, other):
        experience = algorithm.experience(SAMPLES[:1])
        assert per_sample(experience.batch["advantages"], experience.batch.mask) == pytest.approx([0.5])


def test_ppo_steps_over_observations_and_whitens_over_sampled_tokens():
    learner = learner_of(fresh_model())
    ppo = PPO(learner, PPOConfig(lam=0.9, discount=0.95, warmup_updates=0))
    with torch.no_grad():
        ppo.head.bias.fill_(0.25)
    experience = ppo.experience(SAMPLES)
    batch = experience.batch
    rewards = torch.zeros(4, 9)
    rewards[:, 8] = torch.tensor([1.0, 0.0, 0.0, 1.0])
    values = torch.where(batch.mask, 0.25, 0.0)
    raw, returns = gae(rewards, values, batch.mask, discount=0.95, lam=0.9)
    torch.testing.assert_close(batch["advantages"], whiten(raw, batch.mask))
    torch.testing.assert_close(batch["returns"], returns)
    assert not batch["advantages"][~batch.mask].any()


def test_in_turn_mode_the_tokens_of_a_turn_share_advantage_and_return():
    ppo = PPO(learner_of(fresh_model()), PPOConfig(step="turn", discount=0.5, whiten=False))
    batch = ppo.experience([two_turns(1.0)]).batch
    assert batch["advantages"][0].tolist() == pytest.approx([0, 0, 0.5, 0.5, 0, 0, 0, 1.0, 1.0])


@pytest.mark.parametrize("bootstrap", [True, False])
def test_a_truncated_conversation_may_go_on_in_the_critics_mind(bootstrap: bool):
    ppo = PPO(learner_of(fresh_model()), PPOConfig(bootstrap=bootstrap, whiten=False))
    with torch.no_grad():
        ppo.head.bias.fill_(0.3)
    batch = ppo.experience([two_turns(0.0, truncated=True)]).batch
    assert float(batch["returns"][0, 8]) == pytest.approx(0.3 if bootstrap else 0.0)


@pytest.mark.parametrize("algorithm", [GRPO, Reinforce, PPO])
def test_a_sample_whose_scorer_failed_changes_nobody_elses_advantage(algorithm: type[GRPO | Reinforce | PPO]):
    failed = two_turns(math.nan)
    without, with_it = (
        algorithm(learner_of(fresh_model())).experience(samples).batch["advantages"]
        for samples in (SAMPLES, [*SAMPLES, failed])
    )
    torch.testing.assert_close(with_it[:4], without)
    assert not with_it[4].any()


# -- the critic ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "column"), [("token", 7), ("turn", 3)])
def test_a_critic_that_warms_up_learns_from_monte_carlo_returns(step: str, column: int):
    found = []
    for warmup in (5, 0):
        ppo = PPO(learner_of(fresh_model()), PPOConfig(lam=0.5, step=step, warmup_updates=warmup))  # type: ignore[arg-type]
        with torch.no_grad():
            ppo.head.bias.fill_(0.2)
        found.append(ppo.experience([two_turns(1.0)]).batch["returns"][0, column].item())
    # Half of the outcome and half of the next step's value, where lambda is one half.
    assert found == pytest.approx([1.0, 0.6])


@pytest.mark.parametrize("critic", ["head", "model"])
def test_the_critic_learns_alone_first_and_then_explains_the_returns(critic: str):
    model = fresh_model()
    learner = learner_of(model)
    ppo = PPO(learner, PPOConfig(critic=critic, critic_learning_rate=3e-2, warmup_updates=5))  # type: ignore[arg-type]
    # A head of zeros has no gradient to give to the trunk, and would not show whether it is let through.
    torch.nn.init.normal_(ppo.head.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    rest = two_turns(0).segments[1:]
    samples = [
        replace(two_turns(float(n % 2)), segments=(Segment((1, 2 + n % 2), False), *rest)) for n in range(8)
    ]
    first = ppo.update(samples)
    assert first["solver/critic_warmup"] == 1.0
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    explained = [ppo.update(samples)["solver/explained_variance"] for _ in range(30)]
    assert explained[-1] > 0.5
    assert not all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("critic", ["head", "model"])
def test_a_critic_comes_back_from_a_checkpoint(critic: str):
    one = PPO(learner_of(fresh_model()), PPOConfig(critic=critic))  # type: ignore[arg-type]
    for _ in range(3):
        one.update(SAMPLES)
    other = PPO(learner_of(fresh_model()), PPOConfig(critic=critic))  # type: ignore[arg-type]
    other.load_state_dict(one.state_dict())
    state = other.state_dict()
    assert state.keys() == one.state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in one.state_dict().items())


# -- KL and entropy --------------------------------------------------------------------------------------


def test_a_reference_is_kept_from_the_first_update_and_pulls_back():
    model = fresh_model()
    learner = learner_of(model, old_logprobs="recomputed")
    grpo = GRPO(learner, GRPOConfig(scale="none", kl_coefficient=0.5))
    first = grpo.update(SAMPLES)
    assert first["solver/reference_kl"] == pytest.approx(0.0, abs=1e-6)
    later = [grpo.update(SAMPLES)["solver/reference_kl"] for _ in range(5)]
    assert later[-1] > 0.0
    free = GRPO(
        learner_of(fresh_model(), old_logprobs="recomputed"), GRPOConfig(scale="none", kl_coefficient=1e-9)
    )
    distances = [free.update(SAMPLES)["solver/reference_kl"] for _ in range(6)]
    assert later[-1] < distances[-1]


def test_a_penalty_in_the_reward_lowers_the_advantage_of_what_has_moved():
    learner = learner_of(fresh_model())
    grpo = GRPO(learner, GRPOConfig(scale="none", kl_coefficient=1.0, kl_in="reward", kl_estimator="k1"))
    grpo.experience(SAMPLES)
    assert learner.reference is not None
    with torch.no_grad():
        learner.policy.model.model.norm.weight.mul_(3.0)  # type: ignore[attr-defined]
    recomputing = learner_of(fresh_model())
    assert recomputing.reference is None
    moved = replace(learner.config, old_logprobs="recomputed")
    learner.config = moved
    experience = grpo.experience(SAMPLES[:3])
    batch = experience.batch
    divergence = ((batch["old_logprobs"] - batch["reference"]) * batch.mask).sum(1)
    rewards = torch.tensor([1.0, 0.0, 0.0]) - divergence
    expected = (rewards - rewards.mean()).tolist()
    assert per_sample(batch["advantages"], batch.mask) == pytest.approx(expected, abs=1e-5)


# -- recomputed log-probabilities -------------------------------------------------------------------------


def of_many_lengths(count: int) -> list[Sample]:
    """Groups of four attempts; the rewards of every other group are equal, so that it has no gradient."""
    rng = np.random.default_rng(0)
    samples = []
    for number in range(count):
        prompt, said = (tuple(map(int, rng.integers(1, VOCABULARY, size=rng.integers(2, 40)))) for _ in "ab")
        logprobs = (math.log(1 / VOCABULARY),) * len(said)
        group = number // 4
        samples.append(
            Sample(
                f"{number}", "solver_0", (Segment(prompt, False), Segment(said, True, logprobs)),
                group=f"{group}", reward=float(group % 2 == 0 and number % 2),
            )
        )  # fmt: skip
    return samples


@pytest.mark.parametrize("checkpoints", [False, True])
@pytest.mark.parametrize("minibatches", [1, 2])
@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
def test_recomputed_log_probabilities_give_a_first_ratio_of_exactly_one_in_bfloat16(
    algorithm: str, minibatches: int, checkpoints: bool
):
    model = build_model(VOCABULARY, hidden_size=64, layers=2, intermediate_size=128, seed=0)
    policy = CausalLMPolicy(
        model, no_player, autocast=True, gradient_checkpointing=checkpoints, chunk_tokens=64
    )
    config = LearnerConfig(
        learning_rate=1e-3, micro_batch_tokens=256, minibatches=minibatches, old_logprobs="recomputed",
        importance_cap=2.0,
    )  # fmt: skip
    learner = Learner(policy, config)
    samples = of_many_lengths(24)
    trained = build_algorithm(RoleConfig(algorithm), learner)
    metrics = trained.update(samples)
    assert metrics["solver/max_ratio_error"] == 0.0 == metrics["solver/clip_fraction"] * (minibatches == 1)
    assert 0.0 < metrics["solver/mismatch_mean"] < metrics["solver/mismatch_max"]
    # In other micro-batches the same weights give other scores.
    batch = learner.prepare(samples)[0]
    smaller = Learner(policy, replace(config, micro_batch_tokens=1)).scored(batch, policy)
    assert not torch.equal(smaller, batch["old_logprobs"])


def no_player(model: PreTrainedModel, seed: int, version: str) -> AnyAgent:
    raise AssertionError("nobody plays here")


def test_the_mismatch_is_logged_whatever_the_old_log_probabilities_are():
    for options in (
        {},
        {"old_logprobs": "recomputed"},
        {"old_logprobs": "recomputed", "importance_cap": 2.0},
    ):
        metrics = GRPO(learner_of(fresh_model(), **options)).update(SAMPLES)
        assert 0.0 < metrics["solver/mismatch_mean"] < metrics["solver/mismatch_max"]
        error = metrics["solver/max_ratio_error"]
        assert error == (0.0 if options else metrics["solver/mismatch_max"])


# -- learning ------------------------------------------------------------------------------------------


def attempts(learner: Learner, step: int, count: int = 32) -> Sequence[Sample]:
    """One token answers a prompt of two; right is to repeat the second."""
    generator = torch.Generator().manual_seed(step)
    samples = []
    for number in range(count // 8):
        prompt = torch.randint(2, VOCABULARY, (2,), generator=generator)
        with torch.no_grad():
            logprobs = learner.policy.model(input_ids=prompt[None]).logits[0, -1].log_softmax(-1)  # type: ignore[attr-defined]
        for token in torch.multinomial(logprobs.exp(), 8, replacement=True, generator=generator).tolist():
            segments = (
                Segment(tuple(prompt.tolist()), False),
                Segment((token,), True, (float(logprobs[token]),)),
            )
            reward = float(token == int(prompt[1]))
            samples.append(Sample(f"{step}/{number}", "solver_0", segments, group=str(number), reward=reward))
    return samples


@pytest.mark.parametrize(
    "role",
    [
        RoleConfig("reinforce"),
        RoleConfig("reinforce", options={"plus_plus": True}),
        RoleConfig("grpo"),
        RoleConfig("grpo", options={"surrogate": "gspo"}),
        RoleConfig("grpo", options={"surrogate": "cispo", "clip_high": 5.0}),
        RoleConfig("ppo", options={"critic_learning_rate": 1e-2}),
    ],
    ids=lambda role: "-".join([role.algorithm, *map(str, role.options.values())]),
)
def test_every_algorithm_learns_to_copy_a_word_from_its_prompt(role: RoleConfig):
    learner = learner_of(fresh_model(), learning_rate=3e-3)
    algorithm = build_algorithm(role, learner)
    rewards = []
    for step in range(120):
        samples = attempts(learner, step)
        rewards.append(sum(sample.reward for sample in samples) / len(samples))
        algorithm.update(samples)
    assert sum(rewards[:5]) / 5 < 0.6
    # Later a word may be lost again; which one, and when, depends on how a processor rounds.
    assert max(sum(rewards[at : at + 10]) for at in range(len(rewards) - 9)) / 10 > 0.95


# -- rewards of turns, and the state that a checkpoint keeps -------------------------------------------------


def test_rewards_of_turns_stand_at_the_end_of_their_turn_for_ppo_and_add_up_for_the_others():
    sample = replace(two_turns(1.0), turn_rewards=(0.5, 0.25))
    ppo = PPO(learner_of(fresh_model()), PPOConfig(whiten=False))
    returns = ppo.experience([sample]).batch["returns"][0].tolist()
    assert returns == pytest.approx([0, 0, 1.75, 1.75, 0, 0, 0, 1.25, 1.25])
    experience = Reinforce(learner_of(fresh_model()), ReinforceConfig(baseline="none")).experience([sample])
    assert per_sample(experience.batch["advantages"], experience.batch.mask) == pytest.approx([1.75])
    assert experience.metrics["reward"] == pytest.approx(1.75)


def test_more_rewards_than_turns_are_refused():
    with pytest.raises(ValueError, match=r"turn_rewards per sampled turn, 2, got 3 from solver_0"):
        GRPO(learner_of(fresh_model())).experience([replace(two_turns(1.0), turn_rewards=(1.0, 1.0, 1.0))])
    one_turn = replace(two_turns(1.0), segments=two_turns(1.0).segments[:2], turn_rewards=(1.0, 1.0))
    with pytest.raises(ValueError, match=r"turn_rewards per sampled turn, 1, got 2 from solver_0"):
        GRPO(learner_of(fresh_model())).experience([two_turns(1.0), one_turn])


def test_cispo_is_refused_with_the_bound_of_another_surrogate():
    with pytest.raises(ValueError, match=r"clip_high as the largest weight itself: expected 1 or more.*0.28"):
        GRPOConfig(surrogate="cispo")


def test_the_epsilon_of_grpo_and_the_alpha_of_vapo_are_options():
    # The deviation of 1 and 0 is the root of one half.
    grpo = GRPO(learner_of(fresh_model()), GRPOConfig(epsilon=0.5**0.5))
    batch = grpo.experience([two_turns(1.0), two_turns(0.0)]).batch
    assert per_sample(batch["advantages"], batch.mask) == pytest.approx([0.125**0.5, -(0.125**0.5)])
    # With four sampled tokens and alpha = 1/2, lambda is one half.
    ppo = PPO(learner_of(fresh_model()), PPOConfig(adaptive_lambda=True, lambda_alpha=0.5, whiten=False))
    advantages = ppo.experience([two_turns(1.0)]).batch["advantages"][0]
    assert advantages[advantages != 0].tolist() == pytest.approx([0.125, 0.25, 0.5, 1.0])


def test_a_moving_baseline_comes_back_to_the_last_digit():
    one = Reinforce(learner_of(fresh_model()), ReinforceConfig(baseline="moving"))
    one.experience([two_turns(0.1), two_turns(0.7)])
    other = Reinforce(learner_of(fresh_model()), ReinforceConfig(baseline="moving"))
    other.load_state_dict(one.state_dict())
    assert other.state_dict() == one.state_dict()
    assert one._moving.state_dict() == other._moving.state_dict()


def test_the_critic_may_start_at_the_mean_return():
    values = {}
    for start in ("zero", "mean"):
        algorithm = PPO(learner_of(fresh_model()), PPOConfig(critic_start=start))  # type: ignore[arg-type]
        values[start] = algorithm.experience(SAMPLES).metrics["value"]
    assert values == pytest.approx({"zero": 0.0, "mean": 0.5})
