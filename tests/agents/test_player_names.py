"""Players by the names they have on the command line."""

import pytest

from agents.player_names import BACK_ENDS, PlayerOptions
from agents.sampling_params import SamplingParams
from agents.vllm.errors import NoServerLeft
from agents.vllm.served import VLLMServerAgent
from ssp_env.game import Message, View
from tests.agents.byte_tokenizer import byte_tokenizer
from tests.serve.running import process

OPTIONS = PlayerOptions(sampling=SamplingParams(temperature=0.0, max_new_tokens=60))


@pytest.fixture
def folder(tmp_path):
    byte_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_servers_by_name_play_with_the_tokenizer_of_their_model(folder):
    with process("-m", "tests.agents.fake_vllm", "--root", folder) as (_, url):
        for rest in (url, f"{url},http://127.0.0.1:9", f"{folder}@{url}/v1"):
            player, prompts, model, back_end = BACK_ENDS["vllm"].make(rest, OPTIONS)
            assert isinstance(player, VLLMServerAgent)
            assert prompts == "few_shot"  # no chat template
            # Only a server that was asked for its folder has told its name.
            assert (model, back_end) == (folder.name if "@" in rest else "whale", "vllm")
            asked = View("g", "solver_0", "solve", (Message("user", "Where?"),), 1, 0)
            (reply,) = player.blocking().act_batch([asked])
            assert reply.text == "I look. <search> blue whale </search>"


def test_a_model_folder_that_is_elsewhere_must_be_named():
    refused = pytest.raises(ValueError, match=r"vllm:FOLDER@URL.*/nowhere")
    with process("-m", "tests.agents.fake_vllm", "--root", "/nowhere") as (_, url), refused:
        BACK_ENDS["vllm"].make(url, OPTIONS)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"with a model and its tokenizer in the folder"):
        BACK_ENDS["vllm"].make(str(tmp_path), OPTIONS)


def test_without_any_server_it_is_said_which_were_tried():
    with pytest.raises(NoServerLeft, match=r"http://127\.0\.0\.1:9: ConnectError"):
        BACK_ENDS["vllm"].make("http://127.0.0.1:9", OPTIONS)
