"""Language models as policies of a run: opened by name, played, scored, cloned, saved and read back."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from agents.player_names import PlayerOptions, player_by_name
from agents.transformers_agent import TransformersAgent
from baselines.algorithms import build_algorithm
from baselines.config import RoleConfig, TrainConfig, preset
from baselines.learner import Learner
from baselines.policies.models import ADAPTER, LanguageModel, check_model, find_model, open_model
from baselines.rollouts.rollout import play_rollout
from baselines.rollouts.tasks import WorldSource, open_source
from baselines.runs.directory import RunDirectory
from baselines.samples import Sample
from baselines.train import Training
from baselines.warm_start import clone, oracle_demonstrations
from ssp_env.game import Reply, View
from ssp_env.game.view import ROLES
from tests.agents.byte_tokenizer import byte_tokenizer
from tests.agents.chatty import TAGS, build_model, build_tokenizer
from tests.agents.fake_vllm import asked, serving
from tests.baselines.short_runs import Killed, Watcher, kill

SMALL = {
    "world": "small",
    "hops": [1],
    "answers": 2,
    "steps": 1,
    "temperature": 1.0,
    "rules": {
        "prompts": "terse", "protocol": "default", "attempts": 2, "top_k": 1, "rag_check": False,
        "max_turns": 3, "min_searches": 0, "max_passage_chars": 60,
    },
    "source": {"worlds": 1, "questions_per_world": 2},
    "rollout": {"max_new_tokens": 8, "context_window": 1024, "rendering": "chat"},
    "warm_start": {"lookup_steps": 0, "cloning_steps": 1, "cloning_games": 1, "learning_rate": 1e-3},
    "learner": {"learning_rate": 1e-3, "betas": [0.9, 0.99]},
    "evaluation": {"questions": 2, "validation_every": 1, "validation_questions": 2},
    "checkpoint_every": 1,
}  # fmt: skip


def config_of(folder: Path, **model: object) -> TrainConfig:
    return TrainConfig(preset="mine").changed({**SMALL, "model": {"name": str(folder), **model}})


@pytest.fixture(
    params=[{}, {"lora_rank": 2}, {"lora_rank": 2, "dtype": "bfloat16"}], ids=["full", "lora", "bf16"]
)
def config(folder: Path, request: pytest.FixtureRequest) -> TrainConfig:
    return config_of(folder, **request.param)


class Asks:
    """A proposer whose question is valid, so that there are attempts to learn from."""

    def act(self, view: View) -> Reply | str:
        return (
            f"<question> Which of all the old towns is called {view.seat} number {view.game_id}? </question>"
        )


def played(opened: LanguageModel, config: TrainConfig, *, proposer: object = None) -> Sequence[Sample]:
    opened.policy.published("1")
    agent = opened.policy.agent(0)
    role = "proposer" if proposer is None else "solver"
    return play_rollout(
        open_source(config.source, config.world, config.hops, config.game), config.game,
        proposer=proposer or agent, solver=agent, answers=2, seed=0, step=0, learning=[role],
    ).samples[role]  # fmt: skip


@pytest.mark.parametrize("role", ["solver", "proposer"])
def test_the_first_ratio_is_one(config: TrainConfig, tmp_path: Path, role: str):
    opened = open_model(config, tmp_path)
    samples = played(opened, config, proposer=Asks() if role == "solver" else None)
    assert samples and all(sample.role == role for sample in samples)
    paid = [replace(sample, reward=1.0) for sample in samples]
    raw_reward = RoleConfig("reinforce", options={"baseline": "none"})
    metrics = build_algorithm(raw_reward, Learner(opened.policy, config.learner)).update(paid)
    # In bfloat16 the cached decoding and the whole forward pass round at different places.
    assert metrics[f"{role}/max_ratio_error"] < (0.3 if config.model.dtype == "bfloat16" else 1e-4)
    assert metrics[f"{role}/trained_tokens"] == sum(sample.sampled_count for sample in samples)


def test_saved_weights_come_back_and_play(config: TrainConfig, tmp_path: Path):
    opened = open_model(config, tmp_path)
    frozen = opened.policy.duplicate()
    fresh = {name: weight.clone() for name, weight in opened.policy.state_dict().items()}
    with torch.no_grad():
        for weight in opened.policy.trainable_parameters():
            weight.add_(0.01)
    opened.save(tmp_path / "saved")
    other = open_model(config, tmp_path)
    assert all(torch.equal(weight, fresh[name]) for name, weight in frozen.state_dict().items())
    other.restore(other.policy, tmp_path / "saved")
    changed = opened.policy.state_dict()
    assert all(torch.equal(weight, changed[name]) for name, weight in other.policy.state_dict().items())
    assert not all(torch.equal(weight, fresh[name]) for name, weight in changed.items())
    made = player_by_name("solver", str(tmp_path / "saved"), PlayerOptions())
    assert isinstance(made.player, TransformersAgent)
    ids = torch.tensor([[3, 4, 5]])
    expected = opened.model(input_ids=ids).logits
    assert torch.allclose(made.player.model(input_ids=ids).logits.float(), expected.float(), atol=0.3)
    assert (tmp_path / "saved" / ADAPTER).is_dir() == bool(config.model.lora_rank)


def test_the_base_of_adapters_is_not_copied_and_not_trained(folder: Path, tmp_path: Path):
    opened = open_model(config_of(folder, lora_rank=2, dtype="bfloat16"), tmp_path)
    assert {weight.dtype for weight in opened.policy.trainable_parameters()} == {torch.float32}
    weights, copies = (dict(p.model.named_parameters()) for p in (opened.policy, opened.policy.duplicate()))
    shared = {name for name in weights if weights[name] is copies[name]}
    assert shared == {name for name in weights if "lora" not in name} and len(shared) < len(weights)


def test_demonstrations_have_the_tokens_that_the_model_would_sample(folder: Path, tmp_path: Path):
    config = config_of(folder).changed({"rules": {"rag_check": True, "min_question_words": 1}})
    opened = open_model(config, tmp_path)
    assert isinstance(opened, LanguageModel)
    samples = oracle_demonstrations(
        WorldSource("small", 1, (2,)), config.game, opened.conversations(), np.random.default_rng(0), games=2
    )
    read = [
        [
            "".join(
                opened.tokenizer.decode(segment.token_ids) for segment in sample.segments if segment.sampled
            )
        ]
        for sample in samples
    ]
    assert len({(sample.game_id, sample.seat) for sample in samples}) >= 4
    for sample, (said,) in zip(samples, read, strict=True):
        assert said.endswith("</answer><|end|>") or said.endswith("</question><|end|>")
        assert sample.segments[0].sampled is False
    again = oracle_demonstrations(
        WorldSource("small", 1, (2,)), config.game, opened.conversations(), np.random.default_rng(0), games=2
    )
    assert samples == again


def test_cloning_lowers_the_loss(folder: Path, tmp_path: Path):
    config = config_of(folder, lora_rank=4)
    opened = open_model(config, tmp_path)
    assert isinstance(opened, LanguageModel)
    samples = oracle_demonstrations(
        WorldSource("small", 1, (1,)), config.game, opened.conversations(), np.random.default_rng(0), games=1
    )
    learner = Learner(opened.policy, config.learner)
    losses = [clone(learner, samples)["loss"] for _ in range(4)]
    assert losses == sorted(losses, reverse=True)


# -- whole runs ----------------------------------------------------------------------------------------


def write_questions(path: Path) -> None:
    path.write_text('{"id": "1", "question": "Who fed whales?", "golden_answers": ["Ada"]}\n' * 1)


def test_a_run_over_a_corpus_with_a_file_of_questions(folder: Path, tmp_path: Path):
    corpus, questions = tmp_path / "corpus.jsonl", tmp_path / "questions.jsonl"
    corpus.write_text('{"id": "a", "title": "Ada", "text": "Ada fed whales."}\n')
    write_questions(questions)
    files = {name: str(questions) for name in ("questions", "validation", "heldout")}
    config = config_of(folder, lora_rank=2).changed(
        {
            "rules": {"prompts": "english"},
            # The bonus on entropy gives a gradient where every answer is wrong.
            "solver": {"algorithm": "reinforce", "entropy_coefficient": 0.01},
            "proposer": "frozen",
            "source": {"corpus": str(corpus), **files},
            "warm_start": {"cloning_steps": 0},
        }
    )
    run = RunDirectory.create(tmp_path / "run", config)
    summary = Training(config, run, Watcher()).train()
    assert set(summary["heldout"]["after"]) == {"questions"} and summary["mode"] == "solver-only"
    (row,) = run.read_jsonl("metrics.jsonl")
    assert row["solver/trained_tokens"] > 0 and "validation/questions" in row
    assert "proposer_reward" not in row and "mean_hops" not in row
    assert (tmp_path / "run" / "final" / ADAPTER / "adapter_model.safetensors").is_file()


def test_a_run_from_cloning_to_the_end_can_be_killed_and_resumed(folder: Path, tmp_path: Path):
    config = config_of(folder, lora_rank=2)
    weights = []
    for name, stop in (("whole", ""), ("killed", "self-play 1")):
        run = RunDirectory.create(tmp_path / name, config)
        try:
            Training(config, run, Watcher(stop, kill)).train()
        except Killed:
            Training(config, run, Watcher()).train()
        opened = open_model(config, tmp_path)
        opened.restore(opened.policy, tmp_path / name / "final")
        weights.append(opened.policy.state_dict())
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())


@pytest.mark.parametrize(
    ("lora_rank", "merged", "staleness"),
    [(0, False, 0), (2, False, 0), (2, True, 0), (2, False, 1)],
    ids=["full", "lora", "merged", "ahead"],
)
def test_a_vllm_server_gets_the_weights_of_every_step(
    tmp_path: Path, lora_rank: int, merged: bool, staleness: int
):
    """A server that speaks vLLM's protocol samples; what it is sent comes from the run's folder."""
    tokenizer = byte_tokenizer()
    build_model(len(tokenizer)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    corpus, questions = tmp_path / "corpus.jsonl", tmp_path / "questions.jsonl"
    corpus.write_text('{"id": "a", "title": "Blue whale", "text": "Blue whales eat krill."}\n')
    questions.write_text('{"id": "1", "question": "What do blue whales eat?", "golden_answers": ["krill"]}\n')
    with serving("--name", "model") as url:
        config = config_of(tmp_path / "model", lora_rank=lora_rank).changed(
            {
                "steps": 2,
                "rules": {"prompts": "english"},
                "solver": {"algorithm": "reinforce", "entropy_coefficient": 0.01},
                "proposer": "frozen",
                "source": {"corpus": str(corpus), "questions": str(questions), "heldout": str(questions)},
                "rollout": {"engine": f"vllm:{url}", "rendering": "plain", "max_new_tokens": 64},
                "warm_start": {"cloning_steps": 0},
                "learner": {"old_logprobs": "recomputed"},
            }
        )
        more = {"context_window": 8192, "merge_adapter": merged, "staleness": staleness}
        config = config.changed({"rollout": more})
        run = RunDirectory.create(tmp_path / "run", config)
        summary = Training(config, run, Watcher()).train()
        said = asked(url)
    versions = ["before", "0", "1-with-0" if staleness else "1", "after"]
    wanted = [f"load {'-'.join(ROLES)}@{version}" for version in versions]
    if merged or not lora_rank:
        wanted = [f"version {version}" for version in versions]
    validations = ("validation-0", "validation-1")
    assert [call for call in said["calls"] if call in wanted] == wanted
    assert any(validation in call for call in said["calls"] for validation in validations)
    assert summary["heldout"]["after"]["questions"]["pass_at_1"] == 1.0
    seeds = {request["seed"] for request in said["completions"]}
    # Games have the same ids at every step, and draw other numbers from every version.
    assert len(seeds) == len(said["completions"])
    assert all(row["solver/trained_tokens"] > 0 for row in run.read_jsonl("metrics.jsonl"))


@pytest.mark.parametrize("name", ["qwen2.5-7b-paper", "search-r1"])
def test_a_preset_for_gpus_runs_on_a_random_model_of_two_layers(tmp_path: Path, name: str):
    tokenizer = build_tokenizer(words=TAGS)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    qwen = Qwen2Config(
        vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=4096, **sizes
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Qwen2ForCausalLM(qwen).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    corpus, questions = tmp_path / "corpus.jsonl", tmp_path / "questions.jsonl"
    corpus.write_text('{"id": "a", "title": "Ada", "text": "Ada fed whales, and this is a long sentence."}\n')
    questions.write_text('{"id": "1", "question": "Who fed whales?", "golden_answers": ["Ada"]}\n')
    source = {"corpus": str(corpus), "search": ""}
    if name == "search-r1":
        source["questions"] = str(questions)
    else:
        (tmp_path / "answers.txt").write_text("Ada\n")
        source["answers"] = str(tmp_path / "answers.txt")
    config = preset(name).changed(
        {
            "model": {"name": str(tmp_path / "model")},
            "rollout": {"engine": "transformers", "max_new_tokens": 6, "context_window": 4096},
            "rules": {"max_turns": 2, "attempts": 2},
            "answers": 2,
            "steps": 1,
            "checkpoint_every": 1,
            "source": source,
        }
    )
    run = RunDirectory.create(tmp_path / "run", config)
    Training(config, run, Watcher()).train()
    (row,) = run.read_jsonl("metrics.jsonl")
    role = "solver" if name == "search-r1" else "proposer"
    assert f"{role}/mismatch_mean" in row and (tmp_path / "run" / "final" / "config.json").is_file()


# -- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"lora_rank": 2}}, "the tiny model trains all its weights"),
        ({"model": {"name": "x", "dtype": "bfloat16"}}, "too small for weights in bfloat16"),
        ({"model": {"name": ""}}, "empty name"),
        ({"model": {"name": "x", "lora_rank": -1}}, "lora_rank must be 0"),
        ({"rules": {"prompts": "english"}}, "reads terse worlds only"),
        ({"rollout": {"engine": "sglang"}}, "rollout.engine must be transformers, vllm"),
        ({"rollout": {"max_new_tokens": 100, "context_window": 100}}, "must be above max_new_tokens of 100"),
        ({"rollout": {"max_new_tokens": 0}}, "at least 1, got 0"),
        ({"rollout": {"merge_adapter": True}}, "rollout.merge_adapter is for servers"),
        ({"source": {"questions": "q.jsonl"}}, "needs passages to search"),
        ({"source": {"known_questions": True}}, "for the solver alone"),
        ({"source": {"worlds": 0}}, "source.worlds must be at least 1"),
        (
            {"source": {"corpus": "c", "known_questions": True}, "proposer": "frozen"},
            "is for generated worlds",
        ),
        ({"source": {"corpus": "c", "answers": "a", "questions": "q"}}, "exclude each other"),
    ],
)
def test_options_that_do_not_fit_are_refused(changes: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        TrainConfig().changed(changes)


def test_a_missing_model_is_named(folder: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no model in '.*nowhere'"):
        find_model(str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"expected adapter/adapter_config\.json"):
        check_model(folder, config_of(folder, lora_rank=2))


def test_a_model_without_a_chat_template_says_what_to_do(tmp_path: Path):
    tokenizer = build_tokenizer(None, words=TAGS)
    build_model(len(tokenizer)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=r"no chat template.*choose 'plain'"):
        open_model(config_of(tmp_path / "model"), tmp_path)
    plain = config_of(tmp_path / "model").changed({"rollout": {"rendering": "auto"}})
    opened = open_model(plain, tmp_path)
    assert isinstance(opened, LanguageModel) and opened.rendering == "plain"
