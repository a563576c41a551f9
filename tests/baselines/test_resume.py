"""Runs that are stopped, killed and resumed end as if nobody had disturbed them."""

import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from baselines.config import preset
from baselines.runs.directory import RunDirectory, RunDirectoryError
from baselines.train import Interrupted, Training
from tests.baselines.short_runs import (
    LEARNING,
    SHORT,
    Killed,
    Watcher,
    assert_same_run,
    kill,
    press_ctrl_c,
    resume,
    rows,
    same,
    summary,
    train,
    weights,
)


@pytest.mark.parametrize(
    "moment", ["look-ups 1", "look-ups 3", "cloning 2", "before", "self-play 1", "self-play 3"]
)
def test_ctrl_c_saves_the_state_and_resuming_gives_the_run_that_was_not_stopped(
    moment: str, tmp_path: Path, short_run: Path
):
    path, watcher = tmp_path / "run", Watcher(moment, press_ctrl_c)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as stop:
        train(SHORT, path, watcher)
    assert f"ssp train --resume {path}" in str(stop.value)
    assert signal.getsignal(signal.SIGINT) is handler
    # The running step is finished, no other is begun; an evaluation is followed by one step.
    assert watcher.seen[-1] == ("self-play 1" if moment == "before" else moment)
    again = resume(path)
    assert again.seen[-1] == "after" and not set(watcher.seen) & set(again.seen)
    assert_same_run(path, short_run)


@pytest.mark.parametrize("moment", ["look-ups 1", "cloning 2", "before", "self-play 2", "after"])
def test_a_killed_run_resumes_from_its_last_checkpoint(moment: str, tmp_path: Path, short_run: Path):
    path = tmp_path / "run"
    with pytest.raises(Killed):
        train(SHORT, path, Watcher(moment, kill))
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "cut by the ki')
    resume(path)
    assert_same_run(path, short_run)


def test_a_run_stopped_at_every_step_is_still_the_same_run(
    tmp_path: Path, warm_start: Path, learning_run: Path, lenient_scores: None
):
    assert min(row["grad_norm"] for row in rows(learning_run)) > 0
    path = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        train(LEARNING, path, Watcher("self-play 1", press_ctrl_c), warm_start)
    for step in range(2, LEARNING.steps + 1):
        run, config = RunDirectory.open(path)
        with pytest.raises(Interrupted):
            Training(config, run, Watcher(f"self-play {step}", press_ctrl_c)).train()
    resume(path)
    assert_same_run(path, learning_run)


@pytest.mark.parametrize("moment", ["before", "self-play 1", "self-play 3", "after"])
def test_a_killed_run_from_a_given_warm_start_does_not_lose_it(
    moment: str, tmp_path: Path, warm_start: Path, learning_run: Path, lenient_scores: None
):
    with pytest.raises(Killed):
        train(LEARNING, tmp_path / "run", Watcher(moment, kill), warm_start)
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", learning_run)


def test_one_checkpoint_is_enough_and_the_best_weights_survive_a_kill(
    tmp_path: Path, warm_start: Path, lenient_scores: None
):
    """The weights of the killed step may be the best already; no checkpoint has them yet."""
    config = replace(LEARNING, checkpoints_kept=1).changed({"evaluation": {"validation_every": 1}})
    whole = train(config, tmp_path / "whole", warm_start=warm_start)
    assert [folder.name for folder in RunDirectory.open(whole)[0].checkpoints()] == ["2-000005"]
    for moment in ("self-play 2", "self-play 5"):
        path = tmp_path / moment
        with pytest.raises(Killed):
            train(config, path, Watcher(moment, kill), warm_start)
        resume(path)
        assert_same_run(path, whole)
        assert len(RunDirectory.open(path)[0].checkpoints()) == 1


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, short_run: Path):
    def twice() -> None:
        press_ctrl_c()
        press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        train(SHORT, tmp_path / "run", Watcher("cloning 1", twice))
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", short_run)


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path, short_run: Path):
    path = tmp_path / "run"
    shutil.copytree(short_run, path)
    before, figures = weights(path / "final"), summary(path)["heldout"]
    assert resume(path).seen == ["after"]
    assert same(weights(path / "final"), before) and summary(path)["heldout"] == figures


def test_an_extended_run_is_the_run_that_was_longer_from_the_start(
    tmp_path: Path, warm_start: Path, learning_run: Path, lenient_scores: None
):
    path = train(replace(LEARNING, steps=LEARNING.steps - 1), tmp_path / "run", warm_start=warm_start)
    run, config = RunDirectory.open(path)
    Training(run.extend(config, LEARNING.steps), run, Watcher()).train()
    assert RunDirectory.open(path)[1] == LEARNING
    assert_same_run(path, learning_run)
    with pytest.raises(RunDirectoryError, match="--steps may be more, got 1"):
        run.extend(LEARNING, 1)
    with pytest.raises(RunDirectoryError, match="samples with transformers, not with servers"):
        run.extend(LEARNING, None, servers="http://a")


def test_a_run_whose_servers_have_moved_goes_on_with_others(tmp_path: Path):
    config = preset("smollm2").changed({"rollout": {"engine": "vllm:http://a,http://b"}})
    run = RunDirectory.create(tmp_path / "run", config)
    moved = run.extend(config, None, servers="http://c")
    assert moved.rollout.urls == ("http://c",) and RunDirectory.open(run.path)[1] == moved


def test_critics_references_and_baselines_come_back_with_a_resumed_run(
    tmp_path: Path, warm_start: Path, lenient_scores: None
):
    config = LEARNING.changed(
        {
            "steps": 4,
            "evaluation": {"validation_every": 2},
            "solver": {"algorithm": "ppo", "warmup_updates": 1, "kl_coefficient": 0.1},
            "proposer": {"algorithm": "reinforce", "baseline": "moving", "by_hops": True},
            "learner": {"minibatches": 2, "epochs": 2, "optimizer": "muon"},
        }
    )
    whole = train(config, tmp_path / "whole", warm_start=warm_start)
    path = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        train(config, path, Watcher("self-play 2", press_ctrl_c), warm_start)
    resume(path)
    assert_same_run(path, whole)
    assert rows(path)[-1]["solver/critic_warmup"] == 0.0 and rows(path)[-1]["solver/reference_kl"] > 0


def test_pools_opponents_and_references_come_back_with_a_killed_run(
    tmp_path: Path, warm_start: Path, lenient_scores: None
):
    config = LEARNING.changed(
        {
            "steps": 6,
            "checkpoint_every": 2,
            # Some proposals take too long, so that questions of earlier steps take their place.
            "rules": {"max_turns": 2},
            "evaluation": {"validation_every": 2},
            "opponents": {"proposer": "pfsp", "solver": "pfsp", "every": 1, "window": 3},
            "filling": {"kind": "prioritised", "max_age": 3, "max_uses": 2},
            "solver": {"kl_coefficient": 0.1},
            "learner": {"reference": "moving", "reference_every": 2, "reference_decay": 0.5},
        }
    )
    whole = train(config, tmp_path / "whole", warm_start=warm_start)
    play = rows(whole)
    assert sum(row["replayed"] for row in play) > 0 and play[-1]["pool_size"] > 0
    assert {"opponents/solver/win_rate", "opponents/proposer/age"} <= set(play[-1])
    for moment in ("self-play 3", "self-play 5"):
        path = tmp_path / moment
        with pytest.raises(Killed):
            train(config, path, Watcher(moment, kill), warm_start)
        resume(path)
        assert_same_run(path, whole)


def test_a_frozen_opponent_draws_the_same_numbers_in_a_resumed_run(
    tmp_path: Path, warm_start: Path, lenient_scores: None
):
    config = LEARNING.in_mode("solver-only")
    whole = train(config, tmp_path / "whole", warm_start=warm_start)
    path = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        train(config, path, Watcher("self-play 2", press_ctrl_c), warm_start)
    resume(path)
    assert_same_run(path, whole)
