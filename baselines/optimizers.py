"""The optimiser of a learner: AdamW for all weights, or Muon for the matrices inside the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from baselines.config.learner import LearnerConfig
from baselines.policies.causal_lm import Policy
from baselines.policies.sharding import is_shared_out


def make_optimizer(policy: Policy, config: LearnerConfig) -> torch.optim.Optimizer:
    """Return the optimiser that a configuration asks for, over what a policy trains.

    Raises:
        ValueError: If Muon is asked for where the policy's weights are sharded, no matrix is trained, or
            torch is too old for it.
    """
    parameters = list(policy.trainable_parameters())
    options: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": config.betas,
        "weight_decay": config.weight_decay,
    }
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **options)
    if not hasattr(torch.optim, "Muon"):
        raise ValueError(f"optimizer 'muon' needs torch 2.9 or newer, got {torch.__version__}: set 'adamw'")
    if is_shared_out(iter(parameters)):
        raise ValueError("optimizer 'muon' needs whole matrices: set 'adamw', or model.sharding to 'none'")
    matrices = {id(weight) for weight in policy.trainable_matrices()}
    if not matrices:
        raise ValueError("optimizer 'muon' is for matrices inside layers, and none is trained: set 'adamw'")
    return MuonWithAdamW(
        [weight for weight in parameters if id(weight) in matrices],
        [weight for weight in parameters if id(weight) not in matrices],
        **options,
    )


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for matrices and AdamW for everything else, as one optimiser with one state.

    Muon replaces the momentum of a matrix by the nearest matrix whose singular values are all 1 (Jordan et
    al. 2024), scaled so that a learning rate means what it does in AdamW (Liu et al. 2025, section 2.2).

    Args:
        matrices: Weights of layers with two dimensions.
        others: Embeddings, output layers, biases, norms; parameter groups that are added later belong here.
        lr: Learning rate of both.
        betas: Decay rates of AdamW's moments; Muon's momentum is its usual .95.
        weight_decay: Decoupled weight decay of both.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        muon = torch.optim.Muon(
            list(matrices), lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        adamw = torch.optim.AdamW(list(others), lr=lr, betas=betas, weight_decay=weight_decay)
        self._muon, self._adamw = muon, adamw
        super().__init__([*muon.param_groups, *adamw.param_groups], adamw.defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step with the gradients that are there; a closure is not called."""
        # Loading a state replaces groups and state, so that the two are given them anew.
        self._muon.param_groups, self._adamw.param_groups = self.param_groups[:1], self.param_groups[1:]
        parts: tuple[Any, ...] = (self._muon, self._adamw)
        for part in parts:
            part.state = self.state
            part.step()
