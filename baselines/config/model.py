"""Options of the model that is trained, and of what samples its games."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ssp_env.objects import check_least

Precision = Literal["auto", "float32", "bfloat16"]
TINY = "tiny"


@dataclass(frozen=True)
class ModelConfig:
    """Which model is trained, and what of it.

    Attributes:
        name: `tiny`, a Llama with random weights that reads whole words; `smollm2`; or the folder of any
            causal language model of transformers.
        hidden_size: Width of the tiny Llama, to which the options up to `context` belong.
        layers: Its layers.
        heads: Its attention heads.
        intermediate_size: Width of its feed-forward layers.
        context: Most tokens of its conversations.
        dtype: Type of the weights in memory, but for LoRA adapters, which are float32 always. Weights in
            bfloat16 cannot take steps as small as reinforcement learning's: train adapters on them, or keep
            float32 and set `autocast`.
        autocast: Run the model in bfloat16 while float32 weights stay as they are.
        gradient_checkpointing: Compute activations again in the backward pass instead of keeping them.
        lora_rank: Rank of LoRA adapters on all linear layers; 0 trains all weights.
        lora_alpha: Their scale is `lora_alpha / lora_rank`.
        device: Where it runs; `auto` takes a GPU if there is one.
        chunk_tokens: Most sampled tokens whose logits exist at a time.
        share_prefixes: In training, let the tokens with which conversations of a micro-batch begin alike, as
            attempts at a question do, go through the model once. Needs full attention by `sdpa` or `eager`.
        sharding: `fsdp2` shards weights, gradients and moments across the processes of a run, which play with
            a whole model each; `none` has all of them in every process.
    """

    name: str = TINY
    hidden_size: int = 128
    layers: int = 4
    heads: int = 4
    intermediate_size: int = 384
    context: int = 512
    dtype: Precision = "float32"
    autocast: bool = False
    gradient_checkpointing: bool = False
    lora_rank: int = 0
    lora_alpha: float = 32.0
    device: str = "auto"
    chunk_tokens: int = 1024
    share_prefixes: bool = False
    sharding: Literal["none", "fsdp2"] = "none"

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("model.name must be tiny, smollm2 or the folder of a model, got an empty name")
        if self.lora_rank < 0:
            raise ValueError(f"model.lora_rank must be 0, for no adapters, or more; got {self.lora_rank}")
        if self.is_tiny and (self.lora_rank or self.dtype != "float32"):
            raise ValueError(
                "the tiny model trains all its weights in float32: leave out model.lora_rank and "
                "model.dtype, or set model.name to smollm2 or the folder of a model"
            )
        if self.dtype == "bfloat16" and not self.lora_rank:
            raise ValueError(
                "steps of reinforcement learning are too small for weights in bfloat16, which would mostly "
                "stay as they are: set model.dtype to float32 with model.autocast, or model.lora_rank to 16"
            )

    @property
    def is_tiny(self) -> bool:
        """Whether it is the Llama that starts from random weights."""
        return self.name == TINY

    def sizes(self) -> dict[str, Any]:
        """Return the sizes of the tiny Llama, as `agents.build_model` takes them."""
        names = ("hidden_size", "layers", "heads", "intermediate_size", "context")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class RolloutConfig:
    """What samples the games of a language model.

    Attributes:
        engine: `transformers`, in this process and with the weights that are trained; `vllm`, an engine of
            vLLM in this process; or `vllm:URL[,URL...]`, servers of vLLM that see the run's folder under
            the same path. After each step vLLM gets the new weights.
        rendering: `chat` uses the model's chat template; `plain` joins messages line by line; `auto` takes
            the template if there is one and prompts are English.
        max_new_tokens: Most tokens of a turn.
        context_window: Most tokens of prompt and reply together; 0 for the model's own limit.
        batch_tokens: Most tokens that transformers decodes together, padding included.
        staleness: Updates that were made since the weights with which games are played. From 1 on a process
            of its own plays games while updates are made, with a model of its own in memory.
        merge_adapter: Whether servers get whole checkpoints into which the LoRA adapter is merged, instead
            of the adapter: on a CPU vLLM reads prompts much more slowly with adapters.
    """

    engine: str = "transformers"
    rendering: Literal["auto", "chat", "plain"] = "auto"
    max_new_tokens: int = 256
    context_window: int = 0
    batch_tokens: int = 65_536
    merge_adapter: bool = False
    staleness: int = 0

    def __post_init__(self) -> None:
        if self.engine not in ("transformers", "vllm") and not self.urls:
            raise ValueError(
                f"rollout.engine must be transformers, vllm or vllm:URL[,URL...], got {self.engine!r}"
            )
        if self.merge_adapter and not self.urls:
            raise ValueError(
                "rollout.merge_adapter is for servers: set rollout.engine to vllm:URL, or leave it out; got "
                f"rollout.engine {self.engine!r}"
            )
        check_least(1, **{"rollout.max_new_tokens": self.max_new_tokens})
        check_least(0, **{"rollout.staleness": self.staleness})
        if self.staleness and self.engine == "vllm":
            raise ValueError(
                "rollout.staleness has another process play games: set rollout.engine to transformers or "
                f"to vllm:URL, or rollout.staleness to 0; got {self.staleness} with an engine in this process"
            )
        if self.context_window and self.context_window <= self.max_new_tokens:
            raise ValueError(
                f"rollout.context_window must be above max_new_tokens of {self.max_new_tokens}, got "
                f"{self.context_window}"
            )

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses of vLLM servers, if they sample."""
        prefix, _, addresses = self.engine.partition(":")
        return tuple(url for url in addresses.split(",") if url) if prefix == "vllm" else ()
