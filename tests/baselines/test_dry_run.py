"""What `ssp train --dry-run` expects is what runs take: tokens within a factor, memory to the parameter."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from transformers import LlamaForCausalLM

from agents.tiny_model import build_model
from baselines.config import TrainConfig, preset
from baselines.dry_run import expect, show
from baselines.learner import Learner
from baselines.policies.memory import LOGIT_COPIES, activation_bytes, cache_bytes, memory_bytes, model_sizes
from baselines.policies.models import open_model
from baselines.train import SELF_PLAY
from ssp_env import cli
from tests.baselines.policies.test_models import config_of
from tests.baselines.short_runs import EASY_GAME, LEARNING, SHORT, rows, train

TALKATIVE = replace(SHORT, game=EASY_GAME)
"""Where turns may be as long as a model that has learnt nothing makes them."""
FACTOR = 2.0
"""Between the tokens that are expected and those that a run takes."""


def taken(path: Path, name: str) -> float:
    """The mean of a metric over the steps of self-play."""
    found = [row[name] for row in rows(path) if row["stage"] == SELF_PLAY]
    return sum(found) / len(found)


# -- tokens and time -------------------------------------------------------------------------------------


def test_tokens_are_those_of_a_run_from_a_warm_start(
    learning_run: Path, warm_start: Path, lenient_scores: None
):
    expected = expect(LEARNING, warm_start)
    assert expected.tokens.games == LEARNING.answers
    sampled = taken(learning_run, "sampled_tokens")
    assert 1 / FACTOR < expected.tokens.sampled / sampled < FACTOR
    assert taken(learning_run, "trained_tokens") < FACTOR * expected.tokens.trained
    assert max(row.get("sampled_tokens", 0) for row in rows(learning_run)) <= expected.tokens.most
    # Two hops, before and after and one validation.
    assert expected.tokens.evaluated > 0 and set(expected.seconds) == {"self-play", "evaluation"}


def test_tokens_of_a_run_with_a_warm_start_of_its_own_are_those_that_it_learns(tmp_path: Path):
    expected = expect(TALKATIVE)
    run = train(TALKATIVE, tmp_path / "run")
    assert 1 / FACTOR < expected.tokens.sampled / taken(run, "sampled_tokens") < FACTOR
    assert set(expected.seconds) == {"look-ups", "cloning", "self-play", "evaluation"}
    assert all(seconds > 0 for seconds in expected.seconds.values())
    more = expect(replace(TALKATIVE, answers=2 * TALKATIVE.answers, steps=7))
    assert more.tokens.sampled == pytest.approx(2 * expected.tokens.sampled)


def test_rules_that_known_questions_break_do_not_hide_what_the_solver_samples(folder: Path):
    """Whoever learns to play by strict rules asks questions that are solved."""
    lenient = config_of(folder).changed({"rules": {"rag_check": True}})
    strict = lenient.changed({"rules": {"min_question_words": 50, "min_searches": 2, "hop_check": "exact"}})
    tokens = expect(strict.in_mode("solver-only")).tokens
    assert tokens == expect(lenient.in_mode("solver-only")).tokens and tokens.trained > 0


def test_who_does_not_learn_trains_nothing_and_questions_need_no_proposer():
    both, solver, proposer, known = (
        expect(config).tokens
        for config in (
            TALKATIVE,
            TALKATIVE.in_mode("solver-only"),
            TALKATIVE.in_mode("proposer-only"),
            TALKATIVE.in_mode("solver-only").changed({"source": {"known_questions": True}}),
        )
    )
    assert both.sampled == solver.sampled == proposer.sampled > known.sampled == solver.trained
    assert both.trained == pytest.approx(solver.trained + proposer.trained)
    assert known.most < both.most
    checked = expect(TALKATIVE.changed({"rules": {"rag_check": True}})).tokens
    assert checked.most == both.most + 32 * TALKATIVE.answers


# -- memory ----------------------------------------------------------------------------------------------


def configurations(folder: Path) -> dict[str, TrainConfig]:
    return {
        "tiny": preset("tiny"),
        "full": config_of(folder),
        "lora": config_of(folder, lora_rank=2),
        "bf16": config_of(folder, lora_rank=2, dtype="bfloat16"),
    }


@pytest.mark.parametrize("kind", ["tiny", "full", "lora", "bf16"])
def test_parameters_gradients_and_moments_are_counted_exactly(kind: str, folder: Path, tmp_path: Path):
    config = configurations(folder)[kind]
    sizes = model_sizes(config)
    expected = memory_bytes(config, sizes)
    policy = open_model(config, tmp_path).policy
    weights, trained = list(policy.model.parameters()), list(policy.trainable_parameters())
    assert sizes.parameters == sum(weight.numel() for weight in weights)
    assert sizes.trained == sum(weight.numel() for weight in trained)
    learner = Learner(policy, config.learner)
    for weight in trained:
        weight.grad = torch.ones_like(weight)
    gradients = sum(weight.grad.nbytes for weight in trained if weight.grad is not None)
    learner.optimizer.step()
    moments = [t for state in learner.optimizer.state.values() for t in state.values() if t.dim()]
    assert expected["weights"] == sum(weight.nbytes for weight in weights)
    assert expected["gradients"] == gradients
    assert expected["moments of the optimiser"] == sum(tensor.nbytes for tensor in moments)


def test_activations_are_about_those_that_the_backward_pass_keeps():
    config = preset("tiny").changed({"learner": {"micro_batch_tokens": 512}, "model": {"chunk_tokens": 512}})
    model = LlamaForCausalLM(build_model(500, **config.model.sizes()).config)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    held = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (keep(t), held.append(t))[0], lambda t: t):
        model.model(input_ids=torch.randint(500, (4, 128))).last_hidden_state.sum()
    measured = sum(size for place, size in kept.items() if place not in weights)
    sizes = model_sizes(config)
    formula = activation_bytes(config, sizes) - 512 * sizes.vocabulary * 4 * LOGIT_COPIES
    assert 0.6 < formula / measured < 1.6


def test_the_cache_is_counted_as_transformers_makes_it():
    config = SHORT.changed(
        {"answers": 1, "rules": {"attempts": 2, "reward": "1-acc"}, "model": {"context": 64}}
    )
    sizes = model_sizes(config)
    model = LlamaForCausalLM(build_model(50, **config.model.sizes()).config)
    cache = model(input_ids=torch.zeros(2, 64, dtype=torch.long), use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    # While some conversations are decoded, the others are kept.
    assert cache_bytes(config, sizes) == 2 * held


def test_what_options_add_to_memory(folder: Path):
    def added(changes: dict[str, Any], processes: int = 1) -> dict[str, float]:
        """In copies of the trained weights."""
        changed = config.changed(changes)
        now = memory_bytes(changed, sizes, processes)
        return {name: (now.get(name, 0) - before.get(name, 0)) / sizes.trained_bytes for name in now}

    config = config_of(folder)
    sizes = model_sizes(config)
    before = memory_bytes(config, sizes)
    reference = added({"solver": {"kl_coefficient": 0.1}, "proposer": {"kl_coefficient": 0.1}})
    assert reference["references and past weights"] == 1
    critic = added({"solver": {"algorithm": "ppo", "critic": "model"}})
    assert (critic["weights"], critic["gradients"], critic["moments of the optimiser"]) == (1, 1, 2)
    apart = added({"policies": "models", "updates": "separate"})
    assert (apart["weights"], apart["gradients"], apart["moments of the optimiser"]) == (1, 1, 2)
    past = added({"opponents": {"solver": "pfsp", "window": 3}})
    # Three that are kept, and one that plays.
    assert past["references and past weights"] == 4
    half = added({"model": {"sharding": "fsdp2"}}, processes=2)
    assert half["gradients"] == -0.5 and half["whole model that plays"] == 1
    assert added({"model": {"gradient_checkpointing": True}})["activations"] < 0
    assert "cache of keys and values" not in added({"rollout": {"engine": "vllm:http://localhost:1"}})


# -- the command -----------------------------------------------------------------------------------------


def ssp(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> object:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", ["ssp", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_the_command_prints_what_it_expects_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    options = ["--preset", "smoke", "--dry-run", "--threads", "1", "--processes", "2"]
    assert ssp(monkeypatch, tmp_path, "train", *options) == 0
    printed = capsys.readouterr().out
    for expected in (
        "sampled tokens",
        "trained tokens, at most",
        "moments of the optimiser",
        "together, at most",
    ):
        assert expected in printed
    assert "28,288 parameters, of which 28,288 are trained" in printed
    assert "Expected time: about" in printed and "look-ups" in printed
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_cannot_begin_or_that_there_is_already_is_not_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said = ssp(monkeypatch, tmp_path, "train", "--dry-run", "--resume", "runs/x")
    assert said == "ssp: --dry-run is about a new run: leave out --resume, or --dry-run"
    said = ssp(monkeypatch, tmp_path, "train", "--dry-run", "--set", "model.name=nowhere")
    assert "no model in 'nowhere'" in str(said)


def test_a_model_that_is_elsewhere_or_too_large_is_not_played(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    served = config_of(folder).changed({"rollout": {"engine": "vllm:http://localhost:1"}})
    expected = expect(served)
    assert expected.seconds == {} and expected.tokens.sampled > 0
    show(expected, served, Console())
    printed = capsys.readouterr().out
    assert (
        "Expected time: not measured, because vllm:http://localhost:1 samples, and was not asked." in printed
    )
    assert "What vLLM holds is not counted." in printed
    # The configuration and the tokenizer are enough for the rest.
    shutil.copytree(folder, tmp_path / "sizes", ignore=shutil.ignore_patterns("*.safetensors"))
    assert "there are no weights in" in expect(config_of(tmp_path / "sizes")).unmeasured
    monkeypatch.setattr("os.sysconf", lambda name: 1000)
    small = expect(config_of(folder))
    assert small.unmeasured == "this machine has 1.0 MB of memory, less than it needs"
    assert small.sizes == expected.sizes
