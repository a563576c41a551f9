import sys
from importlib.util import find_spec

import pytest
import torch

from agents import lora
from agents.sampling_params import SamplingParams
from agents.transformers_agent import TransformersAgent
from tests.agents.chatty import QUESTION, TAGS, build_model, build_tokenizer, view_of

TOKENIZER = build_tokenizer(words=TAGS)
SAMPLING = SamplingParams(1.0, 1.0, 12)
PHASES = {"proposer": "propose", "solver": "solve", "reader": "verify"}

installed = pytest.mark.skipif(find_spec("peft") is None, reason="peft is missing: install the extra `lora`")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two adapters with random weights."""
    from peft import LoraConfig, get_peft_model

    made = {}
    for seed, name in enumerate(("first", "second.one")):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = LoraConfig(
                r=4, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False
            )
            made[name] = tmp_path_factory.mktemp("adapters") / name
            get_peft_model(build_model(len(TOKENIZER)), config).save_pretrained(made[name])
    return made


def agent_of(model, **options):
    return TransformersAgent(model, TOKENIZER, sampling=SAMPLING, **options)


def merged(folder):
    """The model with one adapter's weights added into its own."""
    from peft import PeftModel

    return PeftModel.from_pretrained(build_model(len(TOKENIZER)), str(folder)).merge_and_unload().eval()


def turns(agent, roles=tuple(PHASES), talk="talk"):
    return agent.act_batch([view_of(QUESTION, phase=PHASES[role], game_id=talk) for role in roles])


@installed
def test_every_role_speaks_like_a_model_with_its_adapter_merged(folders):
    agent = agent_of(
        build_model(len(TOKENIZER)),
        adapters={"proposer": folders["first"], "solver": folders["second.one"]},
    )
    expected = {
        "proposer": agent_of(merged(folders["first"])),
        "solver": agent_of(merged(folders["second.one"])),
        "reader": agent_of(build_model(len(TOKENIZER))),
    }
    # The same roles in one batch, and again: no role reads from the cache of another.
    for talk in ("one", "two"):
        for role, reply in zip(PHASES, turns(agent, talk=talk), strict=True):
            (alone,) = turns(expected[role], [role], talk)
            assert reply.token_ids == alone.token_ids
            assert reply.logprobs == pytest.approx(alone.logprobs, abs=1e-4)
    assert len({reply.token_ids for reply in turns(agent)}) == 3


@installed
def test_a_folder_named_twice_is_loaded_once(folders):
    model, names = lora.with_adapters(
        build_model(len(TOKENIZER)), {"proposer": folders["first"], "solver": folders["first"]}
    )
    assert names["proposer"] == names["solver"]
    assert list(model.peft_config) == [names["solver"]]


@installed
def test_adapters_of_a_model_are_known_by_name_and_stay_trainable(folders):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        build_model(len(TOKENIZER)),
        LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False),
        adapter_name="mine",
    )
    trained = {name for name, weights in model.named_parameters() if weights.requires_grad}
    agent = agent_of(model, adapters={"solver": "mine"})
    assert agent.model is model
    with_adapter, without = (turns(agent, [role])[0] for role in ("solver", "reader"))
    assert with_adapter.token_ids != without.token_ids
    assert trained == {name for name, weights in model.named_parameters() if weights.requires_grad}
    with pytest.raises(ValueError, match="got 'yours'; adapters of this model: mine"):
        agent_of(model, adapters={"solver": "yours"})


@installed
def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the adapter of the solver must be a folder with"):
        agent_of(build_model(len(TOKENIZER)), adapters={"solver": tmp_path})


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    monkeypatch.setattr(lora, "find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r"peft is not installed. Install it with: pip install 'ssp-env\[lora\]'"
    ):
        agent_of(build_model(len(TOKENIZER)), adapters={"solver": "folder"})
