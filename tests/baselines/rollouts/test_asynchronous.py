"""Games that are played ahead: with the weights that they should have, killed or not, stopped or not."""

import os
import shutil
import signal
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.config import TrainConfig
from baselines.policies.models import open_model
from baselines.processes import Processes
from baselines.rollouts import asynchronous as async_rollouts
from baselines.rollouts.asynchronous import AsyncRollouts
from baselines.rollouts.rollout import Rollout
from baselines.rollouts.tasks import open_source
from baselines.rollouts.worker import RolloutWorker
from baselines.runs.directory import RunDirectory
from baselines.runs.files import WARM_START
from baselines.self_play import SelfPlay
from baselines.train import Interrupted, Training
from tests.baselines.short_runs import AHEAD, Watcher, assert_same_run, press_ctrl_c, resume, rows, train


class Lagging:
    """Plays in this process what an asynchronous worker would, from weights kept in a list."""

    def __init__(self, config: TrainConfig, worker: RolloutWorker, trained: Any) -> None:
        self.staleness, self.worker, self.trained = config.rollout.staleness, worker, trained
        self.weights: list[dict[str, Any]] = []

    def play(self, number: int) -> Rollout:
        self.weights.append({name: tensor.clone() for name, tensor in self.trained.state_dict().items()})
        version = max(0, number - self.staleness)
        (policy,) = self.worker.learning.values()
        policy.load_state_dict(self.weights[version])
        return self.worker.play(number, version)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.worker, name)


def lagging_metrics(config: TrainConfig, warm_start: Path) -> list[dict[str, float]]:
    opened, other = open_model(config, Path()), open_model(config, Path())
    for one in (opened, other):
        one.restore(one.policy, warm_start)
    rollouts = Lagging(config, RolloutWorker(config, other.policy, None), opened.policy)
    game = SelfPlay(config, opened.policy, None, rollouts=rollouts)
    return [game.step(number)[1] for number in range(config.steps)]


def test_games_are_played_with_the_weights_of_one_update_before(ahead_run: Path, warm_start: Path):
    logged = rows(ahead_run)
    assert [row["staleness"] for row in logged] == [0, 1, 1, 1, 1]
    assert min(row["grad_norm"] for row in logged) > 0
    assert logged[-1]["pool_size"] > logged[0]["pool_size"] > 0
    for row, metrics in zip(logged, lagging_metrics(AHEAD, warm_start), strict=True):
        assert {name: row[name] for name in metrics} == metrics
    # The weights have moved since they sampled.
    assert logged[0]["max_ratio_error"] < 1e-4 < min(row["max_ratio_error"] for row in logged[1:])


def test_a_run_that_was_stopped_and_whose_worker_was_killed_ends_as_if_nobody_had_disturbed_it(
    ahead_run: Path, warm_start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    play = AsyncRollouts.play

    def killing(self: AsyncRollouts, number: int) -> Rollout:
        if number == 1:
            os.kill(self._process.result(), signal.SIGKILL)
        return play(self, number)

    monkeypatch.setattr(AsyncRollouts, "play", killing)
    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(AHEAD, path, Watcher("self-play 3", press_ctrl_c), warm_start)
    assert "another one plays them again" in capsys.readouterr().err
    resume(path)
    assert_same_run(path, ahead_run)


def test_one_that_always_dies_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    policy = open_model(AHEAD, tmp_path).policy
    source = open_source(AHEAD.source, AHEAD.world, AHEAD.hops, AHEAD.game)
    rollouts = AsyncRollouts(AHEAD, tmp_path, {"": policy}, source)

    def died(number: int) -> None:
        raise BrokenProcessPool

    monkeypatch.setattr(rollouts, "_request", died)
    with pytest.raises(async_rollouts.WorkerDied, match=r"ended 3 times in step 0 .* rollout.staleness 0"):
        rollouts.play(0)


def test_an_error_of_the_worker_is_the_run_s(tmp_path: Path, warm_start: Path):
    shutil.copytree(warm_start, tmp_path / WARM_START)
    (tmp_path / WARM_START / "model.safetensors").unlink()
    policy = open_model(AHEAD, tmp_path).policy
    source = open_source(AHEAD.source, AHEAD.world, AHEAD.hops, AHEAD.game)
    rollouts = AsyncRollouts(AHEAD, tmp_path, {"": policy}, source)
    with pytest.raises(ValueError, match=r"warm-start cannot be read: .*model\.safetensors"):
        rollouts.play(0)
    rollouts.close()
    rollouts.close()


def test_scenarios_are_opened_by_name(tmp_path: Path):
    source = open_source(AHEAD.source, AHEAD.world, AHEAD.hops, AHEAD.game)
    tasks, scenarios = source.draw(np.random.default_rng(0), 3)
    reopened = async_rollouts._Reopened(source, {task.corpus for task in tasks})
    assert dict(reopened) == scenarios and len(reopened) == 3


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    processes = Processes()
    processes.size = 2
    monkeypatch.setattr(processes, "wait", lambda: None)
    run = RunDirectory.create(tmp_path / "run", AHEAD)
    with pytest.raises(ValueError, match=r"rollout.staleness to 0, got 1, or train with one process"):
        Training(AHEAD, run, Watcher(), None, processes)
