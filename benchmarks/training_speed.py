"""How fast training is: steps of ours beside TRL's GRPOTrainer, and what a self-play step is spent on.

`PYTHONPATH=.venv/parity python -m benchmarks.training_speed` needs TRL (`make parity`). Both trainers
take steps in turn, on the same tiny Llama and on as many prompts, completions and tokens: they sample, score
and take one optimiser step. Times are CPU times of this process, which other processes change little.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback

from agents.decode_loop import DecodeLoop, TurnRequest
from agents.tiny_model import build_model, build_tokenizer
from baselines import (
    GRPO,
    CausalLMPolicy,
    GRPOConfig,
    Learner,
    LearnerConfig,
    Sample,
    Segment,
    TrainConfig,
    preset,
)
from baselines.policies.models import open_model
from baselines.rollouts.tasks import WorldSource
from baselines.self_play import SelfPlay
from ssp_env.cli.progress import tracked, waiting
from ssp_env.search.bm25.engine import BM25Engine

END = "</answer>"
"""The end of a text for TRL, which asks for one; every completion has all its tokens nevertheless."""
LEARNING_RATE = 1e-5
NEEDS_TRL = (
    "benchmarks.training_speed compares with TRL, and {library} is not installed. With Python 3.11 or newer, "
    "run `make parity`, which installs it into .venv/parity, and then: "
    "PYTHONPATH=.venv/parity python -m benchmarks.training_speed"
)


# -- a step of ours and one of TRL's -----------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """What a step samples and learns from.

    Attributes:
        prompts: Prompts.
        attempts: Completions of each, which are a group.
        prompt_tokens: Tokens of a prompt.
        new_tokens: Tokens of a completion.
        micro_batch: Completions that go through the model together in the update, of both trainers.
    """

    prompts: int = 8
    attempts: int = 8
    prompt_tokens: int = 64
    new_tokens: int = 32
    micro_batch: int = 64

    def __post_init__(self) -> None:
        if self.completions % self.micro_batch:
            raise ValueError(
                f"micro_batch must divide the {self.completions} completions of a step, "
                f"got {self.micro_batch}"
            )

    @property
    def completions(self) -> int:
        """Completions of a step."""
        return self.prompts * self.attempts

    @property
    def sampled(self) -> int:
        """Tokens that a step samples and trains."""
        return self.completions * self.new_tokens

    def token_ids(self, vocabulary: int) -> list[list[int]]:
        """Return the prompts, the same each time, without the ids of padding and of unknown words."""
        rng = np.random.default_rng(0)
        return [rng.integers(2, vocabulary, self.prompt_tokens).tolist() for _ in range(self.prompts)]


def reward(token_ids: Sequence[int]) -> float:
    """Pay about half of all completions, whatever they say."""
    return float(sum(token_ids) % 2)


def tiny() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Return the model of the tiny preset, untrained, and its tokenizer."""
    tokenizer = build_tokenizer()
    tokenizer.eos_token = END
    return build_model(len(tokenizer)), tokenizer


class Ours:
    """Our step: `DecodeLoop` samples, `GRPO` learns.

    Args:
        model: The model; it is changed.
        load: What a step samples.
        share_prefixes: Whether prompts go through the model once for all attempts in the update, too.

    Attributes:
        metrics: Those of the newest update.
        sampled: Tokens of the newest step; groups of equal rewards have no gradient and are not trained on.
    """

    def __init__(self, model: LlamaForCausalLM, load: Load, *, share_prefixes: bool = False) -> None:
        self._load = load
        self._prompts = load.token_ids(model.config.vocab_size)
        self._loop = DecodeLoop(model, batch_tokens=65_536, cache_tokens=65_536)
        policy = CausalLMPolicy(
            model,
            lambda model, seed, version: None,  # type: ignore[arg-type, return-value]
            share_prefixes=share_prefixes,
        )
        micro_batch_tokens = load.micro_batch * (load.prompt_tokens + load.new_tokens)
        config = LearnerConfig(learning_rate=LEARNING_RATE, micro_batch_tokens=micro_batch_tokens)
        self._algorithm = GRPO(Learner(policy, config), GRPOConfig())
        self._steps = 0
        self.metrics: dict[str, float] = {}
        self.sampled = 0

    def step(self) -> None:
        """Sample, score and learn."""
        self._steps += 1
        self._loop.published(str(self._steps))
        requests = self._requests()
        for request in requests:
            self._loop.submit(request)
        samples = [
            Sample(
                game_id=str(request.key),
                seat="solver_0",
                segments=(
                    Segment(tuple(request.prompt), sampled=False),
                    Segment(sampled.token_ids, sampled=True, logprobs=sampled.logprobs),
                ),
                group=str(request.prompt),
                reward=reward(sampled.token_ids),
            )
            for request, sampled in zip(requests, self._loop.run(requests), strict=True)
        ]
        self.sampled = sum(sample.sampled_count for sample in samples)
        self.metrics = self._algorithm.update(samples)

    def _requests(self) -> list[TurnRequest]:
        return [
            TurnRequest(
                key=(number, attempt),
                role="solver",
                prompt=prompt,
                limit=self._load.new_tokens,
                temperature=1.0,
                top_p=1.0,
                rng=np.random.default_rng([self._steps, number, attempt]),
                is_finished=lambda ids: False,
                is_last=lambda ids: True,
            )
            for number, prompt in enumerate(self._prompts)
            for attempt in range(self._load.attempts)
        ]


@dataclass
class Times:
    """CPU seconds of each step, also of ours with shared prefixes, and the tokens of TRL's newest one."""

    ours: list[float] = field(default_factory=list)
    sharing: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    their_tokens: int = 0


class InTurn(TrainerCallback):
    """Takes a step of ours after each of TRL's, and one with shared prefixes, and the time of all."""

    def __init__(self, ours: Ours, sharing: Ours, times: Times) -> None:
        self._ours, self._sharing, self._times = ours, sharing, times
        self._started = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Remember when the step began."""
        self._started = time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Take the time, and then steps of ours."""
        self._times.theirs.append(time.process_time() - self._started)
        for ours, seconds in ((self._ours, self._times.ours), (self._sharing, self._times.sharing)):
            started = time.process_time()
            ours.step()
            seconds.append(time.process_time() - started)


def beside_trl(load: Load, steps: int) -> Times:
    """Let GRPOTrainer take steps, and take ours after each; the first of all is not counted.

    Raises:
        ModuleNotFoundError: If TRL is not installed; the message says how to install it.
        RuntimeError: If they did not sample as many tokens.
    """
    try:
        import trl  # first, so that an error names it and not what it needs
        import datasets  # isort: skip
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(NEEDS_TRL.format(library=error.name), name=error.name) from error
    model, tokenizer = tiny()
    ours, times = Ours(copy.deepcopy(model), load), Times()
    sharing = Ours(copy.deepcopy(model), load, share_prefixes=True)

    def rewards(completion_ids: Sequence[Sequence[int]], **rest: Any) -> list[float]:
        times.their_tokens = sum(map(len, completion_ids))
        return [reward(ids) for ids in completion_ids]

    texts = [tokenizer.decode(ids) for ids in load.token_ids(len(tokenizer))]
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        model.config._name_or_path = folder
        trl.GRPOTrainer(
            model,
            reward_funcs=rewards,
            args=trl.GRPOConfig(**trl_options(load, steps + 1, folder)),
            train_dataset=datasets.Dataset.from_list([{"prompt": text} for text in texts]),
            processing_class=tokenizer,
            callbacks=[InTurn(ours, sharing, times)],
        ).train()
    del times.ours[0], times.sharing[0], times.theirs[0]
    if {times.their_tokens, ours.sampled, sharing.sampled} != {load.sampled}:
        raise RuntimeError(
            f"expected {load.sampled} tokens a step of both, got {ours.sampled} of ours, "
            f"{sharing.sampled} with shared prefixes and {times.their_tokens} of TRL's"
        )
    return times


def trl_options(load: Load, steps: int, folder: str) -> dict[str, Any]:
    """Return the options of TRL's `GRPOConfig` for the same steps as `Ours`."""
    return {
        "output_dir": folder,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "max_steps": steps,
        "per_device_train_batch_size": load.micro_batch,
        "gradient_accumulation_steps": load.completions // load.micro_batch,
        "num_generations": load.attempts,
        "max_completion_length": load.new_tokens,
        "generation_kwargs": {"min_new_tokens": load.new_tokens},
        "temperature": 1.0,
        "beta": 0.0,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


def comparison(load: Load, times: Times) -> dict[str, Any]:
    """Return the figures beside TRL as plain data: CPU microseconds per token, and the ratio of each pair."""
    steps = {"ours": times.ours, "ours_sharing_prefixes": times.sharing}
    ratios = {
        name: [theirs / own for theirs, own in zip(times.theirs, seconds, strict=True)]
        for name, seconds in steps.items()
    }
    return {
        "versions": {name: version(name) for name in ("torch", "transformers", "trl")},
        "threads": torch.get_num_threads(),
        "load": asdict(load),
        "steps": len(times.theirs),
        "us_per_token": {
            name: round(median(seconds) / load.sampled * 1e6, 1)
            for name, seconds in {**steps, "trl": times.theirs}.items()
        },
        "ratio_of_trl": {
            name: {of.__name__: round(of(found), 2) for of in (min, median, max)}
            for name, found in ratios.items()
        },
    }


# -- what a self-play step is spent on ---------------------------------------------------------------------


class Stopwatch:
    """Adds up the CPU seconds that methods take, without those that they spend in other watched ones.

    Attributes:
        seconds: By the part of a step that a method belongs to.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]

    @contextmanager
    def watch(self, places: Sequence[tuple[str, type, str]]) -> Iterator[None]:
        """Watch methods, each given as the part it belongs to, its class and its name."""
        originals = [(owner, name, getattr(owner, name)) for _, owner, name in places]
        for part, owner, name in places:
            setattr(owner, name, self._watched(part, getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name, original in originals:
                setattr(owner, name, original)

    def _watched(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            self._inner.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.process_time() - started
                self.seconds[part] = self.seconds.get(part, 0.0) + spent - self._inner.pop()
                self._inner[-1] += spent

        return timed


def step_shares(config: TrainConfig, steps: int, warm_start: Path | None) -> tuple[dict[str, float], float]:
    """Return the share of each part in the CPU time of self-play steps, and the tokens trained in a step.

    Args:
        config: Configuration of the run; both roles learn.
        steps: Number of steps, after one that is not counted.
        warm_start: Folder of the model that they begin with; an untrained model if None.
    """
    with tempfile.TemporaryDirectory() as workspace:
        opened = open_model(config, Path(workspace))
        if warm_start is not None:
            opened.restore(opened.policy, warm_start)
        game, watch, tokens = SelfPlay(config, opened.policy, None), Stopwatch(), 0.0
        game.step(0)
        places: list[tuple[str, type, str]] = [
            ("games", SelfPlay, "step"),
            ("generation", DecodeLoop, "run"),
            ("search", BM25Engine, "search"),
            ("worlds and their indexes", WorldSource, "draw"),
            ("log-probs", CausalLMPolicy, "score"),
            ("update", Learner, "fit"),
        ]
        with watch.watch(places):
            for number in tracked(range(1, steps + 1), "self-play steps", is_still=True):
                tokens += game.step(number)[1]["trained_tokens"]
    whole = sum(watch.seconds.values())
    return {part: watch.seconds.get(part, 0.0) / whole for part, _, _ in places}, tokens / steps


# -- the report --------------------------------------------------------------------------------------------


def main(
    steps: Annotated[int, typer.Option(help="Steps of each, in turn; medians are shown.", min=1)] = 15,
    micro_batch: Annotated[
        int, typer.Option(help="Completions that an update reads together.", min=1)
    ] = Load.micro_batch,
    warm_start: Annotated[
        Path | None,
        typer.Option(help="Show the shares of a self-play step that begins with this model of a tiny run."),
    ] = None,
    self_play_steps: Annotated[int, typer.Option(help="Self-play steps for the shares.", min=1)] = 5,
    threads: Annotated[int, typer.Option(help="CPU threads of torch.", min=1)] = 1,
    out: Annotated[Path, typer.Option(help="File of the figures.")] = Path("results/training_speed.json"),
) -> None:
    """Measure, print tables, and write the figures to a file."""
    torch.set_num_threads(threads)
    load = Load(micro_batch=micro_batch)
    try:
        with waiting("taking steps of both in turn", is_still=True):
            figures = comparison(load, beside_trl(load, steps))
    except ModuleNotFoundError as error:
        sys.exit(str(error))
    ratios = figures["ratio_of_trl"]
    _print("trainer, CPU microseconds per token", {
        "ours": f"{figures['us_per_token']['ours']:.1f}",
        "ours, prefixes shared in training": f"{figures['us_per_token']['ours_sharing_prefixes']:.1f}",
        "TRL's GRPOTrainer": f"{figures['us_per_token']['trl']:.1f}",
        f"TRL's by ours, median of {steps} pairs of steps": f"{ratios['ours']['median']:.2f}",
        "the same with prefixes shared": f"{ratios['ours_sharing_prefixes']['median']:.2f}",
    })  # fmt: skip
    if warm_start is not None:
        shares, tokens = step_shares(preset("tiny"), self_play_steps, warm_start)
        figures["tiny_step_shares"] = {part: round(share, 3) for part, share in shares.items()}
        figures["tiny_step_trained_tokens"] = round(tokens)
        _print(
            "part of a self-play step, tiny preset", {part: f"{share:.1%}" for part, share in shares.items()}
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")


def _print(title: str, rows: dict[str, str]) -> None:
    table = Table(title, "")
    for name, figure in rows.items():
        table.add_row(name, figure)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
