"""A training run from the first look-up to the held-out table: three stages of steps that can be resumed."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
from torch import Size, Tensor
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from agents.scripted import ScriptedPlayer
from agents.tiny_model import build_model, build_tokenizer, load, save
from agents.tiny_policy import TinyPolicy
from baselines.config import LearnerConfig, TrainConfig
from baselines.evaluation import Accuracy, evaluate
from baselines.learner import Learner
from baselines.policies import CausalLMPolicy
from baselines.rollout import Rollout
from baselines.run_directory import RunDirectory, restore_optimizer
from baselines.samples import Sample
from baselines.seeding import derive_rng, derive_seed
from baselines.self_play import SelfPlay
from baselines.tasks import TaskSource
from baselines.warm_start import clone, demonstrations, lookup_samples, pages_shown
from ssp_env.game import PROTOCOLS
from ssp_env.records import EpisodeWriter, keep_episodes
from ssp_env.worlds import terse_vocabulary

VALIDATION_FIRST_WORLD = 1_000_000
WARM_START = "warm-start"
FINAL = "final"
EPISODES = "episodes.jsonl"


class Interrupted(Exception):
    """The run was asked to stop; its state is saved in `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"stopped; continue with: ssp train --resume {folder}")
        self.folder = folder


class Observer(Protocol):
    """Watches a run, to display its progress."""

    def stage(self, name: str, steps: int, done: int) -> None:
        """A stage of `steps` steps begins, of which `done` were taken before."""

    def step(self, metrics: dict[str, float]) -> None:
        """A step is over."""

    def evaluating(self, what: str) -> None:
        """An evaluation begins."""


@dataclass(frozen=True)
class Stage:
    """A stage of a run: a number of steps with one learner.

    Attributes:
        name: As people read it.
        steps: Number of its steps.
        learner: Its optimiser is part of checkpoints.
        step: Takes the step of a number and returns its metrics.
        state: What else is part of checkpoints.
        restore: Takes such a state back.
    """

    name: str
    steps: int
    learner: Learner
    step: Callable[[int], dict[str, float]]
    state: Callable[[], Mapping[str, Tensor]] = dict
    restore: Callable[[Mapping[str, Tensor]], None] = lambda state: None


class Training:
    """Runs a configuration in a run directory, from the start or from its newest checkpoint.

    Args:
        config: Configuration of the run.
        run: Folder in which the run is recorded.
        observer: Told about every step.
        warm_start: Folder with a warm-started model, which is copied into the run and replaces its own warm
            start.
    """

    def __init__(
        self, config: TrainConfig, run: RunDirectory, observer: Observer, warm_start: Path | None = None
    ) -> None:
        self.config = config
        self.run = run
        self.observer = observer
        self.protocol = PROTOCOLS[config.game.protocol]
        self.source = TaskSource(config.world, hops=config.hops)
        self.model, self.tokenizer = _build(config)
        self.policy = CausalLMPolicy(self.model, self._player, temperature=config.temperature)
        if warm_start:
            check_warm_start(warm_start, config)
            run.publish(WARM_START, lambda folder: shutil.copytree(warm_start, folder, dirs_exist_ok=True))
        self.seconds = 0.0
        self._started = time.monotonic()
        self._stop = False

    def train(self) -> dict[str, Any]:
        """Run all stages, evaluate before and after self-play and write the summary.

        Raises:
            Interrupted: After the step in which the first Ctrl-C came; the state is saved.
        """
        stage_names = ("lookup", "cloning", "self_play")
        checkpoint = self.run.checkpoints()[-1] if self.run.checkpoints() else None
        first_stage, first_step, restore = self._restore(checkpoint)
        with self._deferred_interrupt():
            for index, name in enumerate(stage_names):
                if index < first_stage:
                    continue
                if name == "self_play":
                    self._save_warm_start()
                stage = getattr(self, f"_{name}_stage")()
                done = first_step if index == first_stage else 0
                if done:
                    restore(stage)
                self._run_stage(index, stage, done)
        self.run.publish(FINAL, lambda folder: save(self.model, self.tokenizer, folder))
        after = self._evaluate("after")
        return self._summarise(after)

    # -- stages ----------------------------------------------------------------------------------------

    def _lookup_stage(self) -> Stage:
        options = self.config.warm_start
        learner = self._supervised(options.lookup_steps)

        def step(number: int) -> dict[str, float]:
            rng = derive_rng(self.config.seed, "lookup", number)
            pages = pages_shown(number / options.lookup_steps)
            return clone(learner, self._lookups(rng, options.lookup_sequences, pages))

        return Stage("look-ups", options.lookup_steps, learner, step)

    def _cloning_stage(self) -> Stage:
        options = self.config.warm_start
        learner = self._supervised(options.cloning_steps)
        game = replace(self.config.game, attempts=options.cloning_attempts)

        def step(number: int) -> dict[str, float]:
            rng = derive_rng(self.config.seed, "cloning", number)
            player = ScriptedPlayer(seed=derive_seed(self.config.seed, "cloning", number))
            shown = demonstrations(
                self.source, player, game, self.tokenizer, rng, games=options.cloning_games
            )
            return clone(
                learner, [*shown, *self._lookups(rng, options.rehearsed_sequences, pages_shown(1.0))]
            )

        return Stage("cloning", options.cloning_steps, learner, step)

    def _lookups(self, rng: np.random.Generator, sequences: int, pages: int) -> list[Sample]:
        return lookup_samples(
            self.config.world,
            self.protocol,
            self.tokenizer,
            rng,
            worlds=sequences // 4,
            per_world=4,
            pages=pages,
        )

    def _supervised(self, steps: int) -> Learner:
        options = LearnerConfig(
            learning_rate=self.config.warm_start.learning_rate,
            betas=self.config.learner.betas,
            weight_decay=0.01,
            warmup_steps=max(1, steps // 20),
            schedule="cosine",
            floor=0.1,
            total_steps=max(1, steps),
            micro_batch_tokens=self.config.learner.micro_batch_tokens,
        )
        return Learner(self.policy, options)

    def _self_play_stage(self) -> Stage:
        config = self.config
        frozen = None
        if config.mode != "self-play":
            frozen = self.policy.duplicate()
            frozen.model.load_state_dict(load(self.run.path / WARM_START)[0].state_dict())
        game = SelfPlay(config, self.policy, frozen)

        def step(number: int) -> dict[str, float]:
            played, metrics = game.step(number)
            every = config.evaluation.validation_every
            if every and (number + 1) % every == 0:
                metrics |= self._validate(number)
                self._record_episodes(played, number)
            return metrics

        return Stage("self-play", config.steps, game.learner, step, game.state_dict, game.load_state_dict)

    def _player(self, model: PreTrainedModel, seed: int, version: str) -> TinyPolicy:
        player = TinyPolicy(model, self.tokenizer, temperature=self.config.temperature, seed=seed)
        player.published(version)
        return player

    # -- the loop --------------------------------------------------------------------------------------

    def _run_stage(self, index: int, stage: Stage, done: int) -> None:
        self.observer.stage(stage.name, stage.steps, done)
        for number in range(done, stage.steps):
            metrics = stage.step(number)
            row = {"stage": stage.name, "step": self._global_step(index, number), **metrics}
            self.run.append_jsonl("metrics.jsonl", [row])
            self.observer.step(metrics)
            finished = number + 1 == stage.steps
            if self._stop or finished or (number + 1) % self.config.checkpoint_every == 0:
                self._checkpoint(index, number + 1, stage)
            if self._stop:
                raise Interrupted(self.run.path)

    def _global_step(self, stage: int, number: int) -> int:
        options = self.config.warm_start
        return sum((options.lookup_steps, options.cloning_steps)[:stage]) + number + 1

    def _checkpoint(self, index: int, step: int, stage: Stage) -> None:
        state = {
            "seconds": self._elapsed(),
            "global_step": self._global_step(index, step - 1),
            "optimizer_steps": stage.learner.steps,
        }
        self.run.save_checkpoint(
            index, step, self.model.state_dict(), stage.learner.optimizer, state, stage.state()
        )

    def _restore(self, folder: Path | None) -> tuple[int, int, Callable[[Stage], None]]:
        """Load the weights; return the stage and step to go on from, and what restores the stage."""
        if folder is None:
            self._drop_rows_after(0)
            if not (self.run.path / WARM_START).exists():
                return 0, 0, lambda stage: None
            self.model.load_state_dict(load(self.run.path / WARM_START)[0].state_dict())
            return 2, 0, lambda stage: None
        checkpoint = self.run.load_checkpoint(folder)
        self.model.load_state_dict(checkpoint.weights)
        self.seconds = checkpoint.state["seconds"]
        self._drop_rows_after(checkpoint.state["global_step"])

        def restore(stage: Stage) -> None:
            restore_optimizer(stage.learner.optimizer, checkpoint.moments, checkpoint.state["optimizer"])
            stage.learner.steps = checkpoint.state["optimizer_steps"]
            stage.restore(checkpoint.kept)

        return checkpoint.state["stage"], checkpoint.state["step"], restore

    def _drop_rows_after(self, step: int) -> None:
        self.run.truncate_jsonl("metrics.jsonl", step)
        keep_episodes(self.run.path / EPISODES, lambda episode: episode.extra["step"] <= step)

    @contextmanager
    def _deferred_interrupt(self) -> Iterator[None]:
        """Let the running step finish on the first Ctrl-C; a second one stops at once."""

        def handler(signum: int, frame: FrameType | None) -> None:
            self._stop = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        before = signal.signal(signal.SIGINT, handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    # -- evaluation and records ------------------------------------------------------------------------

    def _save_warm_start(self) -> None:
        if not (self.run.path / WARM_START).exists():
            self.run.publish(WARM_START, lambda folder: save(self.model, self.tokenizer, folder))
        if not (self.run.path / "heldout_before.json").exists():
            before = self._evaluate("before")
            rows = {str(hops): accuracy.to_dict() for hops, accuracy in before.items()}
            self.run.write_json("heldout_before.json", rows)

    def _evaluate(self, what: str) -> dict[int, Accuracy]:
        self.observer.evaluating(f"held-out questions, {what}")
        # A run that is resumed here has published nothing yet, and must draw the same numbers.
        self.policy.published(what)
        agent = self.policy.agent(derive_seed(self.config.seed, what))
        questions = self.config.evaluation.questions
        return dict(evaluate(agent, self.config.world, self.config.game, questions=questions))

    def _validate(self, number: int) -> dict[str, float]:
        results = evaluate(
            self.policy.agent(derive_seed(self.config.seed, "validation", number)),
            self.config.world,
            self.config.game,
            questions=self.config.evaluation.validation_questions,
            first_world=VALIDATION_FIRST_WORLD,
        )
        return {f"validation/{hops}_hop": accuracy.pass_at_1 for hops, accuracy in results.items()}

    def _record_episodes(self, played: Rollout, number: int) -> None:
        extra = {"step": self._global_step(2, number)}
        with EpisodeWriter(self.run.path / EPISODES, append=True) as writer:
            for game in played.games:
                writer.write(game, played.engines[game.task.corpus].fingerprint(), extra)

    def _summarise(self, after: dict[int, Accuracy]) -> dict[str, Any]:
        rows = [row for row in self.run.read_jsonl("metrics.jsonl") if row["stage"] == "self-play"]
        last = rows[-max(1, len(rows) // 8) :]
        keys = ("valid_rate", "mean_hops", "solver_reward", "proposer_reward", "label_truth", "mixed_groups")
        summary = {
            "seed": self.config.seed,
            "mode": self.config.mode,
            "wall_s": round(self._elapsed(), 1),
            "peak_rss_mb": _peak_rss_mb(),
            "heldout": {
                "before": json.loads((self.run.path / "heldout_before.json").read_text()),
                "after": {str(hops): accuracy.to_dict() for hops, accuracy in after.items()},
            },
            "game": {key: _mean(values) for key in keys if (values := [r[key] for r in last if key in r])},
        }
        self.run.write_json("summary.json", summary)
        return summary

    def _elapsed(self) -> float:
        return self.seconds + time.monotonic() - self._started


def check_warm_start(folder: Path, config: TrainConfig) -> None:
    """Check that a run can start from the model in a folder.

    Raises:
        FileNotFoundError: If the folder holds no checkpoint.
        ValueError: If the checkpoint cannot be read, or is of another size than the configuration's.
    """
    if _shapes(load(folder)[0]) != _shapes(_build(config)[0]):
        raise ValueError(f"the model in {folder} has other sizes than those of the preset {config.preset!r}")


def _build(config: TrainConfig) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    tokenizer = build_tokenizer(PROTOCOLS[config.game.protocol], terse_vocabulary())
    return build_model(len(tokenizer), seed=config.seed, **asdict(config.model)), tokenizer


def _shapes(model: LlamaForCausalLM) -> dict[str, Size]:
    return {name: weight.shape for name, weight in model.state_dict().items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _peak_rss_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)
