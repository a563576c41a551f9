"""Run configurations: presets, their limits, and the way to JSON and back."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from baselines.algorithms import find_algorithm
from baselines.config import (
    MODES,
    PRESETS,
    RoleConfig,
    TrainConfig,
    algorithm_options,
    preset,
)
from baselines.ppo import PPOConfig
from baselines.rollouts.opponents import check_players
from ssp_env.cli.rules import read_toml
from ssp_env.game import GameConfig
from tests.markdown import ROOT, blocks


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_called_what_it_is_and_survives_json(name: str):
    config = preset(name)
    assert config.preset == name
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_changed_configuration_survives_json():
    game = GameConfig(protocol="terse", prompts="terse", attempts=3, reward="4p(1-p)")
    config = replace(preset("smoke"), seed=7, hops=(2, 4), game=game).in_mode("solver-only")
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config != preset("smoke")


def test_an_unknown_preset_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="huge") as error:
        preset("huge")
    assert all(name in str(error.value) for name in PRESETS)


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_a_configuration_of_another_version_names_the_keys_that_differ(change: str):
    data = preset("smoke").to_dict()
    if change == "missing":
        del data["answers"]
    else:
        data["momentum"] = 1
    with pytest.raises(ValueError, match="answers" if change == "missing" else "momentum"):
        TrainConfig.from_dict(data)


@pytest.mark.parametrize("name", ["steps", "answers", "proposals", "checkpoint_every", "checkpoints_kept"])
def test_counts_must_be_positive(name: str):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        replace(preset("smoke"), **{name: 0})


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_as_it_is_in_the_default_mode(name: str):
    """Presets for the solver alone, and for a batch that is filled, have no proposer-only mode."""
    assert preset(name).in_mode("self-play") == preset(name)
    assert preset(name).in_mode("solver-only").mode == "solver-only"


def test_an_unknown_mode_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="both") as error:
        preset("smoke").in_mode("both")
    assert all(mode in str(error.value) for mode in MODES)


def test_the_smoke_preset_is_the_whole_run_in_little():
    """Every part that `tiny` has is there, so that a smoke run tests it."""
    tiny, smoke = preset("tiny"), preset("smoke")
    assert smoke.world == tiny.world and smoke.game.rag_check
    assert smoke.game.attempts > 1 and smoke.steps > smoke.evaluation.validation_every > 0
    assert smoke.warm_start.lookup_steps and smoke.warm_start.cloning_steps
    assert {field.name for field in fields(smoke)} == set(smoke.to_dict())
    assert smoke.steps * smoke.answers < tiny.steps * tiny.answers / 50


def test_a_reward_that_never_pays_is_refused():
    game = replace(preset("smoke").game, attempts=1)
    with pytest.raises(ValueError, match=r"reward '4p\(1-p\)' pays nothing with one attempt"):
        replace(preset("smoke"), game=game)


# -- changes from TOML and the command line ----------------------------------------------------------------


def test_a_nested_change_reaches_its_place_and_leaves_the_rest():
    changed = preset("tiny").changed(
        {
            "learner": {"learning_rate": 1},
            "rules": {"attempts": 4},
            "hops": [2, 3],
            "solver": {"scale": "group"},
        }
    )
    assert changed.learner == replace(preset("tiny").learner, learning_rate=1.0)
    assert isinstance(changed.learner.learning_rate, float)
    assert changed.game == replace(preset("tiny").game, attempts=4)
    assert changed.hops == (2, 3)
    assert changed.solver.algorithm == "grpo" and changed.solver.options["scale"] == "group"
    assert changed.proposer == preset("tiny").proposer


def test_options_that_need_one_another_may_come_from_a_file_and_from_the_command_line():
    in_file, flags = {"rollout": {"merge_adapter": True}}, {"rollout": {"engine": "vllm:http://host"}}
    rollout = preset("smollm2").changed(in_file, flags).rollout
    assert rollout.merge_adapter and rollout.engine == "vllm:http://host"
    with pytest.raises(ValueError, match="merge_adapter is for servers"):
        preset("smollm2").changed(in_file)


def test_of_several_changes_the_last_one_counts():
    ppo, grpo = {"solver": {"algorithm": "ppo", "lam": 0.9}, "steps": 3}, {"solver": "grpo"}
    rules = {"rules": {"attempts": 2, "top_k": 1}}
    changed = preset("tiny").changed(rules, ppo, {"solver": {"lam": 0.8}}, {"rules": {"attempts": 3}})
    assert changed.solver == RoleConfig("ppo", options={"lam": 0.8}) and changed.steps == 3
    assert changed.game == replace(preset("tiny").game, attempts=3, top_k=1)
    assert preset("tiny").changed(ppo, grpo).solver == RoleConfig("grpo")


def test_another_algorithm_starts_without_the_options_of_the_one_before():
    assert preset("tiny").changed({"solver": "ppo"}).solver == RoleConfig("ppo")
    assert preset("tiny").changed({"solver": {"algorithm": "ppo", "lam": 0.95}}).solver.options == {
        "lam": 0.95
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learnr": {}}, "unknown option 'learnr': did you mean 'learner'"),
        ({"learner": {"epoch": 2}}, "unknown option of learner 'epoch': did you mean 'epochs'"),
        ({"learner": 3}, "learner is a table"),
        ({"steps": "many"}, "steps.*int.*many"),
        ({"learner": {"epochs": 0}}, "epochs must be at least 1, got 0"),
        ({"learner": {"learning_rate": 0}}, "learning_rate must be above 0"),
        ({"learner": {"schedule": "cosine"}}, "total_steps"),
        ({"learner": {"importance_cap": 2.0}}, "recomputed"),
        ({"learner": {"importance_level": "sequence"}}, "'sequence': set importance_cap too"),
        ({"learner": {"importance_level": "turn"}}, "importance_level"),
        ({"rollout": {"staleness": -1}}, "rollout.staleness must be at least 0, got -1"),
        ({"rollout": {"engine": "vllm", "staleness": 1}}, "has another process play"),
        ({"rollout": {"engine": "vllm:http://a"}}, "the tiny model plays in a process of its own"),
        ({"solver": "pppo"}, "unknown algorithm 'pppo': did you mean 'ppo'"),
        ({"solver": {"weight": -1.0}}, "weight"),
        ({"solver": "frozen", "proposer": "frozen"}, "somebody must learn"),
        ({"rules": {"min_serches": 3}}, "did you mean 'min_searches'"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"hops": [0, 1]}, "hops must be"),
        ({"updates": "alternating"}, "updates"),
    ],
)
def test_a_bad_change_is_refused_with_what_was_expected(change: dict[str, object], said: str):
    with pytest.raises(ValueError, match=said):
        preset("smoke").changed(change)


def test_options_of_an_algorithm_are_checked_by_name_and_kind():
    assert algorithm_options(PPOConfig, {"lam": 1, "value_clip": None}, "ppo") == PPOConfig(value_clip=None)
    with pytest.raises(ValueError, match="unknown option of ppo 'lambda'"):
        algorithm_options(PPOConfig, {"lambda": 0.95}, "ppo")
    with pytest.raises(ValueError, match="lam"):
        algorithm_options(PPOConfig, {"lam": "high"}, "ppo")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_its_rules_and_algorithms_in_its_file(name: str):
    """A person edits the file: what differs from the defaults of the code stands in it."""
    text = (Path(__file__).parents[3] / "baselines" / "presets" / f"{name}.toml").read_text()
    assert all(table in text for table in ("[rules]", "[learner]", "[solver]", "[proposer]", "[evaluation]"))


@pytest.mark.parametrize(
    "text",
    [*blocks(ROOT / "docs" / "training.md", "toml"), *blocks(ROOT / "docs" / "metrics.md", "toml")],
)
def test_examples_of_configurations_are_taken(text: str, tmp_path: Path):
    (tmp_path / "mine.toml").write_text(text)
    # Questions that are known are for the solver alone, as the page's command says.
    base = preset("tiny").in_mode("solver-only") if "known_questions" in text else preset("tiny")
    changed = base.changed(read_toml(tmp_path / "mine.toml", "options of a run"))
    assert changed != base
    assert [find_algorithm(role) for role in (changed.solver, changed.proposer) if role.learns]
    check_players(changed.opponents, changed.learning, changed.game)
