"""Whether training on this machine's GPU computes what the CPU computes, and how fast it is, in minutes.

Run with `make gpu-check TORCH=cuda`; paste the table that it prints into an issue. All models have random
weights, so that no network is needed. Without a GPU it runs on the CPU, with a smaller model.
"""

from __future__ import annotations

import platform
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from random import Random
from time import perf_counter
from typing import Annotated, Any, NamedTuple, TypeVar

import numpy as np
import torch
import transformers
import typer
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from agents import ScriptedPlayer, TinyPolicy, build_model, build_tokenizer
from agents.decode_loop import DecodeLoop, TurnRequest
from baselines import GRPO, CausalLMPolicy, Learner, LearnerConfig, Sample, Segment, game_samples
from baselines.config import preset
from baselines.policies.models import TinyModel
from baselines.samples import collate
from baselines.self_play import SelfPlay
from benchmarks.process_memory import memory
from ssp_env import open_scenario
from ssp_env.cli.progress import tracked
from ssp_env.play import play

T = TypeVar("T")
GIB = 2**30
DTYPES = (torch.float32, torch.bfloat16)
FLOAT32_ERROR = "at most 0.001"


class Row(NamedTuple):
    """A line of the table; `expected` says what is usual, where that is known."""

    measurement: str
    value: float
    unit: str = ""
    expected: str = ""


class Size(NamedTuple):
    """The Llama's options, and how much goes through it; the first of its updates is not timed."""

    options: Mapping[str, Any]
    conversations: int
    prompt_tokens: int
    new_tokens: int
    updates: int
    games: int

    def llama(self) -> LlamaForCausalLM:
        """Return a Llama on the CPU, in float32; its random weights are the same every time."""
        # Weights of the usual size would make all tokens about equally likely.
        config = LlamaConfig(**self.options, tie_word_embeddings=True, initializer_range=0.05)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model: LlamaForCausalLM = LlamaForCausalLM(config).eval()
        return model


NAMES = "num_hidden_layers hidden_size num_attention_heads num_key_value_heads intermediate_size vocab_size"
TINY_OPTIONS = dict(zip(NAMES.split(), (2, 64, 4, 2, 128, 512)))
SMOLLM2_OPTIONS = dict(zip(NAMES.split(), (30, 576, 9, 3, 1536, 49152)))
SIZES = {"small": Size(TINY_OPTIONS, 4, 24, 8, 1, 4), "full": Size(SMOLLM2_OPTIONS, 32, 256, 256, 3, 64)}


def parity(device: torch.device, size: Size) -> Iterator[Row]:
    """Score the same tokens with the same weights on the CPU and on the device."""
    model, rng = SIZES["small"].llama(), np.random.default_rng(1)
    samples = [
        Sample("", "", (Segment(prompt[:4], sampled=False), Segment(prompt[4 : 8 + 4 * row], sampled=True)))
        for row, prompt in enumerate(map(tuple, rng.integers(512, size=(8, 36)).tolist()))
    ]
    batch = collate(samples)

    def scored(where: torch.device, dtype: torch.dtype) -> Tensor:
        policy = _policy(_placed(model, where, dtype))
        with torch.no_grad():
            return policy.score(batch).logprobs.cpu()[batch.mask]

    for dtype, other in zip((*DTYPES, torch.bfloat16), (*DTYPES, torch.float32)):
        error = (scored(device, dtype) - scored(torch.device("cpu"), other)).abs()
        name = f"log-probabilities, device {_name(dtype)} less CPU {_name(other)}"
        for kind, value in (("mean", error.mean()), ("largest", error.max())):
            yield Row(
                f"{name}, {kind}", float(value), "nats", FLOAT32_ERROR if dtype == other == DTYPES[0] else ""
            )


def ratio_errors(device: torch.device, size: Size) -> Iterator[Row]:
    """Play games, and compare the sampler's log-probabilities of every token with the trainer's."""
    original = build_model(len(build_tokenizer()))
    scenario = open_scenario("tiny", hops=(1,), rules={"attempts": 4})
    proposer = ScriptedPlayer(proposer="perfect")
    for dtype in DTYPES:
        policy = _policy(_placed(original, device, dtype))
        games = scenario.games(scenario.draw_tasks(size.games, seed=0), seed=0)
        play(games, proposer=proposer, solver=policy.agent(0), reader=proposer, search=scenario.search)
        samples = [sample for game in games for sample in game_samples(game) if sample.role == "solver"]
        yield from _mismatch(f"games, {_name(dtype)}", policy, samples, dtype == torch.float32)
        yield Row(f"games, {_name(dtype)}: sampled tokens", sum(sample.sampled_count for sample in samples))


def speed(device: torch.device, size: Size) -> Iterator[Row]:
    """Decode with the Llama, and train it on what it sampled."""
    original = size.llama()
    yield Row("Llama: parameters", original.num_parameters() / 1e6, "million")
    # The float32 samples come last: training is in float32.
    for dtype in reversed(DTYPES):
        name = f"Llama, decoding in {_name(dtype)}"
        model = _placed(original, device, dtype)
        _decode(model, size, new_tokens=2)
        samples, seconds, peak = _measured(device, partial(_decode, model, size, size.new_tokens))
        yield Row(f"{name}: sampled", sum(sample.sampled_count for sample in samples) / seconds, "tokens/s")
        yield Row(f"{name}: peak memory", peak, "GiB")
        yield from _mismatch(name, _policy(model), samples, dtype == torch.float32)
        # Two models at a time would count in the peak of the next.
        del model
    for autocast in (False, True):
        policy = _policy(_placed(original, device, torch.float32), autocast)
        yield from _training(policy, autocast, samples, size)
        del policy


def _training(policy: CausalLMPolicy, autocast: bool, samples: Sequence[Sample], size: Size) -> Iterator[Row]:
    name = f"Llama, training in float32{' with autocast to bfloat16' if autocast else ''}"
    if autocast:
        yield from _mismatch(f"{name}, float32 sampler", policy, samples, exact=False)
    # Micro-batches that a GPU of 16 GB has room for.
    algorithm = GRPO(Learner(policy, LearnerConfig(learning_rate=1e-5, micro_batch_tokens=4096)))
    algorithm.update(samples)
    updates = range(size.updates)
    metrics, seconds, peak = _measured(policy.device, lambda: [algorithm.update(samples) for _ in updates])
    yield Row(f"{name}: trained", size.updates * sum(s.length for s in samples) / seconds, "tokens/s")
    yield Row(f"{name}: peak memory", peak, "GiB")
    yield Row(f"{name}: norm of the gradient", metrics[-1]["grad_norm"])


def self_play(device: torch.device, size: Size) -> Iterator[Row]:
    """Take steps of self-play with the tiny model, in which both roles learn."""
    # Random weights win nothing: a scripted proposer asks too, and the entropy bonus has a gradient.
    bonus = {"entropy_coefficient": 0.01}
    opponents = {"proposer": "perfect", "share": 0.5}
    changes = {"opponents": opponents, "solver": bonus, "proposer": bonus, "model": {"device": str(device)}}
    config = preset("smoke").changed(changes)
    game = SelfPlay(config, TinyModel(config).policy, None)
    for number in range(2):
        started = perf_counter()
        _, metrics = game.step(number)
        name = f"self-play, step {number + 1}"
        yield Row(f"{name}: largest ratio error", metrics["max_ratio_error"], "", FLOAT32_ERROR)
        yield Row(f"{name}: norm of the gradient", metrics["grad_norm"])
        yield Row(f"{name}: trained tokens", metrics["trained_tokens"])
        yield Row(f"{name}: duration", perf_counter() - started, "s")


def _placed(model: LlamaForCausalLM, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    placed: Any = deepcopy(model)
    return placed.to(device, dtype)  # type: ignore[no-any-return]


def _policy(model: PreTrainedModel, autocast: bool = False) -> CausalLMPolicy:
    def player(model: PreTrainedModel, seed: int, version: str) -> TinyPolicy:
        return TinyPolicy(model, build_tokenizer(), seed=seed)

    return CausalLMPolicy(model, player, autocast=autocast)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _measured(device: torch.device, function: Callable[[], T]) -> tuple[T, float, float]:
    """Return the result, seconds, and the peak of memory in GiB: the GPU's, or else the whole process's."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = perf_counter()
    result = function()
    if on_gpu:
        torch.cuda.synchronize()
    seconds = perf_counter() - started
    peak = torch.cuda.max_memory_allocated() if on_gpu else memory()["peak"]
    return result, seconds, peak / GIB


def _mismatch(name: str, policy: CausalLMPolicy, samples: Sequence[Sample], exact: bool) -> Iterator[Row]:
    """Yield |ratio - 1| of the trainer's to the sampler's probabilities, mean and largest."""
    metrics = Learner(policy, LearnerConfig(old_logprobs="recomputed")).prepare(samples)[1]
    for kind, key in (("mean", "mismatch_mean"), ("largest", "mismatch_max")):
        yield Row(f"{name}: ratio error, {kind}", metrics[key], "", FLOAT32_ERROR if exact else "")


def _decode(model: PreTrainedModel, size: Size, new_tokens: int) -> list[Sample]:
    """Sample from all prompts at once; every other conversation is rewarded."""
    loop = DecodeLoop(model, batch_tokens=65_536, cache_tokens=0)
    rng = np.random.default_rng(0)
    ids = rng.integers(size.options["vocab_size"], size=(size.conversations, size.prompt_tokens))
    requests, samples = [], []
    for number, prompt in enumerate(map(tuple, ids.tolist())):
        ends = (lambda _: False), (lambda _: True)
        requests.append(TurnRequest(number, "solver", prompt, new_tokens, 1.0, 1.0, Random(number), *ends))
        loop.submit(requests[-1])
    for number, (request, turn) in enumerate(zip(requests, loop.run(requests), strict=True)):
        segments = Segment(tuple(request.prompt), False), Segment(turn.token_ids, True, turn.logprobs)
        samples.append(Sample("", f"solver_{number}", segments, group="one", reward=float(number % 2)))
    return samples


PARTS: tuple[Callable[[torch.device, Size], Iterator[Row]], ...] = (parity, ratio_errors, speed, self_play)


def main(size: Annotated[str, typer.Option(help="small or full; full on a GPU by default")] = "") -> None:
    """Measure, and print a table in Markdown."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = size or ("full" if device.type == "cuda" else "small")
    if size not in SIZES:
        raise typer.BadParameter(f"size must be small or full, got {size!r}")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"{name}, size {size}, {versions}, Python {platform.python_version()}\n")
    print("| measurement | value | unit | expected |\n|---|---:|---|---|")
    failed = False
    for part in PARTS:
        try:
            for row in tracked(part(device, SIZES[size]), part.__name__.strip("_").replace("_", " ")):
                figure = f"{row.value:,.0f}" if row.value >= 1000 else f"{row.value:.3g}"
                print(f"| {row.measurement} | {figure} | {row.unit} | {row.expected} |", flush=True)
        except Exception as error:
            # The other parts are worth knowing all the same.
            failed = True
            traceback.print_exc()
            print(f"| {part.__name__} failed: {type(error).__name__} | | | |", flush=True)
    if failed:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
