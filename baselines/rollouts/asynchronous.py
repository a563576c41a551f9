"""Games that a process of its own plays while updates are made, with weights that are some updates old."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load, save
from torch import Tensor

from baselines.by_role import joined, state_of
from baselines.config import TrainConfig
from baselines.policies.causal_lm import CausalLMPolicy
from baselines.policies.models import open_model, policies_of_roles
from baselines.rollouts.rollout import Rollout
from baselines.rollouts.tasks import Source
from baselines.rollouts.worker import RolloutWorker
from baselines.runs.files import WARM_START
from ssp_env.scenario import Scenario

WORKSPACE = "rollout-worker"
"""Folder in that of the run for weights on their way to servers."""
MOST_STARTS = 3
"""Workers that may die in one step, each of which is replaced by one that plays the games in hand again."""


class WorkerDied(RuntimeError):
    """The process that plays games ended again and again."""


class State(NamedTuple):
    """What a worker keeps between steps: tensors, as a safetensors file, and plain data."""

    tensors: bytes
    plain: Mapping[str, Any]


class AsyncRollouts:
    """Plays the games of step k with the weights of before update k - `staleness`, in another process.

    Which weights play which games is fixed, so that a run repeats itself however fast the two processes are;
    the one that is ahead waits. If the worker is killed, another one plays the same games.

    Args:
        config: Configuration of the run; `rollout.staleness` is at least 1.
        run: Folder of the run; the policies of the worker begin with its warm start.
        policies: The policies that learn, each once, by the names that `RolloutWorker.learning` has.
        source: Opens scenarios of games that were played.
        begin: Called in the worker's process before anything is played there, if given.
    """

    def __init__(
        self,
        config: TrainConfig,
        run: Path,
        policies: Mapping[str, CausalLMPolicy],
        source: Source,
        begin: Callable[[], object] | None = None,
    ) -> None:
        self._begin = begin
        self._config, self._run, self._policies, self._source = config, run, policies, source
        self._weights: dict[int, dict[str, Tensor]] = {}
        self._state: State | None = None
        self._worker: ProcessPoolExecutor | None = None
        self._process: Future[int]
        self._games: dict[int, Future[tuple[Rollout, State]]] = {}

    def play(self, number: int) -> Rollout:
        """Return the games of a step, and have those of later steps played.

        Raises:
            WorkerDied: If the worker ended, and so did those that were started in its place.
            Exception: Whatever the worker raised.
        """
        state = joined({owner: policy.state_dict() for owner, policy in self._policies.items()})
        self._weights[number] = {name: tensor.to("cpu", copy=True) for name, tensor in state.items()}
        for _ in range(MOST_STARTS):
            try:
                self._request(number)
                rollout, self._state = self._games.pop(number).result()
            except BrokenProcessPool:
                print("the process that plays games has ended: another one plays them again", file=sys.stderr)
                self.close()
                continue
            # The games of later steps are played with newer ones.
            self._weights.pop(number - self._config.rollout.staleness, None)
            return replace(
                rollout,
                scenarios=_Reopened(self._source, {game.task.corpus for game in rollout.games}),
            )
        raise WorkerDied(
            f"the process that plays games ended {MOST_STARTS} times in step {number} (was memory short?): "
            "continue the run later, or start one with rollout.staleness 0, which plays in this process"
        )

    def finish(self) -> None:
        """Wait for the games in hand: servers that sample them can be given other weights afterwards."""
        wait(self._games.values())

    def close(self) -> None:
        """End the worker; games in hand are lost, and played again if the run goes on."""
        if self._worker is None:
            return
        playing = any(not games.done() for games in self._games.values())
        if playing and self._process.done() and not self._process.exception():
            with suppress(ProcessLookupError):
                os.kill(self._process.result(), signal.SIGKILL)
        self._worker.shutdown(cancel_futures=True)
        self._worker = None
        self._games.clear()

    def _request(self, number: int) -> None:
        """Ask for the games that the present weights allow; start a worker if there is none."""
        if self._worker is None:
            self._worker = ProcessPoolExecutor(
                1,
                _context(),
                _begin,
                (self._config, self._run, self._state, torch.get_num_threads(), self._begin),
            )
            self._process = self._worker.submit(os.getpid)
        staleness = self._config.rollout.staleness
        for step in range(number, min(number + staleness + 1, self._config.steps)):
            if step not in self._games:
                version = max(0, step - staleness)
                self._games[step] = self._worker.submit(_play, step, version, save(self._weights[version]))

    # -- checkpoints -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights that the next games are played with, and the tensors of the worker's state."""
        weights = {f"weights/{version}": tensors for version, tensors in self._weights.items()}
        return joined({**weights, "worker": {} if self._state is None else load(self._state.tensors)})

    def plain_state(self) -> dict[str, Any]:
        """Return the worker's state after the games of the last step, as plain data for JSON."""
        return {} if self._state is None else dict(self._state.plain)

    def load_state_dict(self, state: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Invert `state_dict` and `plain_state`."""
        self._state = State(save(state_of("worker", state)), plain)
        kept = state_of("weights", state)
        self._weights = {
            version: state_of(str(version), kept)
            for version in sorted({int(name.partition("/")[0]) for name in kept})
        }


def _context() -> BaseContext:
    """Return how processes are started: forked by a server that has loaded torch, where that is possible."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class _Reopened(Mapping[str, Scenario]):
    """Scenarios of games that another process played, each opened when it is asked for."""

    def __init__(self, source: Source, names: Collection[str]) -> None:
        self._source, self._names = source, names

    def __getitem__(self, corpus: str) -> Scenario:
        return self._source.reopen(corpus)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


# -- in the worker's process -----------------------------------------------------------------------------

_open: Callable[[], RolloutWorker]


def _begin(
    config: TrainConfig, run: Path, state: State | None, threads: int, begin: Callable[[], object] | None
) -> None:
    global _open
    # Ctrl-C is for the trainer, which ends this process once the run is saved.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_trainer, daemon=True).start()
    torch.set_num_threads(threads)
    if begin is not None:
        begin()
    # Opened with the first games: an error then reaches the trainer as it is.
    _open = cache(partial(_opened, config, run, state))


def _opened(config: TrainConfig, run: Path, state: State | None) -> RolloutWorker:
    """Open the model again, with the warm start as the frozen player where one is needed."""
    if config.rollout.urls:
        # Servers sample, so that this model only carries weights to them.
        config = replace(config, model=replace(config.model, device="cpu"))
    opened = open_model(config, run / WORKSPACE)
    opened.restore(opened.policy, run / WARM_START)
    frozen = opened.policy.duplicate() if config.needs_warm_start else None
    worker = RolloutWorker(config, policies_of_roles(opened, config, frozen), frozen)
    if state is not None:
        worker.load_state_dict(load(state.tensors), state.plain)
    return worker


def _end_with_the_trainer() -> None:
    trainer = multiprocessing.parent_process()
    assert trainer is not None
    trainer.join()
    os._exit(1)


def _play(number: int, version: int, weights: bytes) -> tuple[Rollout, State]:
    """Play the games of a step; scenarios, which hold open indexes, stay here."""
    worker, tensors = _open(), load(weights)
    for owner, policy in worker.learning.items():
        policy.load_state_dict(state_of(owner, tensors))
    played = worker.play(number, version)
    metrics = {**played.metrics, "staleness": number - version}
    return replace(played, scenarios={}, metrics=metrics), State(
        save(worker.state_dict()), worker.plain_state()
    )
