"""Run configurations: presets, their limits, and the way to JSON and back."""

import json
from dataclasses import fields, replace

import pytest

from baselines.presets import MODES, PRESETS, TrainConfig, preset
from ssp_env.game import GameConfig


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_called_what_it_is_and_survives_json(name: str):
    config = preset(name)
    assert config.preset == name
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_changed_configuration_survives_json():
    game = GameConfig(protocol="terse", prompts="terse", attempts=3, reward="4p(1-p)")
    config = replace(preset("smoke"), seed=7, mode="solver-only", hops=(2, 4), game=game)
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


@pytest.mark.parametrize("name", ["steps", "answers", "evaluation_questions", "checkpoint_every"])
def test_counts_must_be_positive(name: str):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        replace(preset("smoke"), **{name: 0})


def test_an_unknown_mode_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="both") as error:
        replace(preset("smoke"), mode="both")  # type: ignore[arg-type]
    assert all(mode in str(error.value) for mode in MODES)


def test_the_smoke_preset_is_the_whole_run_in_little():
    """Every part that `tiny` has is there, so that a smoke run tests it."""
    tiny, smoke = preset("tiny"), preset("smoke")
    assert smoke.world == tiny.world and smoke.game.rag_check
    assert smoke.game.attempts > 1 and smoke.steps > smoke.validation_every > 0
    assert smoke.warm_start.lookup_steps and smoke.warm_start.cloning_steps
    assert {field.name for field in fields(smoke)} == set(smoke.to_dict())
    assert smoke.steps * smoke.answers < tiny.steps * tiny.answers / 50


def test_a_reward_that_never_pays_is_refused():
    game = replace(preset("smoke").game, attempts=1)
    with pytest.raises(ValueError, match=r"reward '4p\(1-p\)' pays nothing with one attempt"):
        replace(preset("smoke"), game=game)
