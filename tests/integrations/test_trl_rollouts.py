"""TRL trains both roles on whole games: what it is given are our trajectories, token by token."""

import importlib.util
import math

import pytest

pytest.importorskip("trl", reason="needs trl: make parity, or pip install 'ssp-env[trl]'")

import torch
from trl import GRPOConfig, GRPOTrainer

from baselines.advantages import grpo
from ssp_env.game import Task
from ssp_env.game.trajectory import seat_trajectories
from ssp_env.integrations.trl import GameRollouts
from tests.markdown import ROOT

pytestmark = pytest.mark.filterwarnings("ignore")


def example():
    spec = importlib.util.spec_from_file_location("trl_alternating", ROOT / "examples/trl_alternating.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXAMPLE = example()


@pytest.fixture(scope="module")
def weights():
    return {name: value.clone() for name, value in EXAMPLE.warm_start().state_dict().items()}


@pytest.fixture
def model(weights):
    made = EXAMPLE.build_model(len(EXAMPLE.TOKENIZER), hidden_size=64, layers=2, intermediate_size=128)
    made.load_state_dict(weights)
    return made


def trainer_of(model, folder, rollouts, **options):
    settings = {
        "max_steps": 2, "per_device_train_batch_size": 16, "num_generations": 4, "temperature": 1.0,
        "learning_rate": 1e-3, "logging_steps": 1, "report_to": "none", "save_strategy": "no",
        "use_cpu": True, "bf16": False, "disable_tqdm": True, "seed": 0,
    }  # fmt: skip
    config = GRPOConfig(str(folder), **(settings | options))
    return GRPOTrainer(model, args=config, processing_class=EXAMPLE.TOKENIZER, **rollouts.arguments)


def unpadded(ids, mask):
    return [tuple(row[kept.bool()].tolist()) for row, kept in zip(ids, mask, strict=True)]


def test_the_example_trains_both_roles_in_turns_within_two_steps(model, weights, tmp_path):
    trainer, rollouts = EXAMPLE.train(model, str(tmp_path))
    logs = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert [rollouts.phase(entry["step"] - 1) for entry in logs] == ["proposer", "solver"]
    assert all(entry["grad_norm"] > 0 for entry in logs)
    after = trainer.model.state_dict()
    assert any(not torch.equal(weights[name], after[name].cpu()) for name in weights)
    assert len((ROOT / "examples/trl_alternating.py").read_text().splitlines()) <= 75


def test_what_trl_computes_with_are_our_trajectories_and_our_advantages(model, tmp_path):
    rollouts = GameRollouts(EXAMPLE.SCENARIO, EXAMPLE.player, tasks=EXAMPLE.SCENARIO.draw_tasks(8), seed=2)
    trainer = trainer_of(model, tmp_path, rollouts)
    seen, score = [], trainer._generate_and_score_completions

    def watched(inputs):
        output = score(inputs)
        seen.append((output, list(rollouts.games)))
        return output

    trainer._generate_and_score_completions = watched
    trainer.train()
    assert len(seen) == 2
    for (output, games), role in zip(seen, ("proposer", "solver"), strict=True):
        prompts = unpadded(output["prompt_ids"], output["prompt_mask"])
        completions = unpadded(output["completion_ids"], output["completion_mask"])
        rows = dict(zip(range(len(prompts)), zip(prompts, completions, strict=True), strict=True))
        found = {}
        per_game = 1 if role == "proposer" else 4
        for place, game in enumerate(games):
            for number, each in enumerate(t for t in seat_trajectories(game) if t.role == role):
                found[place * per_game + number] = each
        paid = [found[row].reward if row in found else math.nan for row in rows]
        assert 4 <= len(found) <= 16 and len({*paid} - {math.nan}) > 1
        # TRL shuffles what it has generated only afterwards: rows are in the order of the games.
        for row, each in found.items():
            assert rows[row] == (each.prompt_ids, each.response_ids)
            mask = output["tool_mask"][row][output["completion_mask"][row].bool()]
            assert tuple(mask.int().tolist()) == each.response_mask
        groups = [row // 4 for row in rows]
        ours = grpo(torch.tensor(paid), groups, epsilon=1e-4)
        torch.testing.assert_close(output["advantages"], ours, rtol=1e-5, atol=1e-6)


def test_a_group_of_the_solver_is_one_game_and_without_a_question_it_is_unpaid(model, tmp_path):
    tasks = EXAMPLE.SCENARIO.draw_tasks(16)
    rollouts = GameRollouts(EXAMPLE.SCENARIO, EXAMPLE.player, phases=("solver",), tasks=tasks)
    trainer = trainer_of(model, tmp_path, rollouts)
    prompts = [prompt for prompt in trainer.train_dataset["prompt"] for _ in range(4)]
    model.train()
    columns = rollouts.rollout_func(prompts, trainer)
    assert len(rollouts.games) == 16 and {game.config.attempts for game in rollouts.games} == {4}
    assert {len(values) for values in columns.values()} == {64}
    valid = [game.outcome.verdict == "valid" for game in rollouts.games]
    assert 0 < sum(valid) < 16
    for place, game in enumerate(rollouts.games):
        paid = columns["game_paid"][4 * place : 4 * place + 4]
        if valid[place]:
            assert paid == [game.outcome.rewards[f"solver_{number}"] for number in range(4)]
        else:
            assert paid == [None] * 4 and columns["env_mask"][4 * place] == [0]
    assert model.training


def test_proposals_are_paid_by_attempts_at_them(model, tmp_path):
    rollouts = GameRollouts(EXAMPLE.SCENARIO, EXAMPLE.player, phases=("proposer",))
    trainer = trainer_of(model, tmp_path, rollouts)
    prompts = [prompt for prompt in trainer.train_dataset["prompt"][:4] for _ in range(4)]
    columns = rollouts.rollout_func(prompts, trainer)
    assert len({game.id for game in rollouts.games}) == 16
    assert columns["game_paid"] == [game.outcome.rewards["proposer_0"] for game in rollouts.games]
    again = rollouts.rollout_func(prompts, trainer)
    assert again["completion_ids"] != columns["completion_ids"]


class TextAlone:
    def act(self, view):
        return "<question> who ? </question>"


class NoLogprobs:
    def __init__(self, player):
        self.player = player

    def act_batch(self, views):
        from dataclasses import replace

        return [replace(reply, logprobs=()) for reply in self.player.act_batch(views)]


def test_players_without_tokens_teach_nothing_and_without_log_probabilities_are_refused(model, tmp_path):
    rollouts = GameRollouts(EXAMPLE.SCENARIO, lambda *_: TextAlone(), phases=("proposer",))
    trainer = trainer_of(model, tmp_path, rollouts)
    prompts = [trainer.train_dataset["prompt"][0]] * 4
    assert rollouts.rollout_func(prompts, trainer)["game_paid"] == [None] * 4
    rollouts = GameRollouts(EXAMPLE.SCENARIO, lambda *given: NoLogprobs(EXAMPLE.player(*given)))
    with pytest.raises(ValueError, match="proposer_0 came without log-probabilities"):
        rollouts.rollout_func(prompts, trainer)


def test_torn_groups_and_prompts_of_another_data_set_are_refused(model, tmp_path):
    rollouts = GameRollouts(EXAMPLE.SCENARIO, EXAMPLE.player)
    trainer = trainer_of(model, tmp_path, rollouts)
    first, second = trainer.train_dataset["prompt"][:2]
    with pytest.raises(ValueError, match=r"whole groups of num_generations=4 equal prompts, got 4"):
        rollouts.rollout_func([first, first, second, second], trainer)
    with pytest.raises(
        ValueError, match=r"expected prompts of GameRollouts.train_dataset\(\), got Who are you"
    ):
        rollouts.rollout_func(["Who are you?"] * 4, trainer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scenario": {"answers": ["x"]}}, "expected the scenario to name what is searched"),
        ({"player": None}, "nobody plays: player must make a player"),
        ({"phases": ()}, "phases must be of proposer and solver, got none"),
        ({"phases": ("reader",)}, "phases must be of proposer and solver, got reader"),
        ({"tasks": []}, "there is nothing to ask for"),
        ({"tasks": [Task("x", question="who ?")]}, r"train the solver on them, phases=\('solver',\)"),
        ({"steps_per_phase": 0}, "steps_per_phase"),
    ],
)
def test_what_cannot_be_played_is_refused(change, message):
    arguments = {"scenario": EXAMPLE.SCENARIO, "player": EXAMPLE.player} | change
    with pytest.raises(ValueError, match=message):
        GameRollouts(**arguments)


def test_another_version_is_refused_with_the_tested_one(monkeypatch):
    monkeypatch.setattr("ssp_env.integrations.libraries.version", lambda library: "0.25.0")
    with pytest.raises(ImportError, match=r"expected trl>=1.16,<2 \(tested: 1.16.0\), got trl 0.25.0"):
        GameRollouts(EXAMPLE.SCENARIO, EXAMPLE.player)
