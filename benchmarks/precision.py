"""Which precision a language model is sampled and trained in fastest on this processor.

Run with `python -m benchmarks.precision`. The model is a Llama as large as SmolLM2-135M with random weights
and LoRA adapters. Rates are tokens per second of processor time, which other processes change little.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from time import process_time
from typing import Annotated, Any, NamedTuple

import torch
import typer
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel

from benchmarks.gpu_check import SIZES
from ssp_env.cli.progress import tracked

PROMPTS, PROMPT_TOKENS, NEW_TOKENS = 16, 128, 4
SCORED = 8
"""Of so many tokens one is scored, about as many as a player samples of what it reads."""


@contextmanager
def _without_onednn() -> Iterator[None]:
    # mkldnn.flags does this too, but warns that TF32 is for GPUs.
    torch.backends.mkldnn.set_flags(False)
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(True)


class Variant(NamedTuple):
    """A way to compute.

    Attributes:
        name: What the table calls it.
        dtype: Type of the weights that are not trained.
        around: Opens the context of its forward passes.
        compiled: Whether `torch.compile` compiles the trunk.
    """

    name: str
    dtype: torch.dtype
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    compiled: bool = False


VARIANTS = (
    Variant("float32", torch.float32),
    Variant("float32 without oneDNN", torch.float32, _without_onednn),
    Variant("float32, autocast to bfloat16", torch.float32, partial(torch.autocast, "cpu", torch.bfloat16)),
    Variant("bfloat16", torch.bfloat16),
    Variant("float32, compiled", torch.float32, compiled=True),
)


def main(
    repeats: Annotated[int, typer.Option(help="Measurements; the fastest is shown.", min=1)] = 3,
    compiled: Annotated[
        bool, typer.Option(help="Measure torch.compile too, which compiles for minutes.")
    ] = False,
    size: Annotated[str, typer.Option(help="Size of the model: full, or small.")] = "full",
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Measure, and print a table in Markdown."""
    if size not in SIZES:
        raise typer.BadParameter(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    torch.set_num_threads(1)
    variants = [variant for variant in VARIANTS if compiled or not variant.compiled]
    found = {variant.name: _rates(variant, size, repeats) for variant in tracked(variants, "precisions")}
    known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    processor = {name: known.get(name, False) for name in ("avx512_f", "avx512_bf16", "amx_bf16")}
    print("\n| tokens per second of one core | training | reading | sampling |\n|---|---:|---:|---:|")
    for name, rates in found.items():
        print(f"| {name} | {' | '.join(f'{rate:.0f}' for rate in rates.values())} |")
    if out is not None:
        report = {"processor": processor, "torch": torch.__version__, "tokens_per_cpu_second": found}
        out.write_text(json.dumps(report, indent=1) + "\n")


def _rates(variant: Variant, size: str, repeats: int) -> dict[str, float]:
    """Return tokens per second of processor time: forward and backward, forward, and one by one."""
    model = _adapted(variant, size)
    ids = torch.arange(PROMPTS * PROMPT_TOKENS).view(PROMPTS, -1) % model.config.vocab_size
    steps: dict[str, tuple[Callable[[], Iterator[int]], int]] = {
        "training": (partial(_train, model, ids[:4]), 4 * PROMPT_TOKENS),
        "reading": (partial(_read, model, ids[:4]), 4 * PROMPT_TOKENS),
        "sampling": (partial(_sample, model, ids), PROMPTS * NEW_TOKENS),
    }
    found = {}
    with variant.around():
        for name, (run, tokens) in steps.items():
            seconds = min(_seconds(run) for _ in range(repeats))
            found[name] = tokens / seconds
    return found


def _adapted(variant: Variant, size: str) -> PreTrainedModel:
    adapters = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model: Any = SIZES[size].llama()
    model = get_peft_model(model.to(variant.dtype), adapters)
    if variant.compiled:
        model.base_model.model.model = torch.compile(model.base_model.model.model)
    return model  # type: ignore[no-any-return]


def _seconds(run: Callable[[], Iterator[int]]) -> float:
    """Return the processor time of what follows the first stage of a run, which prepares it."""
    stages = run()
    next(stages)
    started = process_time()
    for _ in stages:
        pass
    return process_time() - started


def _train(model: Any, ids: Tensor) -> Iterator[int]:
    yield 0
    logits = _scored_logits(model, ids)
    yield 1
    logits.float().log_softmax(-1).mean().backward()
    model.zero_grad()


def _read(model: Any, ids: Tensor) -> Iterator[int]:
    yield 0
    with torch.no_grad():
        _scored_logits(model, ids)


def _scored_logits(model: Any, ids: Tensor) -> Tensor:
    inner = model.base_model.model
    scored: Tensor = inner.lm_head(inner.model(ids).last_hidden_state[:, ::SCORED])
    return scored


def _sample(model: Any, ids: Tensor) -> Iterator[int]:
    with torch.no_grad():
        cache = model(ids, use_cache=True, logits_to_keep=1).past_key_values
        yield 0
        for _ in range(NEW_TOKENS):
            model(ids[:, :1], past_key_values=cache)


if __name__ == "__main__":
    typer.run(main)
