"""Against a real vLLM server of SmolLM2: set SSP_VLLM_URL to its address to run these.

Start it with `--dtype float32 --logprobs-mode processed_logprobs --max-model-len 2048` and
`VLLM_SERVER_DEV_MODE=1`.
"""

import asyncio
import os

import pytest

from agents import smollm2
from agents.sampling_params import SamplingParams
from agents.transformers_agent import TransformersAgent
from agents.vllm.errors import UnfitServer
from agents.vllm.served import VLLMServerAgent
from ssp_env.game import Message, View

URL = os.environ.get("SSP_VLLM_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="set SSP_VLLM_URL to the address of a vLLM server of SmolLM2")
ASKED = ("What is the capital of France?", "Name a colour.", "Write <search> blue whale </search> again.")


def view(text, game_id="g"):
    return View(game_id, "solver_0", "solve", (Message("user", text),), 1, 0)


def both(sampling):
    local = TransformersAgent.from_pretrained(smollm2.checkpoint(), dtype="float32", sampling=sampling)
    tokenizer = local.conversations.tokenizer
    return local, VLLMServerAgent(URL, tokenizer, sampling=sampling, require_logprobs=True, timeout=900.0)


def test_greedy_turns_are_the_same_tokens_with_the_same_logprobs():
    local, served = both(SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=16))
    views = [view(text, str(number)) for number, text in enumerate(ASKED)]
    for ours, theirs in zip(local.act_batch(views), served.blocking().act_batch(views), strict=True):
        assert (ours.token_ids, ours.context_ids) == (theirs.token_ids, theirs.context_ids)
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-2)


def test_one_seed_samples_one_turn_and_logprobs_are_at_its_temperature():
    local, served = both(SamplingParams(temperature=0.5, top_p=1.0, max_new_tokens=8, seed=3))
    first, again = (served.blocking().act_batch([view(ASKED[0])])[0] for _ in range(2))
    assert first.token_ids == again.token_ids
    import torch

    ids = torch.tensor([[*first.context_ids, *first.token_ids]])
    with torch.no_grad():
        logits = local.model(ids).logits[0, len(first.context_ids) - 1 : -1]
    expected = (logits / 0.5).log_softmax(-1).gather(-1, torch.tensor(first.token_ids)[:, None])[:, 0]
    assert first.logprobs == pytest.approx(expected.tolist(), abs=1e-2)


def test_new_weights_are_loaded_between_turns_and_recorded():
    _, served = both(SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=4))
    before = served.blocking().act_batch([view(ASKED[0])])[0]
    asyncio.run(served.update_weights(smollm2.checkpoint(), "step 1"))
    after = served.blocking().act_batch([view(ASKED[0])])[0]
    asyncio.run(served.update_weights(smollm2.checkpoint(), "initial"))
    assert (before.token_ids, before.weights_version) == (after.token_ids, "initial")
    assert after.weights_version == "step 1"


def test_a_wrong_name_of_the_model_is_a_clear_error():
    _, served = both(SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=4))
    with pytest.raises(UnfitServer, match="and no model 'nobody'"):
        VLLMServerAgent(URL, served.tokenizer, model="nobody").connect()
