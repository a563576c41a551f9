"""GPUs by name, and models by size: what their makers publish of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from baselines.policies.memory import ModelSizes, counted


@dataclass(frozen=True)
class Device:
    """A GPU.

    Attributes:
        memory: Bytes.
        flops: Floating-point operations a second in bfloat16, without sparsity.
        bandwidth: Bytes a second between memory and cores.
    """

    memory: float
    flops: float
    bandwidth: float


DEVICES: Mapping[str, Device] = {
    "a100-40gb": Device(40e9, 312e12, 1.555e12),
    "a100": Device(80e9, 312e12, 2.039e12),
    "h100": Device(80e9, 989e12, 3.35e12),
    "h200": Device(141e9, 989e12, 4.8e12),
}
"""The makers' figures, of the SXM boards."""

_QWEN: Mapping[str, Mapping[str, Any]] = {
    size: {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "intermediate_size": intermediate,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
    }
    for size, hidden, layers, heads, key_value_heads, intermediate, vocabulary, tied in (
        ("0.5b", 896, 24, 14, 2, 4864, 151936, True),
        ("1.5b", 1536, 28, 12, 2, 8960, 151936, True),
        ("3b", 2048, 36, 16, 2, 11008, 151936, True),
        ("7b", 3584, 28, 28, 4, 18944, 152064, False),
        ("14b", 5120, 48, 40, 8, 13824, 152064, False),
        ("32b", 5120, 64, 40, 8, 27648, 152064, False),
    )
}
MODELS = tuple(_QWEN)
"""Sizes of Qwen2.5, the paper's family."""


def sizes_of(name: str, context: int, *, element_bytes: int = 4) -> ModelSizes:
    """Return the sizes of a model of Qwen2.5, all of whose weights are trained.

    Args:
        name: One of `MODELS`.
        context: Most tokens of a conversation.
        element_bytes: Bytes of a weight in the trainer.

    Raises:
        ValueError: If there is no such model.

    >>> sizes_of("7b", 12_288).parameters
    7615616512
    """
    if name not in _QWEN:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {name!r}")
    shape = Qwen2Config(**_QWEN[name])
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(shape)
    parameters = counted(model)[0]
    return ModelSizes(
        parameters=parameters,
        trained=parameters,
        weight_bytes=parameters * element_bytes,
        trained_bytes=parameters * element_bytes,
        layers=shape.num_hidden_layers,
        hidden_size=shape.hidden_size,
        key_value_size=_QWEN[name]["num_key_value_heads"] * shape.hidden_size // shape.num_attention_heads,
        intermediate_size=shape.intermediate_size,
        vocabulary=shape.vocab_size,
        context=context,
        element_bytes=element_bytes,
    )
