"""Muon for matrices and AdamW for the rest: which weights are whose, what a step does, what is refused."""

import math

import pytest
import torch
from torch import nn
from transformers import LlamaForCausalLM

from baselines import optimizers
from baselines.config.learner import LearnerConfig
from baselines.learner import Learner
from baselines.optimizers import MuonWithAdamW, make_optimizer
from tests.baselines.conftest import policy_of

MUON = LearnerConfig(optimizer="muon", learning_rate=0.01)


def gradients(model: nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)


def test_the_matrices_inside_layers_are_muons_and_all_else_is_adamws(learner: LlamaForCausalLM):
    optimizer = make_optimizer(policy_of(learner), MUON)
    muons, adamws = ({id(p) for p in group["params"]} for group in optimizer.param_groups)
    projections = {
        f"{part}_proj.weight" for part in ("q", "k", "v", "o", "gate", "up", "down")
    }  # fmt: skip
    for name, weight in learner.named_parameters():
        inside = any(name.endswith(projection) for projection in projections)
        assert id(weight) in (muons if inside else adamws), name
    assert len(muons) == 7 * learner.config.num_hidden_layers
    assert id(learner.get_input_embeddings().weight) in adamws


def test_a_step_moves_a_matrix_alike_in_every_direction_and_as_far_as_adamw_would(
    learner: LlamaForCausalLM,
):
    optimizer = make_optimizer(policy_of(learner), MUON)
    before = {name: weight.detach().clone() for name, weight in learner.named_parameters()}
    gradients(learner)
    optimizer.step()
    moved = {name: before[name] - weight.detach() for name, weight in learner.named_parameters()}
    change = moved["model.layers.0.mlp.up_proj.weight"]
    values = torch.linalg.svdvals(change) / (0.01 * 0.2 * math.sqrt(max(change.shape)))
    # Five Newton-Schulz iterations bring singular values near 1 (Jordan et al. 2024).
    assert float(values.min()) > 0.5 and float(values.max()) < 1.3
    # The first step of AdamW is the learning rate, whatever the gradient.
    embedding = moved["model.embed_tokens.weight"]
    torch.testing.assert_close(embedding.abs(), torch.full_like(embedding, 0.01), rtol=1e-3, atol=0.0)


def test_a_critic_that_is_added_is_adamws_and_has_its_rate(learner: LlamaForCausalLM):
    update = Learner(policy_of(learner), MUON)
    head = nn.Linear(2, 2, bias=False)
    update.add_parameters(list(head.parameters()), 0.05)
    before = head.weight.detach().clone()
    head.weight.grad = torch.tensor([[0.1, 0.2], [-0.3, 0.1]])
    update.step()
    assert "exp_avg" in update.optimizer.state[head.weight]
    torch.testing.assert_close((before - head.weight).abs(), torch.full((2, 2), 0.05), rtol=1e-3, atol=0.0)


def test_a_state_that_is_loaded_is_gone_on_from():
    """Groups and states are shared with the two optimisers, and loading replaces both."""

    def made() -> tuple[nn.Linear, MuonWithAdamW]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layer = nn.Linear(3, 4)
        options = {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.1}
        return layer, MuonWithAdamW([layer.weight], [layer.bias], **options)  # type: ignore[arg-type]

    (whole, optimizer), (stopped, first) = made(), made()
    for step in range(4):
        gradients(whole, step)
        optimizer.step()
    for step in range(2):
        gradients(stopped, step)
        first.step()
    other, second = made()
    other.load_state_dict(stopped.state_dict())
    for group in second.param_groups:
        group["lr"] = 123.0
    second.load_state_dict(first.state_dict())
    for step in range(2, 4):
        gradients(other, step)
        second.step()
    assert torch.equal(other.weight, whole.weight) and torch.equal(other.bias, whole.bias)


def test_what_muon_cannot_train_is_refused(learner: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.delattr(torch.optim, "Muon")
        with pytest.raises(ValueError, match=r"needs torch 2\.9 or newer, got .*set 'adamw'"):
            make_optimizer(policy_of(learner), MUON)
    with monkeypatch.context() as patch:
        patch.setattr(optimizers, "is_shared_out", lambda parameters: True)
        with pytest.raises(ValueError, match=r"needs whole matrices: set 'adamw', or model\.sharding"):
            make_optimizer(policy_of(learner), MUON)
    for name, weight in learner.named_parameters():
        weight.requires_grad_(name.endswith("norm.weight"))
    with pytest.raises(ValueError, match="matrices inside layers, and none is trained"):
        make_optimizer(policy_of(learner), MUON)
