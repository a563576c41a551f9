"""A policy for each role: who plays with which, what is trained, what runs save, and what is refused."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from agents.player_names import PlayerOptions, model_of_run, player_by_name
from agents.players import Cast
from baselines.config import TrainConfig, preset
from baselines.policies.causal_lm import CausalLMPolicy
from baselines.policies.models import ADAPTER, open_model
from baselines.runs.directory import RunDirectory
from baselines.self_play import SelfPlay
from baselines.train import Interrupted, Training
from tests.agents.byte_tokenizer import byte_tokenizer
from tests.agents.chatty import build_model
from tests.agents.fake_vllm import asked, serving
from tests.baselines.policies.test_models import config_of
from tests.baselines.short_runs import (
    LEARNING,
    Killed,
    Watcher,
    kill,
    press_ctrl_c,
    resume,
    rows,
    same,
    summary,
    train,
    weights,
)
from tests.baselines.test_self_play import CONFIG, published_player

APART = {"policies": "models", "updates": "separate"}
MODELS = LEARNING.changed(APART)


def assert_same_runs(got: Path, expected: Path) -> None:
    """The models of both roles, figures and records are equal, clocks aside."""
    parts = ["warm-start", "final/solver", "final/proposer"]
    assert (got / "best").exists() == (expected / "best").exists()
    if (expected / "best").exists():
        parts += ["best/solver", "best/proposer"]
        assert rows(got / "best", "validation.json") == rows(expected / "best", "validation.json")
    for part in parts:
        assert same(weights(got / part), weights(expected / part)), part
    figures = [
        {k: v for k, v in summary(path).items() if k not in ("wall_s", "self_play_s", "peak_rss_mb")}
        for path in (got, expected)
    ]
    assert figures[0] == figures[1]
    assert rows(got) == rows(expected)
    assert rows(got, "episodes.jsonl") == rows(expected, "episodes.jsonl")


# -- one step ------------------------------------------------------------------------------------------


def two_models(
    model: LlamaForCausalLM, changes: Mapping[str, Any] = {}, config: TrainConfig = CONFIG
) -> SelfPlay:
    solver = CausalLMPolicy(model, published_player)
    policies = {"solver": solver, "proposer": solver.duplicate(trainable=True)}
    return SelfPlay(config.changed({**APART, **changes}), policies, solver.duplicate())  # type: ignore[arg-type]


def copied(policy: CausalLMPolicy) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in policy.state_dict().items()}


def test_the_first_step_of_two_models_is_that_of_one_model(learner: LlamaForCausalLM, lenient_scores: None):
    """Both start equal, so that the same games are played, and the same losses come out before the update."""
    apart = two_models(learner)
    together = SelfPlay(CONFIG, apart.policies["solver"].duplicate(trainable=True), None)
    (games, theirs), (shared_games, shared) = apart.step(0), together.step(0)
    assert [game.snapshot() for game in games.games] == [game.snapshot() for game in shared_games.games]
    for name in ("solver/loss", "proposer/loss", "solver/entropy", "proposer/trained_tokens"):
        assert theirs[name] == shared[name]
    assert theirs["max_ratio_error"] < 1e-4
    assert "grad_norm" not in theirs and min(theirs["solver/grad_norm"], theirs["proposer/grad_norm"]) > 0


@pytest.mark.parametrize(("alone", "other"), [("solver", "proposer"), ("proposer", "solver")])
def test_the_update_of_a_role_leaves_the_other_policy_as_it_is(
    alone: str, other: str, learner: LlamaForCausalLM, lenient_scores: None
):
    game = two_models(learner, {f"{alone}_only_steps": 1})
    before = {role: copied(policy) for role, policy in game.policies.items()}
    game.step(0)
    assert same(copied(game.policies[other]), before[other])  # type: ignore[index]
    assert not same(copied(game.policies[alone]), before[alone])  # type: ignore[index]
    assert len(game.learners) == 2 and game.learners[other].steps == 0  # type: ignore[index]
    game.step(1)
    assert not same(copied(game.policies[other]), before[other])  # type: ignore[index]


def test_the_solvers_policy_solves_and_reads(learner: LlamaForCausalLM):
    rules = replace(CONFIG.game, rag_check=True, min_question_words=1)
    game = two_models(learner, config=replace(CONFIG, game=rules))
    (match,) = game.rollouts._matches(0)
    solver, proposer = match.pairing.solver, match.pairing.proposer
    assert solver.model is game.policies["solver"].model  # type: ignore[union-attr]
    assert proposer.model is game.policies["proposer"].model  # type: ignore[union-attr]
    # Whoever solves also reads if nobody else does.
    assert match.pairing.reader is None


def test_past_weights_are_those_of_the_roles_own_policy(learner: LlamaForCausalLM, lenient_scores: None):
    opponents = {"proposer": "pfsp", "solver": "window", "every": 1, "window": 2}
    game = two_models(learner, {"opponents": opponents})
    kept = []
    for step in range(3):
        kept.append({role: copied(policy) for role, policy in game.policies.items()})
        _, metrics = game.step(step)
    assert {"opponents/solver/win_rate", "opponents/proposer/win_rate"} <= set(metrics)
    for role in ("solver", "proposer"):
        past = game.rollouts.opponents.past[role]  # type: ignore[index]
        assert past.versions == [1, 2]
        assert all(same(past.weights[version], kept[version][role]) for version in (1, 2))  # type: ignore[index]
    assert not same(kept[2]["solver"], kept[2]["proposer"])


# -- whole runs ----------------------------------------------------------------------------------------


def test_a_run_of_two_models_is_the_same_after_a_stop_and_after_a_kill(
    tmp_path: Path, warm_start: Path, lenient_scores: None
):
    config = MODELS.changed(
        {
            "checkpoint_every": 2,
            "evaluation": {"validation_every": 2},
            "opponents": {"proposer": "pfsp", "solver": "pfsp", "every": 1, "window": 2},
            "filling": {"kind": "prioritised", "max_age": 3, "max_uses": 2},
            "solver": {"algorithm": "ppo", "warmup_updates": 1, "kl_coefficient": 0.1},
            "proposer": {"algorithm": "reinforce", "baseline": "moving", "kl_coefficient": 0.1},
            "learner": {"reference": "moving", "reference_every": 4, "minibatches": 2},
        }
    )
    whole = train(config, tmp_path / "whole", warm_start=warm_start)
    assert not same(weights(whole / "final" / "solver"), weights(whole / "final" / "proposer"))
    # At every other step, the last among them, the references are the weights that are trained.
    moved = rows(whole)[-2]
    assert moved["solver/reference_kl"] > 0 and moved["proposer/reference_kl"] > 0
    with pytest.raises(Interrupted):
        train(config, tmp_path / "stopped", Watcher("self-play 3", press_ctrl_c), warm_start)
    for moment in ("before", "self-play 4", "after"):
        with pytest.raises(Killed):
            train(config, tmp_path / moment, Watcher(moment, kill), warm_start)
    for name in ("stopped", "before", "self-play 4", "after"):
        resume(tmp_path / name)
        assert_same_runs(tmp_path / name, whole)
    for role in ("solver", "proposer", "reader"):
        best = model_of_run(whole / "best", role=role)
        assert best == whole / "best" / ("proposer" if role == "proposer" else "solver")
        assert player_by_name(role, str(whole / "best"), PlayerOptions()).prompts == "terse"
    with pytest.raises(ValueError, match=r"a model for each role: name .*best/solver or .*best/proposer"):
        model_of_run(whole / "best")
    cast = Cast(dict.fromkeys(("proposer", "solver"), str(whole / "best")))
    assert cast.players["solver"] is not cast.players["proposer"]
    (folder, *_) = RunDirectory(whole).checkpoints()
    owners = {name.partition("/")[0] for name in load_file(folder / "optimizer.safetensors")}
    assert owners == {"solver", "proposer"}


@pytest.mark.parametrize("mode", ["solver-only", "proposer-only"])
def test_a_frozen_role_keeps_its_model_bit_for_bit(
    mode: str, tmp_path: Path, warm_start: Path, lenient_scores: None
):
    learns, frozen = ("solver", "proposer") if mode == "solver-only" else ("proposer", "solver")
    apart = train(MODELS.in_mode(mode), tmp_path / "apart", warm_start=warm_start)
    assert same(weights(apart / "final" / frozen), weights(warm_start))
    # Where one role learns, it has a model of its own in any case.
    shared = train(LEARNING.in_mode(mode), tmp_path / "shared", warm_start=warm_start)
    assert same(weights(apart / "final" / learns), weights(shared / "final"))
    for mine, theirs in zip(rows(apart), rows(shared), strict=True):
        differ = {name for name in theirs if mine.get(name) != theirs[name]}
        assert all(name.startswith("validation/") for name in differ)
    with pytest.raises(Interrupted):
        train(MODELS.in_mode(mode), tmp_path / "stopped", Watcher("self-play 2", press_ctrl_c), warm_start)
    resume(tmp_path / "stopped")
    assert_same_runs(tmp_path / "stopped", apart)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, warm_start: Path) -> Path:
    config = MODELS.changed({"steps": 1, "evaluation": {"validation_every": 0}})
    run = train(config, tmp_path_factory.mktemp("runs") / "run", warm_start=warm_start)
    # What a player is made of differs, even where nothing has been learnt.
    path = run / "final" / "proposer"
    changed = {name: weight + 0.5 for name, weight in weights(path).items()}
    model = LlamaForCausalLM.from_pretrained(path)
    model.load_state_dict(changed, strict=False)
    model.save_pretrained(path)
    return run


def test_a_run_stands_for_the_model_of_the_role_that_it_plays(finished: Path):
    for role, whose in (("solver", "solver"), ("reader", "solver"), ("proposer", "proposer")):
        player: Any = player_by_name(role, str(finished), PlayerOptions()).player
        assert same(
            {name: weight.detach() for name, weight in player.model.named_parameters()},
            weights(finished / "final" / whose),
        )
    named = player_by_name("solver", str(finished / "final" / "proposer"), PlayerOptions())
    assert type(named.player) is type(player)
    cast = Cast(dict.fromkeys(("proposer", "solver", "reader"), str(finished)))
    assert cast.players["solver"] is cast.players["reader"] is not cast.players["proposer"]
    with pytest.raises(ValueError, match=r"a model for each role: name .*final/solver or .*final/proposer"):
        model_of_run(finished)
    assert model_of_run(finished, "warm-start") == finished / "warm-start"


# -- adapters ------------------------------------------------------------------------------------------


# The bonus on entropy gives a gradient where nothing is paid.
ADAPTERS = {
    "policies": "adapters",
    "updates": "separate",
    "steps": 2,
    "solver": {"algorithm": "reinforce", "entropy_coefficient": 0.01},
    "proposer": {"algorithm": "reinforce", "entropy_coefficient": 0.01},
}


def test_two_adapters_share_their_model_in_memory(folder: Path, tmp_path: Path):
    opened = open_model(config_of(folder, lora_rank=2).changed(ADAPTERS), tmp_path)
    one, other = (dict(p.model.named_parameters()) for p in (opened.policy, opened.second_policy()))
    shared = {name for name in one if one[name] is other[name]}
    assert shared == {name for name in one if "lora" not in name}
    assert all(other[name].requires_grad for name in one.keys() - shared) and same(one, other)


def test_a_run_of_two_adapters_is_resumed_and_saves_both(folder: Path, tmp_path: Path):
    config = config_of(folder, lora_rank=2).changed(ADAPTERS)
    whole = train(config, tmp_path / "whole")
    with pytest.raises(Killed):
        train(config, tmp_path / "killed", Watcher("self-play 2", kill))
    resume(tmp_path / "killed")
    assert_same_runs(tmp_path / "killed", whole)
    adapters = [
        load_file(whole / "final" / role / ADAPTER / "adapter_model.safetensors")
        for role in ("solver", "proposer")
    ]
    assert adapters[0].keys() == adapters[1].keys() and not same(*adapters)
    assert rows(whole)[-1]["proposer/grad_norm"] > 0


def test_a_vllm_server_gets_an_adapter_for_each_role(tmp_path: Path):
    tokenizer = byte_tokenizer()
    build_model(len(tokenizer)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    with serving("--name", "model") as url:
        config = config_of(tmp_path / "model", lora_rank=2).changed(
            {
                **ADAPTERS,
                "rules": {"prompts": "english", "rag_check": True, "max_turns": 4, "min_searches": 0},
                "rollout": {
                    "engine": f"vllm:{url}", "rendering": "plain", "max_new_tokens": 96,
                    "context_window": 8192,
                },
                "warm_start": {"cloning_steps": 0},
                "learner": {"old_logprobs": "recomputed"},
                "evaluation": {"validation_every": 0},
            }
        )  # fmt: skip
        run = RunDirectory.create(tmp_path / "run", config)
        Training(config, run, Watcher()).train()
        said = asked(url)
    loaded = [call for call in said["calls"] if call.startswith("load ")]
    steps = [f"load {name}@{step}" for step in range(2) for name in ("solver-reader", "proposer")]
    assert loaded == ["load solver-reader@before", *steps, "load solver-reader@after", "load proposer@after"]
    models = {request["model"].partition("@")[0] for request in said["completions"]}
    assert models == {"solver-reader", "proposer"}
    assert sorted(path.name for path in run.path.glob("published-*")) == [
        "published-proposer-after",
        "published-solver-reader-after",
    ]


# -- bad input -----------------------------------------------------------------------------------------

LORA = {"name": "x", "lora_rank": 4}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policies": "both"}, "policies"),
        ({"policies": "models"}, "set updates to 'separate', or policies to 'shared'"),
        ({**APART, "policies": "adapters"}, "lora_rank is 0: set policies to 'models'"),
        (
            {**APART, "policies": "adapters", "model": {"name": "x"}},
            "lora_rank is 0: set model.lora_rank to 16, or set policies to 'models'",
        ),
        ({**APART, "model": {"sharding": "fsdp2"}}, "'fsdp2' goes with one policy for both roles"),
        ({**APART, "model": LORA}, "lora_rank is 4: leave it out, or set policies to 'adapters'"),
        (
            {**APART, "model": {"name": "x"}, "rollout": {"engine": "vllm:http://a"}},
            "holds the weights of one model.*set rollout.engine to 'transformers'",
        ),
        (
            {**APART, "policies": "adapters", "model": LORA, "rollout": {"engine": "vllm"}},
            "adapters that servers sample with",
        ),
        (
            {**APART, "proposer": "frozen", "opponents": {"proposer": "pfsp"}},
            "proposer's own policy, which does not learn",
        ),
    ],
)
def test_what_does_not_go_with_two_policies_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        preset("smoke").changed(changes)


def test_one_role_that_learns_needs_no_separate_update_and_no_second_server():
    config = preset("smoke").in_mode("solver-only").changed(
        {"policies": "models", "model": {"name": "x"}, "rollout": {"engine": "vllm:http://a"}}
    )  # fmt: skip
    assert config.needs_warm_start
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
