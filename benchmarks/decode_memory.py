"""Memory and speed of `TransformersAgent` by the size of its batch: SmolLM2 reads growing conversations.

Run with `python -m benchmarks.decode_memory`. Every size runs in a process of its own.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.process_memory import memory
from ssp_env.cli.progress import tracked

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GIB = 2**30
OPENING_TOKENS = 700
"""Tokens that all conversations share, as demonstrations are."""
TURN_TOKENS = 600
CACHE_TOKENS = 65_536


@dataclass(frozen=True, slots=True)
class Load:
    """The turns to sample: every turn of every conversation, short ones first.

    Attributes:
        conversations: Number of conversations.
        turns: Turns of each; every one adds `TURN_TOKENS`.
        new_tokens: Tokens sampled per turn.
    """

    conversations: int
    turns: int
    new_tokens: int

    def prompts(self, vocabulary: int) -> list[list[int]]:
        """Return prompts of random ids, the same every time."""
        rng = np.random.default_rng(0)
        opening = rng.integers(vocabulary, size=OPENING_TOKENS).tolist()
        bodies = rng.integers(vocabulary, size=(self.conversations, self.turns * TURN_TOKENS)).tolist()
        return [opening + body[: (turn + 1) * TURN_TOKENS] for turn in range(self.turns) for body in bodies]


def sampled_per_second(model: PreTrainedModel, batch_tokens: int, load: Load) -> float:
    """Submit all turns at once, let them run and return tokens sampled per second."""
    from agents.decode_loop import DecodeLoop, TurnRequest

    loop = DecodeLoop(model, batch_tokens=batch_tokens, cache_tokens=CACHE_TOKENS)
    requests = [
        TurnRequest(
            key=number,
            role="solver",
            prompt=prompt,
            limit=load.new_tokens,
            temperature=0.0,
            top_p=1.0,
            rng=np.random.default_rng(number),
            is_finished=lambda ids: False,
            is_last=lambda ids: True,
        )
        for number, prompt in enumerate(load.prompts(model.config.vocab_size))
    ]
    started = perf_counter()
    for request in requests:
        loop.submit(request)
    samples = loop.run(requests)
    return sum(len(sample.token_ids) for sample in samples) / (perf_counter() - started)


def measure(batch_tokens: int, load: Load) -> tuple[float, float, float]:
    """Return tokens per second, and the most bytes this process held before and until the end."""
    import torch

    from agents import smollm2

    model, _ = smollm2.load(dtype=torch.float32)
    before = memory()["peak"]
    speed = sampled_per_second(model, batch_tokens, load)
    return speed, before, memory()["peak"]


def main(
    batch_tokens: Annotated[list[int], typer.Option(help="Size; repeat the option for more.", min=1)] = [  # noqa: B006
        65_536,
        32_768,
        16_384,
    ],
    conversations: Annotated[int, typer.Option(help="Conversations.", min=1)] = 10,
    turns: Annotated[int, typer.Option(help=f"Turns of each, of {TURN_TOKENS} tokens.", min=1)] = 4,
    new_tokens: Annotated[int, typer.Option(help="Tokens sampled per turn.", min=1)] = 8,
) -> None:
    """Print peak memory and tokens per second for every size of the batch."""
    load = Load(conversations, turns, new_tokens)
    table = Table()
    for heading in ("batch_tokens", "tokens/s", "GiB once loaded", "GiB at most"):
        table.add_column(heading, justify="right")
    for size in tracked(batch_tokens, "measuring"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            speed, before, peak = process.submit(measure, size, load).result()
        table.add_row(f"{size:,}", f"{speed:.1f}", f"{before / GIB:.2f}", f"{peak / GIB:.2f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
