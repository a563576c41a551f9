"""Whole runs in seconds: their records, who learns in which mode, and runs that stop, die and resume."""

import json
import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from agents.tiny_model import build_model, load, save
from baselines.config import EvaluationConfig, ModelConfig, TrainConfig, preset
from baselines.run_directory import RunDirectory, RunDirectoryError
from baselines.train import SELF_PLAY, Interrupted, Training, tokens_spent
from ssp_env.game import Game
from ssp_env.game.events import TurnTaken
from ssp_env.records import first_difference, read_episodes
from ssp_env.scenario import open_scenario
from ssp_env.worlds import WorldConfig
from tests.agents.tiny import TOKENIZER, recomputed_logprobs
from tests.baselines.conftest import EASY_GAME

SHORT = replace(
    preset("smoke"),
    game=EASY_GAME,
    warm_start=replace(
        preset("smoke").warm_start, lookup_steps=3, lookup_sequences=4, cloning_steps=3, cloning_games=3
    ),
    steps=3,
    answers=4,
    learner=replace(preset("smoke").learner, learning_rate=1e-3),
    evaluation=EvaluationConfig(questions=3, validation_every=3, validation_questions=2),
    checkpoint_every=2,
)
"""All stages, shorter than the smoke preset."""

LEARNING = replace(
    SHORT,
    steps=5,
    answers=6,
    evaluation=EvaluationConfig(questions=4, validation_every=5, validation_questions=2),
)
"""Self-play that changes the cloned policy at every step, if scores are lenient."""


class Watcher:
    """An observer that keeps what it is told and may act on a step or an evaluation."""

    def __init__(self, at: str = "", act: Callable[[], None] = lambda: None) -> None:
        self.at = at
        self.act = act
        self.seen: list[str] = []
        self._stage = ""
        self._step = 0

    def stage(self, name: str, steps: int, done: int) -> None:
        self._stage, self._step = name, done

    def step(self, metrics: dict[str, float]) -> None:
        self._step += 1
        self._tell(f"{self._stage} {self._step}")

    def evaluating(self, what: str) -> None:
        self._tell(what.rpartition(" ")[2])

    def _tell(self, moment: str) -> None:
        self.seen.append(moment)
        if moment == self.at:
            self.act()


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it happens."""


def kill() -> None:
    raise Killed


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def train(
    config: TrainConfig, path: Path, watcher: Watcher | None = None, warm_start: Path | None = None
) -> Path:
    """Run a configuration in a new folder."""
    Training(config, RunDirectory.create(path, config), watcher or Watcher(), warm_start).train()
    return path


def resume(path: Path) -> Watcher:
    run, config = RunDirectory.open(path)
    watcher = Watcher()
    Training(config, run, watcher).train()
    return watcher


def rows(path: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / name).read_text().splitlines()]


def summary(path: Path) -> dict[str, Any]:
    return json.loads((path / "summary.json").read_text())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def assert_same_run(got: Path, expected: Path) -> None:
    """Weights, figures and records are equal, clocks aside."""
    assert same(weights(got / "final"), weights(expected / "final"))
    assert same(weights(got / "warm-start"), weights(expected / "warm-start"))
    figures = [
        {k: v for k, v in summary(path).items() if k not in ("wall_s", "peak_rss_mb")}
        for path in (got, expected)
    ]
    assert figures[0] == figures[1]
    assert rows(got) == rows(expected)
    assert rows(got, "episodes.jsonl") == rows(expected, "episodes.jsonl")


# -- the token budget ----------------------------------------------------------------------------------


def test_self_play_ends_with_the_step_that_uses_up_the_tokens(tmp_path: Path):
    free = [row for row in rows(train(SHORT, tmp_path / "free")) if row["stage"] == SELF_PLAY]
    spent = [tokens_spent(row) for row in free]
    assert len(spent) == 3 and all(row["sampled_tokens"] >= row["trained_tokens"] for row in free)
    limited = train(replace(SHORT, tokens=spent[0] + 1), tmp_path / "limited")
    assert rows(limited) == rows(tmp_path / "free")[:-1]
    # A run that is continued has nothing left to spend.
    (limited / "summary.json").unlink()
    assert resume(limited).seen == ["after"]
    assert rows(limited) == rows(tmp_path / "free")[:-1]


# -- records -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(preset("smoke"), tmp_path_factory.mktemp("runs") / "smoke")


def test_the_summary_has_the_documented_form(smoke_run: Path):
    config, data = preset("smoke"), summary(smoke_run)
    assert set(data) >= {"seed", "wall_s", "peak_rss_mb", "heldout", "game"}
    assert (data["seed"], data["mode"]) == (0, "self-play")
    assert data["wall_s"] > 0 and 50 < data["peak_rss_mb"] < 10_000
    assert set(data["heldout"]) == {"before", "after"}
    for results in data["heldout"].values():
        assert set(results) == {"1", "2", "3"}
        for result in results.values():
            low, high = result["ci95"]
            assert 0 <= low <= result["pass_at_1"] <= high <= 1
            assert result["n"] == config.evaluation.questions
    assert set(data["game"]) >= {"valid_rate", "mean_hops"}
    assert all(math.isfinite(value) for value in data["game"].values())


def test_every_step_is_a_row_with_the_numbers_that_matter(smoke_run: Path):
    config, got = preset("smoke"), rows(smoke_run)
    steps = (config.warm_start.lookup_steps, config.warm_start.cloning_steps, config.steps)
    assert [row["step"] for row in got] == list(range(1, sum(steps) + 1))
    stages = [row["stage"] for row in got]
    assert len(set(stages)) == 3 and [stages.count(name) for name in dict.fromkeys(stages)] == list(steps)
    play = got[-config.steps :]
    wanted = {
        "solver_reward",
        "valid_rate",
        "mean_hops",
        "solver_searches",
        "proposer/entropy",
        "mixed_groups",
        "loss",
    }
    assert all(wanted <= set(row) for row in play)
    assert all(math.isfinite(value) for row in got for value in row.values() if isinstance(value, float))
    validated = [number for number, row in enumerate(play, 1) if "validation/2_hop" in row]
    assert validated == list(
        range(config.evaluation.validation_every, config.steps + 1, config.evaluation.validation_every)
    )


def test_the_run_folder_holds_models_that_load_and_the_configuration(smoke_run: Path):
    config = preset("smoke")
    assert RunDirectory.open(smoke_run)[1] == config
    for name in ("warm-start", "final"):
        model, tokenizer = load(smoke_run / name)
        assert model.config.hidden_size == config.model.hidden_size
        assert len(tokenizer) == model.config.vocab_size
    assert not list(smoke_run.rglob("*.part*"))


def test_episodes_can_be_replayed_and_come_from_training_worlds(smoke_run: Path):
    config = preset("smoke")
    episodes = list(read_episodes(smoke_run / "episodes.jsonl"))
    assert len(episodes) == config.answers * (config.steps // config.evaluation.validation_every)
    for episode in episodes:
        game = Game.restore(episode.snapshot)
        assert first_difference(episode) == "" and game.config == config.game
        world = WorldConfig.from_id(game.task.corpus)
        assert world.split == "train"
        assert episode.engine == open_scenario(config.world, index=world.index).engine.fingerprint()


def test_equal_seeds_give_equal_runs_and_others_do_not(smoke_run: Path, tmp_path: Path):
    assert_same_run(train(preset("smoke"), tmp_path / "again"), smoke_run)
    other = train(replace(preset("smoke"), seed=1), tmp_path / "other")
    assert not same(weights(other / "warm-start"), weights(smoke_run / "warm-start"))
    assert rows(other) != rows(smoke_run)


# -- who learns ----------------------------------------------------------------------------------------


def error_under(model: LlamaForCausalLM, path: Path, proposer: bool) -> float:
    """Largest difference between the log-probabilities recorded for a role and those under a model."""
    worst = 0.0
    for episode in read_episodes(path / "episodes.jsonl"):
        game = Game.restore(episode.snapshot)
        seats = [seat for seat in game.seats if (seat == "proposer_0") == proposer]
        for seat in seats:
            replies = [e.reply for e in game.events if isinstance(e, TurnTaken) and e.seat == seat]
            for reply, logprobs in zip(replies, recomputed_logprobs(model, replies, 1.0) if replies else []):
                worst = max([worst, *(abs(a - b) for a, b in zip(reply.logprobs, logprobs))])
    return worst


@pytest.mark.parametrize("mode", ["self-play", "solver-only", "proposer-only"])
def test_each_mode_freezes_the_other_side_at_the_warm_start(
    mode: str, tmp_path: Path, warm_start: Path, lenient_scores: None
):
    """The episodes of the last step tell which weights wrote them."""
    path = train(LEARNING.in_mode(mode), tmp_path / "run", warm_start=warm_start)
    start, _ = load(warm_start)
    assert same(weights(path / "warm-start"), weights(warm_start))
    assert not same(weights(path / "final"), weights(warm_start))
    frozen = {role: error_under(start, path, role == "proposer") < 1e-4 for role in ("proposer", "solver")}
    assert frozen == {"proposer": mode == "solver-only", "solver": mode == "proposer-only"}
    last = rows(path)[-1]
    assert last["max_ratio_error"] < 1e-4
    assert last["trained_tokens"] == trained_tokens(path, mode)


def trained_tokens(path: Path, mode: str) -> int:
    """Sampled tokens of the roles that learn, without those that are paid as the others of their group."""
    total = 0
    games = [Game.restore(episode.snapshot) for episode in read_episodes(path / "episodes.jsonl")]
    paid = [game.outcome.rewards["proposer_0"] for game in games if game.outcome]
    for game in games:
        assert game.outcome is not None
        above = abs(game.outcome.rewards["proposer_0"] - sum(paid) / len(paid)) > 1e-6
        mixed = game.outcome.success_rate not in (None, 0.0, 1.0)
        for event in game.events:
            if isinstance(event, TurnTaken):
                proposed = event.seat == "proposer_0"
                learns = mode != "solver-only" and above if proposed else mode != "proposer-only" and mixed
                total += len(event.reply.token_ids) * learns
    return total


def test_no_gradient_of_the_frozen_role_reaches_the_weights(
    tmp_path: Path, warm_start: Path, strict_scores: None
):
    """Scored strictly, no attempt is right: nothing to learn for the solver, something for the proposer."""
    frozen = train(LEARNING.in_mode("solver-only"), tmp_path / "solver", warm_start=warm_start)
    assert all(row["mixed_groups"] == row["grad_norm"] == 0.0 for row in rows(frozen))
    assert any(row["proposer_reward"] > 0 for row in rows(frozen))
    assert same(weights(frozen / "final"), weights(warm_start))
    paid = LEARNING.in_mode("proposer-only").changed({"proposer": {"baseline": "none"}})
    learnt = train(paid, tmp_path / "proposer", warm_start=warm_start)
    assert not same(weights(learnt / "final"), weights(warm_start))


def test_without_the_check_questions_are_not_read(tmp_path: Path, warm_start: Path, lenient_scores: None):
    reasons = {}
    for checked in (True, False):
        config = LEARNING.changed(
            {"steps": 1, "evaluation": {"validation_every": 1}, "rules": {"rag_check": checked}}
        )
        path = train(config, tmp_path / str(checked), warm_start=warm_start)
        reasons[checked] = {key for row in rows(path) for key in row if key.startswith("invalid/")}
    assert reasons[True] & {"invalid/not_recovered", "invalid/no_reading"}
    assert not reasons[False] & {"invalid/not_recovered", "invalid/no_reading"}


# -- stopped, killed, resumed --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(SHORT, tmp_path_factory.mktemp("runs") / "whole")


@pytest.mark.parametrize(
    "moment", ["look-ups 1", "look-ups 3", "cloning 2", "before", "self-play 1", "self-play 3"]
)
def test_ctrl_c_saves_the_state_and_resuming_gives_the_run_that_was_not_stopped(
    moment: str, tmp_path: Path, whole_run: Path
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
    assert_same_run(path, whole_run)


@pytest.mark.parametrize("moment", ["look-ups 1", "cloning 2", "before", "self-play 2", "after"])
def test_a_killed_run_resumes_from_its_last_checkpoint(moment: str, tmp_path: Path, whole_run: Path):
    path = tmp_path / "run"
    with pytest.raises(Killed):
        train(SHORT, path, Watcher(moment, kill))
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "cut by the ki')
    resume(path)
    assert_same_run(path, whole_run)


def test_a_run_stopped_at_every_step_is_still_the_same_run(
    tmp_path: Path, warm_start: Path, lenient_scores: None
):
    """With a policy that changes at every step, so that weights, moments and draws all matter."""
    whole = train(LEARNING, tmp_path / "whole", warm_start=warm_start)
    assert min(row["grad_norm"] for row in rows(whole)) > 0
    path = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        train(LEARNING, path, Watcher("self-play 1", press_ctrl_c), warm_start)
    for step in range(2, LEARNING.steps + 1):
        run, config = RunDirectory.open(path)
        with pytest.raises(Interrupted):
            Training(config, run, Watcher(f"self-play {step}", press_ctrl_c)).train()
    resume(path)
    assert_same_run(path, whole)


@pytest.mark.parametrize("moment", ["before", "self-play 1", "self-play 3", "after"])
def test_a_killed_run_from_a_given_warm_start_does_not_lose_it(
    moment: str, tmp_path: Path, warm_start: Path, lenient_scores: None
):
    whole = train(LEARNING, tmp_path / "whole", warm_start=warm_start)
    with pytest.raises(Killed):
        train(LEARNING, tmp_path / "run", Watcher(moment, kill), warm_start)
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, whole_run: Path):
    def twice() -> None:
        press_ctrl_c()
        press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        train(SHORT, tmp_path / "run", Watcher("cloning 1", twice))
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole_run)


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path):
    path = train(SHORT, tmp_path / "run")
    before, figures = weights(path / "final"), summary(path)["heldout"]
    assert resume(path).seen == ["after"]
    assert same(weights(path / "final"), before) and summary(path)["heldout"] == figures


def test_an_extended_run_is_the_run_that_was_longer_from_the_start(
    tmp_path: Path, warm_start: Path, lenient_scores: None
):
    whole = train(LEARNING, tmp_path / "whole", warm_start=warm_start)
    path = train(replace(LEARNING, steps=LEARNING.steps - 1), tmp_path / "run", warm_start=warm_start)
    run, config = RunDirectory.open(path)
    Training(run.extend(config, LEARNING.steps), run, Watcher()).train()
    assert RunDirectory.open(path)[1] == LEARNING
    assert_same_run(path, whole)
    with pytest.raises(RunDirectoryError, match="--steps may be more, got 1"):
        run.extend(LEARNING, 1)


def test_critics_references_and_baselines_come_back_with_a_resumed_run(
    tmp_path: Path, warm_start: Path, lenient_scores: None
):
    config = LEARNING.changed(
        {
            "steps": 4,
            "evaluation": {"validation_every": 2},
            "solver": {"algorithm": "ppo", "warmup_updates": 1, "kl_coefficient": 0.1},
            "proposer": {"algorithm": "reinforce", "baseline": "moving", "by_hops": True},
            "learner": {"minibatches": 2, "epochs": 2},
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


# -- bad warm starts -----------------------------------------------------------------------------------


def test_a_missing_warm_start_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train(SHORT, tmp_path / "run", warm_start=tmp_path / "nowhere")


@pytest.mark.parametrize("what", ["size", "vocabulary"])
def test_a_warm_start_of_another_size_is_refused(tmp_path: Path, what: str):
    size = (ModelConfig() if what == "size" else SHORT.model).sizes()
    save(build_model(len(TOKENIZER) + (what == "vocabulary"), **size), TOKENIZER, tmp_path / "large")
    with pytest.raises(ValueError, match="large"):
        train(SHORT, tmp_path / "run", warm_start=tmp_path / "large")
