"""verl finds the plug-in, says so where it does not, and its configuration is that of the paper."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest.importorskip("transfer_queue", reason="needs verl 0.9 and what it imports: make parity")

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from verl.trainer.ppo.core_algos import get_adv_estimator_fn

import baselines.verl
from baselines.advantage_checks import check_estimator
from baselines.config import preset
from baselines.verl import MANAGER, check_registered
from baselines.verl.dataset import AnswerDataset
from baselines.verl.options import GameOptions
from ssp_env.scenario import Scenario
from tests.baselines.verl.rollouts import configuration

pytestmark = pytest.mark.filterwarnings("default")
CONFIG = str(Path(baselines.verl.__file__).parent / "config")


def python(code, **variables):
    asked = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(asked, capture_output=True, text=True, env={**os.environ, **variables}, timeout=600)


# -- registration ------------------------------------------------------------------------------------------


NAMES = (
    "from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY as known\n"
    "from verl.experimental.agent_loop.agent_loop import _agent_loop_registry as loops\n"
    "print(known['ssp'].__module__, loops['ssp_game']['_target_'])"
)


def test_verl_finds_us_by_the_entry_point_of_the_package_alone():
    named = {(point.name, point.value) for point in entry_points(group="verl.plugins")}
    assert ("ssp", "baselines.verl") in named
    found = python(NAMES, VERL_USE_EXTERNAL_MODULES="", VERL_USE_EXTERNAL_PLUGINS="ssp")
    assert found.stdout.split() == ["baselines.verl.estimator", "baselines.verl.game_loop.GameLoop"]


def test_verl_knows_us_when_it_is_told_our_name():
    told = {"VERL_USE_EXTERNAL_MODULES": "baselines.verl", "VERL_USE_EXTERNAL_PLUGINS": "none"}
    assert python(NAMES, **told).stdout.split() == [
        "baselines.verl.estimator",
        "baselines.verl.game_loop.GameLoop",
    ]


def test_the_module_says_what_is_registered_and_where_the_configurations_are():
    asked = [sys.executable, "-W", "ignore", "-m", "baselines.verl"]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=600, check=True).stdout
    assert "agent loop ssp_game and advantage estimator ssp are registered" in said
    assert said.splitlines()[-1] == f"configurations: {CONFIG}"


def test_a_plug_in_that_did_not_register_is_named(monkeypatch):
    check_registered()
    from verl.experimental.agent_loop import agent_loop
    from verl.trainer.ppo import core_algos

    monkeypatch.delitem(core_algos.ADV_ESTIMATOR_REGISTRY, "ssp")
    with pytest.raises(RuntimeError, match="does not know the advantage estimator 'ssp' of ssp-env"):
        check_registered()
    monkeypatch.delitem(agent_loop._agent_loop_registry, "ssp_game")
    with pytest.raises(RuntimeError, match=r"'ssp_game' and the advantage.*VERL_USE_EXTERNAL_MODULES"):
        AnswerDataset("answers", None, configuration().data)


def test_another_version_is_refused_with_the_tested_one(monkeypatch, caplog):
    monkeypatch.setattr("ssp_env.integrations.libraries.version", lambda library: "0.10.0")
    with pytest.raises(ImportError, match=r"expected verl>=0.9,<0.10 \(tested: 0.9.1\), got verl 0.10.0"):
        check_registered()
    assert "ssp-env was not registered: expected verl>=0.9" in caplog.text


# -- advantages --------------------------------------------------------------------------------------------


def test_the_estimator_passes_the_checks_of_estimators():
    def estimator(rewards, values, mask, groups):
        return get_adv_estimator_fn("ssp")(rewards.clone(), mask.float(), index=groups)[0]

    results = check_estimator(estimator, "group")
    assert results and not [result.case for result in results if not result.passed]


def test_a_reward_on_an_observation_is_not_lost_and_singletons_are_raw():
    rewards = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.25, 0.0]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 0]])
    advantages, returns = get_adv_estimator_fn("ssp")(rewards, mask, index=["q", "q", "answer"])
    half = 0.5 / (0.5**0.5 + 1e-6)
    expected = [[half, half, 0.0], [-half, 0.0, 0.0], [0.25, 0.25, 0.0]]
    torch.testing.assert_close(advantages, torch.tensor(expected))
    assert returns is advantages
    config = {"norm_adv_by_std_in_grpo": False}
    plain, _ = get_adv_estimator_fn("ssp")(rewards, mask, index=["q", "q", "answer"], config=config)
    assert plain[:, 0].tolist() == [0.5, -0.5, 0.25]


# -- the configuration and the data --------------------------------------------------------------------------


def composed(folder, name, *overrides):
    with initialize_config_dir(config_dir=folder, version_base=None):
        return compose(name, overrides=[*overrides])


def keys(section, path=""):
    for name, value in section.items():
        yield f"{path}{name}"
        if isinstance(value, dict):
            yield from keys(value, f"{path}{name}.")


def test_the_configuration_is_verls_own_with_the_numbers_of_the_preset():
    import verl

    ours = composed(CONFIG, "ssp_qwen2.5_7b", "data.train_files=a.jsonl", "data.val_files=q.jsonl")
    stock = composed(str(Path(verl.__file__).parent / "trainer/config"), "ppo_trainer")
    added = set(keys(OmegaConf.to_container(ours))) - set(keys(OmegaConf.to_container(stock)))
    agent = "actor_rollout_ref.rollout.agent.agent_loop_manager_class"
    assert {name for name in added if not name.startswith("data.ssp")} == {agent}
    assert OmegaConf.select(ours, agent) == MANAGER

    paper = preset("qwen2.5-7b-paper")
    options = GameOptions.of(ours.data)
    rules = Scenario.from_dict(options.scenario).rules
    assert rules == paper.game
    assert (ours.data.train_batch_size, ours.trainer.total_training_steps) == (paper.answers, paper.steps)
    actor = ours.actor_rollout_ref.actor
    assert (actor.optim.lr, actor.optim.lr_warmup_steps) == (1e-6, paper.learner.warmup_steps)
    assert actor.clip_ratio_high == paper.solver.options["clip_high"]
    assert ours.data.max_prompt_length + ours.data.max_response_length == paper.rollout.context_window


def test_rows_are_answers_or_questions_from_files_or_the_scenario(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"answer": "Odense", "hops": 2}\n{"answer": "Funen", "hops": 1}\n')
    (tmp_path / "q.jsonl").write_text('{"question": "Which island?", "answer": "Funen"}\n')
    data = configuration().data
    answers = AnswerDataset(str(tmp_path / "a.jsonl"), None, data)
    assert [task.answer for task in answers.tasks] == ["Odense", "Funen"]
    data.val_files = [str(tmp_path / "q.jsonl")]
    questions = AnswerDataset(data.val_files, None, data)
    assert questions[0]["extra_info"]["task"]["question"] == "Which island?"
    assert questions[0]["reward_model"]["ground_truth"] == {"target": ["Funen"]}
    named = AnswerDataset(f"questions:{tmp_path / 'q.jsonl'}", None, data)
    assert named.tasks == questions.tasks
    few = AnswerDataset("answers", None, data, max_samples=3)
    assert len(few) == 3 and few[0]["agent_name"] == "ssp_game"
    assert few[0]["raw_prompt"][-1]["role"] == "user"
    with pytest.raises(ValueError, match="at least one answer or question, got none from no file"):
        AnswerDataset([], None, data)
