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
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from baselines.by_role import by_role, distinct, joined, state_of
from baselines.config import TrainConfig
from baselines.early_warnings import EarlyWarnings
from baselines.evaluation.heldout import Accuracy, evaluate
from baselines.policies.models import check_model, open_model, policies_of_roles
from baselines.policies.sharding import ShardedPolicy
from baselines.processes import Processes
from baselines.rollouts.asynchronous import AsyncRollouts
from baselines.rollouts.rollout import Rollout
from baselines.rollouts.tasks import open_source
from baselines.runs.directory import Checkpoint, RunDirectory, restore_optimizer
from baselines.runs.files import (
    HELDOUT_BEFORE,
    METRICS,
    SELF_PLAY,
    SUMMARY,
    WARM_START,
    self_play_rows,
    tokens_spent,
)
from baselines.runs.tracking import Tracking
from baselines.seeding import derive_seed
from baselines.self_play import SelfPlay
from baselines.stages import Stage, WarmStart, warm_start_steps
from baselines.update_trace import UpdateTrace
from ssp_env.game.audit import audit
from ssp_env.records import EpisodeWriter, keep_episodes
from ssp_env.worlds.graph import WORLD_VERSION

FINAL = "final"
BEST = "best"
MODELS = "models"
VALIDATION = "validation.json"
"""File in the folder `best`: the step whose weights it holds, and how they did on validation questions."""
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

    def warning(self, text: str) -> None:
        """A sign of a collapse shows."""

    def evaluating(self, what: str) -> None:
        """An evaluation begins."""


class Training:
    """Runs a configuration in a run directory, from the start or from its newest checkpoint.

    Args:
        config: Configuration of the run.
        run: Folder in which the run is recorded.
        observer: Told about every step.
        warm_start: Folder with a warm-started model, which is copied into the run and replaces its own warm
            start.
        processes: Those that train together; only this one if None.

    Raises:
        ValueError: If several processes cannot train the configuration, or the warm start does not fit it.
        FileNotFoundError: If a model or a file of the configuration is not there.
    """

    def __init__(
        self,
        config: TrainConfig,
        run: RunDirectory,
        observer: Observer,
        warm_start: Path | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.config = config
        self.processes = processes or Processes()
        if self.processes.size > 1 and config.rollout.engine != "transformers":
            raise ValueError(
                "several processes sample with transformers: leave out rollout.engine "
                f"{config.rollout.engine!r}, or train with one process"
            )
        if self.processes.size > 1 and config.rollout.staleness:
            raise ValueError(
                f"several processes play and update in turn: set rollout.staleness to 0, got "
                f"{config.rollout.staleness}, or train with one process, beside which another one plays"
            )
        self.run = run
        self.observer = observer
        self.source = open_source(config.source, config.world, config.hops, config.game)
        self.opened = open_model(config, run.path)
        if config.model.sharding == "fsdp2":
            self.opened.policy = ShardedPolicy(self.opened.policy, self.processes)
        self.policies = by_role(self.opened.policy)
        if warm_start:
            check_model(warm_start, config)
            run.publish(WARM_START, lambda folder: shutil.copytree(warm_start, folder, dirs_exist_ok=True))
        self.processes.wait()
        self.seconds = self.self_play_seconds = 0.0
        self._started = time.monotonic()
        self._stop = False
        self._ahead: AsyncRollouts | None = None

    def train(self) -> dict[str, Any]:
        """Run all stages, evaluate before and after self-play and write the summary.

        Returns:
            The summary; nothing from processes that do not write it.

        Raises:
            Interrupted: After the step in which the first Ctrl-C came; the state is saved.
        """
        warm_start = WarmStart(self.config, self.opened, self.source, self.processes)
        stages = (warm_start.lookups, warm_start.cloning, self._self_play_stage)
        first_stage, first_step, restore = self._restore(self.run.newest_checkpoint())
        self.processes.wait()
        with Tracking(self.config, self.run) as self.tracking, self._deferred_interrupt():
            for index, open_stage in enumerate(stages):
                if index < first_stage:
                    continue
                if open_stage == self._self_play_stage:
                    self._save_warm_start()
                stage = open_stage()
                done = first_step if index == first_stage else 0
                if done:
                    restore(stage)
                with self._rollouts_ended():
                    self._run_stage(index, stage, done)
        self._save_models(FINAL)
        after = self._evaluate("after")
        return self._summarise(after) if self.processes.is_main else {}

    # -- stages ----------------------------------------------------------------------------------------

    def _self_play_stage(self) -> Stage:
        config = self.config
        frozen = None
        if config.needs_warm_start:
            frozen = self.opened.policy.duplicate()
            self.opened.restore(frozen, self.run.path / WARM_START)
        self.policies = policies_of_roles(self.opened, config, frozen)
        if config.rollout.staleness:
            learning = distinct({role: self.policies[role] for role in config.learning})
            self._ahead = AsyncRollouts(config, self.run.path, learning, self.source)
        game = SelfPlay(config, self.policies, frozen, self.processes, self._ahead)

        def step(number: int) -> dict[str, float]:
            """Play and learn from one step; at times validate, and keep models and games."""
            every = config.evaluation.validation_every
            trace = UpdateTrace() if every and (number + 1) % every == 0 else None
            played, metrics = game.step(number, trace)
            if config.models_every and (number + 1) % config.models_every == 0:
                self._save_models(f"{MODELS}/{number + 1:06d}")
            if trace is not None:
                metrics |= self._validate(number)
                self._keep_if_best(metrics, self._global_step(2, number))
                self._record_episodes(played, trace, number)
            return metrics

        return Stage(
            SELF_PLAY,
            config.steps,
            distinct(game.learners),
            step,
            config.tokens,
            game.state_dict,
            game.plain_state,
            game.load_state_dict,
        )

    # -- the loop --------------------------------------------------------------------------------------

    def _run_stage(self, index: int, stage: Stage, done: int) -> None:
        self.observer.stage(stage.name, stage.steps, done)
        rows = self._self_play_rows()
        warnings = EarlyWarnings(rows)
        spent = sum(map(tokens_spent, rows)) if stage.tokens else 0
        for number in range(done, stage.steps):
            if stage.tokens and spent >= stage.tokens:
                return
            began = time.monotonic()
            metrics = stage.step(number)
            signs = warnings.observe(metrics)
            if stage.name == SELF_PLAY:
                metrics["warnings"] = len(warnings.showing)
                self.self_play_seconds += time.monotonic() - began
            spent += tokens_spent(metrics)
            row = {"stage": stage.name, "step": self._global_step(index, number), **metrics}
            self.run.append_jsonl(METRICS, [row])
            self.tracking.log(row)
            self.observer.step(metrics)
            for sign in signs:
                self.observer.warning(sign)
            finished = number + 1 == stage.steps or bool(stage.tokens and spent >= stage.tokens)
            stop = self.processes.any(self._stop)
            if stop or finished or (number + 1) % self.config.checkpoint_every == 0:
                self._checkpoint(index, number + 1, stage)
            if stop:
                raise Interrupted(self.run.path)

    @contextmanager
    def _rollouts_ended(self) -> Iterator[None]:
        """End the process that plays games ahead, if there is one, when a stage ends."""
        try:
            yield
        finally:
            if self._ahead is not None:
                self._ahead.close()

    def _global_step(self, stage: int, number: int) -> int:
        return sum(warm_start_steps(self.config)[:stage]) + number + 1

    def _checkpoint(self, index: int, step: int, stage: Stage) -> None:
        state = {
            "seconds": self._elapsed(),
            "self_play_seconds": self.self_play_seconds,
            "global_step": self._global_step(index, step - 1),
            "optimizer_steps": {owner: learner.steps for owner, learner in stage.learners.items()},
            "kept": stage.plain_state(),
        }
        weights = joined({owner: learner.policy.state_dict() for owner, learner in stage.learners.items()})
        optimizers = {owner: learner.optimizer for owner, learner in stage.learners.items()}
        self.run.save_checkpoint(index, step, weights, optimizers, state, stage.state())
        self.tracking.save()

    def _restore(self, checkpoint: Checkpoint | None) -> tuple[int, int, Callable[[Stage], None]]:
        """Return the stage and step to go on from, and what restores the stage and its weights."""
        if checkpoint is None:
            self._drop_rows_after(0)
            if not (self.run.path / WARM_START).exists():
                return 0, 0, lambda stage: None
            self.opened.restore(self.opened.policy, self.run.path / WARM_START)
            return 2, 0, lambda stage: None
        self.seconds = checkpoint.state["seconds"]
        # Checkpoints of earlier versions have only the time of all stages.
        self.self_play_seconds = checkpoint.state.get("self_play_seconds", self.seconds)
        self._drop_rows_after(checkpoint.state["global_step"])

        def restore(stage: Stage) -> None:
            for owner, learner in stage.learners.items():
                learner.policy.load_state_dict(state_of(owner, checkpoint.weights))
                learner.steps = checkpoint.state["optimizer_steps"][owner]
            optimizers = {owner: learner.optimizer for owner, learner in stage.learners.items()}
            restore_optimizer(optimizers, checkpoint.moments, checkpoint.state["optimizer"])
            stage.restore(checkpoint.kept, checkpoint.state["kept"])

        return checkpoint.state["stage"], checkpoint.state["step"], restore

    def _drop_rows_after(self, step: int) -> None:
        self.run.truncate_jsonl(METRICS, step)
        if self.run.writes:
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
            self._save_models(WARM_START)
        if self.processes.any(not (self.run.path / HELDOUT_BEFORE).exists()):
            before = self._evaluate("before")
            rows = {name: accuracy.to_dict() for name, accuracy in before.items()}
            self.run.write_json(HELDOUT_BEFORE, rows)
        self.processes.wait()

    def _evaluate(self, what: str) -> dict[str, Accuracy]:
        self.observer.evaluating(f"held-out questions, {what}")
        # A run that is resumed here has published nothing yet, and must draw the same numbers.
        self._publish(what)
        agent = self.policies["solver"].agent(derive_seed(self.config.seed, what))
        questions = self.config.evaluation.questions
        return evaluate(agent, self.source, self.config.game, questions=questions, processes=self.processes)

    def _validate(self, number: int) -> dict[str, float]:
        # Players that sample elsewhere have the weights of before this step's update.
        if self._ahead is not None and self.config.rollout.urls:
            self._ahead.finish()
        self._publish(f"validation-{number}")
        results = evaluate(
            self.policies["solver"].agent(derive_seed(self.config.seed, "validation", number)),
            self.source,
            self.config.game,
            questions=self.config.evaluation.validation_questions,
            validation=True,
            processes=self.processes,
        )
        return {f"validation/{_metric(name)}": accuracy.pass_at_1 for name, accuracy in results.items()}

    def _publish(self, version: str) -> None:
        for policy in distinct(self.policies).values():
            policy.published(version)

    def _save_models(self, name: str) -> None:
        """Write the model of both roles, or a folder with that of each, into a folder of the run."""
        for policy in distinct(self.policies).values():
            policy.gather()
        self.run.publish(name, self._write_models)

    def _write_models(self, folder: Path) -> None:
        for owner, policy in distinct(self.policies).items():
            self.opened.save(folder / owner, policy)

    def _best(self) -> dict[str, Any] | None:
        """Return the step and the mean success of the weights in `best`; None if there are none yet."""
        try:
            best: dict[str, Any] = json.loads((self.run.path / BEST / VALIDATION).read_text())
        except FileNotFoundError:
            return None
        return best

    def _keep_if_best(self, metrics: Mapping[str, float], step: int) -> None:
        """Publish the weights as the best if they did better on validation questions than all before.

        The models are up to date, because they were published to be validated.
        """
        successes = [value for name, value in metrics.items() if name.startswith("validation/")]
        if not self.run.writes or not successes:
            return
        best, success = self._best(), _mean(successes)
        # A step that a resumed run takes again is as good as it was, and its weights are there already.
        if best is not None and success <= best["mean_success"]:
            return

        def write(folder: Path) -> None:
            self._write_models(folder)
            (folder / VALIDATION).write_text(json.dumps({"step": step, "mean_success": success}) + "\n")

        self.run.publish(BEST, write)

    def _record_episodes(self, played: Rollout, trace: UpdateTrace, number: int) -> None:
        if not self.run.writes:
            return
        step, updates = self._global_step(2, number), trace.by_game(played.samples)
        with EpisodeWriter(self.run.path / EPISODES, append=True) as writer:
            for game in played.games:
                audited = audit(game, played.scenarios[game.task.corpus].oracle)
                extra = {"step": step, "update": updates.get(game.id, {}), "audit": audited}
                writer.write(game, played.scenarios[game.task.corpus].engine.fingerprint(), extra)

    def _summarise(self, after: dict[str, Accuracy]) -> dict[str, Any]:
        rows = self._self_play_rows()
        last = rows[-max(1, len(rows) // 8) :]
        keys = ("valid_rate", "mean_hops", "solver_reward", "proposer_reward", "label_truth", "mixed_groups")
        summary = {
            "seed": self.config.seed,
            "mode": self.config.mode,
            "world_version": WORLD_VERSION,
            "wall_s": round(self._elapsed(), 1),
            "self_play_s": round(self.self_play_seconds, 1),
            "peak_rss_mb": _peak_rss_mb(),
            "self_play": _learned(rows),
            "heldout": {
                "before": json.loads((self.run.path / HELDOUT_BEFORE).read_text()),
                "after": {name: accuracy.to_dict() for name, accuracy in after.items()},
            },
            "best": self._best(),
            "game": {key: _mean(values) for key in keys if (values := [r[key] for r in last if key in r])},
        }
        self.run.write_json(SUMMARY, summary)
        return summary

    def _self_play_rows(self) -> list[dict[str, Any]]:
        return self_play_rows(self.run.read_jsonl(METRICS))

    def _elapsed(self) -> float:
        return self.seconds + time.monotonic() - self._started


def _metric(name: str) -> str:
    """Return the name of a set of questions in metrics; generated worlds name sets by hops."""
    return f"{name}_hop" if name.isdigit() else name


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _learned(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what all steps of self-play sampled and trained on, and how exact their ratios were."""
    mismatches = [row[name] for row in rows for name in row if name.endswith("/mismatch_max")]
    return {
        "steps": len(rows),
        **{key: sum(row.get(key, 0.0) for row in rows) for key in ("sampled_tokens", "trained_tokens")},
        "max_ratio_error": max((row.get("max_ratio_error", 0.0) for row in rows), default=0.0),
        "mismatch_max": max(mismatches, default=0.0),
    }


def _peak_rss_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)
