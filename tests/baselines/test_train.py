"""Whole runs in seconds: their records, and who learns in which mode."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM

from agents.player_names import PlayerOptions, model_of_run, player_by_name
from agents.tiny_model import build_model, load, save
from baselines.config import ModelConfig, preset
from baselines.rollouts.tasks import HeldOut, WorldSource
from baselines.runs.directory import RunDirectory
from baselines.runs.files import SELF_PLAY, tokens_spent
from baselines.train import Training
from ssp_env.game import Game
from ssp_env.game.events import TurnTaken
from ssp_env.records import first_difference, read_episodes
from ssp_env.scenario import open_scenario
from ssp_env.worlds import WorldConfig
from tests.agents.tiny import TOKENIZER, recomputed_logprobs
from tests.baselines.short_runs import (
    LEARNING,
    SHORT,
    assert_same_run,
    resume,
    rows,
    same,
    summary,
    train,
    weights,
)

# -- the token budget ----------------------------------------------------------------------------------


def test_self_play_ends_with_the_step_that_uses_up_the_tokens(tmp_path: Path, short_run: Path):
    free = [row for row in rows(short_run) if row["stage"] == SELF_PLAY]
    spent = [tokens_spent(row) for row in free]
    assert len(spent) == 3 and all(row["sampled_tokens"] >= row["trained_tokens"] for row in free)
    limited = train(replace(SHORT, tokens=spent[0] + 1), tmp_path / "limited")
    assert rows(limited) == rows(short_run)[:-1]
    # A run that is continued has nothing left to spend.
    (limited / "summary.json").unlink()
    assert resume(limited).seen == ["after"]
    assert rows(limited) == rows(short_run)[:-1]


# -- records -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(preset("smoke"), tmp_path_factory.mktemp("runs") / "smoke")


def test_the_summary_has_the_documented_form(smoke_run: Path):
    config, data = preset("smoke"), summary(smoke_run)
    assert set(data) >= {"seed", "wall_s", "self_play_s", "peak_rss_mb", "self_play", "heldout", "game"}
    assert (data["seed"], data["mode"]) == (0, "self-play")
    assert data["wall_s"] > data["self_play_s"] > 0
    played = [row for row in rows(smoke_run) if row["stage"] == "self-play"]
    assert data["self_play"]["steps"] == len(played) == config.steps
    for name in ("sampled_tokens", "trained_tokens"):
        assert data["self_play"][name] == sum(row[name] for row in played)
    assert data["self_play"]["sampled_tokens"] > 0
    assert data["self_play"]["max_ratio_error"] == max(row["max_ratio_error"] for row in played)
    assert 50 < data["peak_rss_mb"] < 10_000
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


def test_equal_seeds_give_equal_runs_and_others_do_not(short_run: Path, tmp_path: Path):
    assert_same_run(train(SHORT, tmp_path / "again"), short_run)
    other = train(replace(SHORT, seed=1), tmp_path / "other")
    assert not same(weights(other / "warm-start"), weights(short_run / "warm-start"))
    assert rows(other) != rows(short_run)


def test_the_weights_that_do_best_on_validation_questions_are_kept_beside_the_final_ones(
    tmp_path: Path, warm_start: Path, lenient_scores: None, monkeypatch: pytest.MonkeyPatch
):
    """Of equal ones the first; the weights after two steps are those of a run of two steps."""
    successes = ((0.25, 0.5), (0.5, 1.0), (0.5, 0.5), (1.0, 0.5), (0.0, 0.0))

    def validate(training: Training, number: int) -> dict[str, float]:
        one, two = successes[number]
        return {"validation/1_hop": one, "validation/2_hop": two}

    monkeypatch.setattr(Training, "_validate", validate)
    config = LEARNING.changed({"evaluation": {"validation_every": 1}})
    long = train(config, tmp_path / "long", warm_start=warm_start)
    short = train(replace(config, steps=2), tmp_path / "short", warm_start=warm_start)
    best = summary(long)["best"]
    assert best["mean_success"] == 0.75 and rows(long)[1]["step"] == best["step"]
    assert same(weights(model_of_run(long / "best")), weights(model_of_run(short)))
    assert not same(weights(long / "best"), weights(long / "final"))
    assert len(load(long / "best")[1]) == len(TOKENIZER)


def test_the_best_weights_are_chosen_on_validation_worlds_and_never_on_heldout_ones(
    tmp_path: Path, warm_start: Path, lenient_scores: None, monkeypatch: pytest.MonkeyPatch
):
    worlds: dict[bool, set[str]] = {True: set(), False: set()}
    asked: list[bool] = []
    heldout = WorldSource.heldout

    def watched(source: WorldSource, *arguments: Any, validation: bool) -> Iterator[HeldOut]:
        asked.append(validation)
        for each in heldout(source, *arguments, validation=validation):
            worlds[validation] |= {game.task.corpus for game in each.games}
            yield each

    monkeypatch.setattr(WorldSource, "heldout", watched)
    config = replace(LEARNING, steps=2).changed({"evaluation": {"validation_every": 1}})
    path = train(config, tmp_path / "run", warm_start=warm_start)
    # Before, two steps, after: the held-out worlds come up outside the choice alone.
    assert asked == [False, True, True, False]
    assert worlds[True] and worlds[False] and not worlds[True] & worlds[False]
    measured = [[v for name, v in row.items() if name.startswith("validation/")] for row in rows(path)]
    assert summary(path)["best"]["mean_success"] == max(sum(values) / len(values) for values in measured)


def test_without_validation_no_weights_are_the_best(tmp_path: Path, warm_start: Path):
    config = LEARNING.changed({"steps": 1, "evaluation": {"validation_every": 0}})
    path = train(config, tmp_path / "run", warm_start=warm_start)
    assert summary(path)["best"] is None and not (path / "best").exists()
    with pytest.raises(ValueError, match="has no best model yet; it is kept from the first validation on"):
        model_of_run(path / "best")


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
    mode: str, tmp_path: Path, warm_start: Path, learning_run: Path, lenient_scores: None
):
    """The episodes of the last step tell which weights wrote them."""
    path = learning_run
    if mode != "self-play":
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


def test_models_of_the_way_are_kept_and_can_be_named_as_players(learning_run: Path):
    kept = sorted((learning_run / "models").iterdir())
    assert [folder.name for folder in kept] == ["000002", "000004"]
    found = [weights(folder) for folder in (*kept, learning_run / "final")]
    assert not any(same(one, other) for one, other in combinations(found, 2))
    made = player_by_name("solver", str(kept[0]), PlayerOptions())
    assert made.prompts == "terse"
