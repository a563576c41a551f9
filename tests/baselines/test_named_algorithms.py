"""Algorithms by name: ours with their options, and those of one's own."""

from pathlib import Path

import pytest
import torch

from baselines.algorithms import build_algorithm
from baselines.config import RoleConfig
from baselines.ppo import PPO
from baselines.reinforce import Reinforce
from tests.baselines.test_algorithms import SAMPLES, fresh_model, learner_of, per_sample


def test_ours_are_found_by_name_with_their_options():
    learner = learner_of(fresh_model())
    assert isinstance(build_algorithm(RoleConfig("ppo", options={"lam": 0.95}), learner), PPO)
    assert isinstance(build_algorithm(RoleConfig("reinforce"), learner), Reinforce)
    with pytest.raises(ValueError, match="unknown option of grpo 'scael': did you mean 'scale'"):
        build_algorithm(RoleConfig("grpo", options={"scael": "none"}), learner)


OWN = """
class Own:
    def __init__(self, learner, gain=1.0):
        self.learner, self.gain = learner, gain

    def update(self, samples):
        batch, metrics = self.learner.prepare(samples)
        rows = [[index for index, sample in enumerate(samples) if sample.reward > 0]]
        for row in rows:
            micro = batch.select(row)
            loss = -self.gain * self.learner.policy.score(micro).logprobs.sum() / len(row)
            self.learner.backward(loss)
        return {"praised": float(len(rows[0])), "grad_norm": self.learner.step()}


def advantages(samples):
    return [sample.reward - 0.5 for sample in samples]


def too_few(samples):
    return [1.0]


class Idle:
    def __init__(self, learner):
        pass


class Greedy:
    def __init__(self):
        pass

    def update(self, samples):
        return {}
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_algorithms.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("own")
def test_an_algorithm_of_ones_own_is_named_and_given_its_options():
    model = fresh_model()
    before = model.model.norm.weight.clone()
    algorithm = build_algorithm(RoleConfig("own_algorithms:Own", options={"gain": 2.0}), learner_of(model))
    metrics = algorithm.update(SAMPLES)
    assert metrics["praised"] == 2.0 and metrics["grad_norm"] > 0
    assert not torch.equal(model.model.norm.weight, before)


@pytest.mark.usefixtures("own")
def test_a_function_of_ones_own_gives_the_advantages():
    algorithm = build_algorithm(RoleConfig("own_algorithms:advantages"), learner_of(fresh_model()))
    assert isinstance(algorithm, Reinforce)
    experience = algorithm.experience(SAMPLES)
    assert per_sample(experience.batch["advantages"], experience.batch.mask) == [0.5, -0.5, -0.5, 0.5]
    few = build_algorithm(RoleConfig("own_algorithms:too_few"), learner_of(fresh_model()))
    with pytest.raises(ValueError, match="one advantage per sample, 4, got 1"):
        few.update(SAMPLES)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own_algorithms:Idle", "must have update"),
        ("own_algorithms:Greedy", "must take the learner"),
        ("own_algorithms:Missing", "no attribute 'Missing'"),
        ("no_such_module:Own", "no module"),
        ("math:pi", "without `update`"),
    ],
)
def test_what_is_no_algorithm_is_refused_with_what_was_expected(name: str, said: str):
    with pytest.raises(ValueError, match=said):
        build_algorithm(RoleConfig(name), learner_of(fresh_model()))
