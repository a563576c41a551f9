"""Weights, gradients and moments sharded across processes (FSDP2), beside a whole model that plays."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from transformers import PreTrainedModel

from baselines.policies.causal_lm import CausalLMPolicy, TokenScorer
from baselines.processes import Processes


class ShardedPolicy(CausalLMPolicy):
    """A policy whose trained weights are sharded: each process holds a part of every weight.

    A forward pass gathers one layer at a time, so that all processes must go through the model equally often
    (see `Learner.micro_batches`). Games are not like that. They are played with a whole model in every
    process, without gradients and moments, which gets the weights when they are published.

    Args:
        whole: Plays; it has the weights that training starts from.
        processes: Those that share the weights.

    Raises:
        ValueError: If there is only one process.
    """

    def __init__(self, whole: CausalLMPolicy, processes: Processes) -> None:
        if processes.size < 2:
            raise ValueError(
                "model.sharding 'fsdp2' shards weights across processes, and there is one: add "
                "--processes 2, or set model.sharding to 'none'"
            )
        self.__dict__.update(whole.__dict__)
        self._whole = whole
        self._processes = processes
        self._mesh = init_device_mesh(whole.device.type, (processes.size,))
        scorer = TokenScorer(
            copy.deepcopy(whole.model),
            whole.scorer.chunk_tokens,
            share_prefixes=whole.scorer.share_prefixes,
        )
        self.scorer = self._shard(scorer)
        whole.model.requires_grad_(False)

    def _shard(self, scorer: TokenScorer) -> TokenScorer:
        names = set(getattr(scorer.model, "_no_split_modules", None) or ())
        layers = [module for module in scorer.modules() if type(module).__name__ in names]
        for module in (*layers, scorer):
            fully_shard(module, mesh=self._mesh)
            assert isinstance(module, FSDPModule)
            # Losses are divided by the totals of all processes, so that gradients are added up.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
        register_fsdp_forward_method(scorer, "states")
        return scorer

    # -- weights ---------------------------------------------------------------------------------------

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """This process's parts of the parameters that an optimiser may change."""
        return (weight for weight in self.scorer.model.parameters() if weight.requires_grad)

    def published(self, version: str) -> None:
        """Let the whole models play with the present weights from here on; all processes must call it."""
        self.gather()
        self._whole.published(version)
        self.version = version

    def gather(self) -> None:
        """Bring the whole model up to date; all processes must call it."""
        self._whole.load_state_dict(self.state_dict())

    def duplicate(
        self, *, trainable: bool = False, push: Callable[[PreTrainedModel, str], None] | None = None
    ) -> CausalLMPolicy:
        """Return a policy with the present weights, whole unless trainable; all processes must call it."""
        self.gather()
        whole = self._whole.duplicate(push=push)
        if not trainable:
            return whole
        weights = dict(whole.model.named_parameters())
        for name in self._trained:
            weights[name].requires_grad_(True)
        return ShardedPolicy(whole, self._processes)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the whole weights that training changes; all processes must call it."""
        weights = dict(self.scorer.model.named_parameters())
        return {name: gathered(weights[name].detach()) for name in self._trained}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Invert `state_dict`.

        Raises:
            ValueError: If weights are missing, unknown or of another size.
        """
        self._whole.load_state_dict(state)
        weights, wholes = (dict(model.named_parameters()) for model in (self.scorer.model, self._whole.model))
        with torch.no_grad():
            for name in self._trained:
                weights[name].copy_(shared_out(wholes[name], weights[name]))


def gathered(tensor: Tensor) -> Tensor:
    """Return a tensor, which may be sharded, as a whole; all processes must call it."""
    if not isinstance(tensor, DTensor):
        return tensor
    whole: Tensor = tensor.full_tensor()
    return whole


def shared_out(tensor: Tensor, like: Tensor) -> Tensor:
    """Return the tensor sharded as another one is; every process has the whole of it."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def is_shared_out(parameters: Iterator[nn.Parameter]) -> bool:
    """Whether any of the parameters is sharded across processes."""
    return any(isinstance(parameter, DTensor) for parameter in parameters)


def clip_gradients(parameters: list[nn.Parameter], max_norm: float) -> Tensor:
    """Clip the gradients of parameters, some of which may be sharded; return their norm before."""
    shared: list[Any] = [p for p in parameters if isinstance(p, DTensor) and p.grad is not None]
    if not shared:
        return nn.utils.clip_grad_norm_(parameters, max_norm)
    alone = [p for p in parameters if not isinstance(p, DTensor) and p.grad is not None]
    parts = [gathered(get_total_norm([p.grad for p in shared]))]
    if alone:
        parts.append(get_total_norm([p.grad for p in alone if p.grad is not None]))
    norm: Tensor = torch.stack([part.to(parts[0]) for part in parts]).norm()
    for group in (shared, alone):
        clip_grads_with_norm_(group, max_norm, norm)
    return norm
