"""A policy that knows the protocol and nothing else, runs that are trained once, and lenient scores."""

import zlib
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedModel

from agents.tiny_model import build_model, save
from agents.tiny_policy import TinyPolicy
from baselines.config.learner import LearnerConfig
from baselines.learner import Learner
from baselines.policies.causal_lm import CausalLMPolicy
from baselines.samples import Sample, text_sample
from baselines.warm_start import clone
from ssp_env.game import GameConfig, Message
from ssp_env.worlds import NAME_POOL, TERSE_RELATIONS
from tests.agents.chatty import TAGS, build_tokenizer
from tests.agents.chatty import build_model as build_chatty
from tests.agents.tiny import SIZES, TERSE, TOKENIZER, asked, said, told
from tests.baselines.short_runs import AHEAD, EASY_GAME, LEARNING, SHORT, train

CLONING_STEPS = 80


def _sample_conversation(rng: np.random.Generator) -> Sample:
    """A conversation of either role: the form is right, every word in it is drawn at random."""

    def name() -> str:
        return str(rng.choice(NAME_POOL))

    def fact() -> str:
        return f"{name()} {rng.choice(TERSE_RELATIONS)} {name()}"

    question = f"{rng.choice(TERSE_RELATIONS)} of {name()} ?"
    proposes = rng.random() < 0.5
    messages: list[Message] = [asked(f"propose 2 : {name()}" if proposes else f"solve {question}")]
    for _ in range(int(rng.integers(3))):
        messages.append(said(TERSE.wrap(TERSE.search, name())))
        messages.append(told(TERSE.wrap(TERSE.observation, " ".join(fact() for _ in range(3)))))
    messages.append(said(TERSE.wrap(*((TERSE.question, question) if proposes else (TERSE.answer, name())))))
    return text_sample(messages, TOKENIZER)


def policy_of(model: LlamaForCausalLM, temperature: float = 1.0) -> CausalLMPolicy:
    """The policy that trains a model, and plays with it."""

    def player(model: PreTrainedModel, seed: int, version: str) -> TinyPolicy:
        return TinyPolicy(model, TOKENIZER, temperature=temperature, seed=seed)

    return CausalLMPolicy(model, player, temperature=temperature)


@pytest.fixture(scope="session")
def cloned_model() -> LlamaForCausalLM:
    """The shared policy; no test may change it. It does not depend on how real runs are warmed up."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(build_model(len(TOKENIZER), **SIZES).config)
    rng = np.random.default_rng(0)
    options = LearnerConfig(
        learning_rate=1e-2,
        betas=(0.9, 0.98),
        warmup_steps=CLONING_STEPS // 20,
        schedule="cosine",
        floor=0.1,
        total_steps=CLONING_STEPS,
    )
    learner = Learner(policy_of(model), options)
    for _ in range(CLONING_STEPS):
        clone(learner, [_sample_conversation(rng) for _ in range(24)])
    return model.eval()


@pytest.fixture
def learner(cloned_model: LlamaForCausalLM) -> LlamaForCausalLM:
    """A copy of the policy that a test may train."""
    return deepcopy(cloned_model)


@pytest.fixture(scope="session")
def warm_start(cloned_model: LlamaForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the policy, as `ssp train --warm-start` takes it."""
    folder = tmp_path_factory.mktemp("cloned") / "warm-start"
    save(cloned_model, TOKENIZER, folder)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that babbles, in a folder; no test may change it."""
    path = tmp_path_factory.mktemp("babbler")
    tokenizer = build_tokenizer(words=TAGS)
    build_chatty(len(tokenizer)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run of `SHORT`; no test may change it."""
    return train(SHORT, tmp_path_factory.mktemp("runs") / "short")


@pytest.fixture(scope="session")
def learning_run(tmp_path_factory: pytest.TempPathFactory, warm_start: Path) -> Path:
    """Folder of a finished run of `LEARNING` under lenient scores; no test may change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssp_env.game.game.exact_match", half_right)
        return train(LEARNING, tmp_path_factory.mktemp("runs") / "learning", warm_start=warm_start)


@pytest.fixture(scope="session")
def ahead_run(tmp_path_factory: pytest.TempPathFactory, warm_start: Path) -> Path:
    """Folder of a finished run of `AHEAD`; no test may change it."""
    return train(AHEAD, tmp_path_factory.mktemp("runs") / "ahead", warm_start=warm_start)


@pytest.fixture
def easy_game() -> GameConfig:
    return EASY_GAME


def half_right(prediction: str, golds: str | Iterable[str]) -> bool:
    """Call half of all answers right, whatever was asked, so that untrained attempts at a question differ."""
    return zlib.crc32(prediction.encode()) % 2 == 0


@pytest.fixture
def lenient_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Games are judged by `half_right`."""
    monkeypatch.setattr("ssp_env.game.game.exact_match", half_right)


@pytest.fixture
def strict_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call no answer right, not even one that was guessed by luck."""
    monkeypatch.setattr("ssp_env.game.game.exact_match", lambda prediction, golds: False)
