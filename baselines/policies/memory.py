"""What a run holds in memory, worked out from its configuration before anything is loaded."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from agents import tiny_policy, transformers_agent
from baselines.by_role import LEARNING_ROLES
from baselines.config import TrainConfig
from baselines.config.model import ModelConfig
from baselines.config.self_play import PAST
from baselines.policies.models import TinyModel, find_model, with_lora

LOGIT_COPIES = 3
"""Logits, their log-softmax and the gradient of them exist together."""
FLOAT32 = 4


class ModelSizes(NamedTuple):
    """Sizes of the model that is trained.

    Attributes:
        parameters: Number of all weights, adapters included.
        trained: Number of those that training changes.
        weight_bytes: Bytes of all weights.
        trained_bytes: Bytes of those that training changes, and so of a gradient.
        layers: Number of layers.
        hidden_size: Width of the residual stream.
        key_value_size: Width of the keys of a token in one layer; its values have the same.
        intermediate_size: Width of the feed-forward layers.
        vocabulary: Number of tokens that there are.
        context: Most tokens of a conversation.
        element_bytes: Bytes of an activation, and of a key or value.
    """

    parameters: int
    trained: int
    weight_bytes: int
    trained_bytes: int
    layers: int
    hidden_size: int
    key_value_size: int
    intermediate_size: int
    vocabulary: int
    context: int
    element_bytes: int


def model_sizes(config: TrainConfig) -> ModelSizes:
    """Return the sizes of the model of a configuration; a language model's weights are not read.

    Raises:
        FileNotFoundError: If there is no model in the folder.
    """
    options = config.model
    model: Any = TinyModel(config).model if options.is_tiny else _without_weights(options)
    shape = model.config.get_text_config()
    heads = shape.num_attention_heads
    head_size = getattr(shape, "head_dim", None) or shape.hidden_size // heads
    context = shape.max_position_embeddings
    return ModelSizes(
        *counted(model),
        layers=shape.num_hidden_layers,
        hidden_size=shape.hidden_size,
        key_value_size=(getattr(shape, "num_key_value_heads", None) or heads) * head_size,
        intermediate_size=shape.intermediate_size,
        vocabulary=shape.vocab_size,
        context=context if options.is_tiny else config.rollout.context_window or context,
        element_bytes=next(model.parameters()).element_size(),
    )


def _without_weights(options: ModelConfig) -> nn.Module:
    """Return a language model whose weights have sizes and no values."""
    shape = AutoConfig.from_pretrained(find_model(options.name), local_files_only=True)
    dtype = shape.dtype or torch.float32 if options.dtype == "auto" else getattr(torch, options.dtype)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(shape, dtype=dtype)
        return with_lora(model, options, seed=0) if options.lora_rank else model


def counted(model: nn.Module) -> tuple[int, int, int, int]:
    """Return the numbers of all and of trained weights, and their bytes."""
    weights = list(model.parameters())
    trained = [weight for weight in weights if weight.requires_grad]
    return (
        sum(weight.numel() for weight in weights),
        sum(weight.numel() for weight in trained),
        sum(weight.numel() * weight.element_size() for weight in weights),
        sum(weight.numel() * weight.element_size() for weight in trained),
    )


def memory_bytes(config: TrainConfig, sizes: ModelSizes, processes: int = 1) -> dict[str, int]:
    """Return what one process holds at most, in bytes by what it is for.

    Weights, gradients and moments are exact, but Muon has fewer moments than are counted. Activations are
    those of a decoder layer of the Llama family, and the cache of keys and values is full.
    """
    trained = sizes.trained_bytes
    learners = 2 if config.policies != "shared" and len(config.learning) > 1 else 1
    critics = sum(
        role.algorithm == "ppo" and role.options.get("critic") == "model"
        for role in (config.solver, config.proposer)
    )
    # A role that learns alone keeps the warm start as the other role's policy, beside its own.
    weights = sizes.weight_bytes + (learners - 1 + critics) * trained
    changed = (learners + critics) * trained
    whole = 0
    if config.model.sharding != "none":
        weights, changed, whole = weights // processes, changed // processes, sizes.weight_bytes
    found = {
        "weights": weights,
        "whole model that plays": whole,
        "gradients": changed,
        "moments of the optimiser": 2 * changed,
        "references and past weights": _copies(config) * trained,
        "activations": activation_bytes(config, sizes),
        "cache of keys and values": cache_bytes(config, sizes),
    }
    return {name: size for name, size in found.items() if size}


def _copies(config: TrainConfig) -> int:
    """Return how many copies of the trained weights are kept, the present ones aside."""
    learners = [role for role in (config.solver, config.proposer) if role.learns]
    with_reference = sum(float(role.options.get("kl_coefficient", 0)) > 0 for role in learners)
    shared = config.policies == "shared"
    past = sum(config.opponents.resolved(config.learning)[role] in PAST for role in LEARNING_ROLES)
    # Past weights are kept once for each policy, and those that play once more for each role.
    kept = (min(past, 1) if shared else past) * config.opponents.window + past
    return (min(with_reference, 1) if shared else with_reference) + config.needs_warm_start + kept


def activation_bytes(config: TrainConfig, sizes: ModelSizes) -> int:
    """Return the bytes that the backward pass of a micro-batch needs: activations and logits."""
    tokens = max(config.learner.micro_batch_tokens, 1)
    element = 2 if config.model.autocast else sizes.element_bytes
    # Two norms, projections of queries, keys and values with their rotations, attention, feed-forward.
    layer = 9 * sizes.hidden_size + 4 * sizes.key_value_size + 4 * sizes.intermediate_size
    per_token = sizes.layers * layer
    if config.model.gradient_checkpointing:
        per_token = sizes.layers * sizes.hidden_size + layer
    logits = min(config.model.chunk_tokens, tokens) * sizes.vocabulary * FLOAT32 * LOGIT_COPIES
    return tokens * per_token * element + logits


def cache_bytes(config: TrainConfig, sizes: ModelSizes) -> int:
    """Return the bytes of keys and values while games are played; 0 if something else samples."""
    if config.rollout.engine != "transformers":
        return 0
    decoded, kept = config.rollout.batch_tokens, transformers_agent.CACHE_TOKENS
    if config.model.is_tiny:
        decoded, kept = tiny_policy.BATCH_TOKENS, tiny_policy.CACHE_TOKENS
    longest = config.answers * config.proposals * config.game.attempts * sizes.context
    tokens = min(decoded, longest) + min(kept, longest)
    token_bytes = sizes.layers * 2 * sizes.key_value_size * sizes.element_bytes
    return int(tokens * token_bytes)
