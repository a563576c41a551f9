"""Players by the names they have on the command line."""

import json
import sys
from typing import Any

import pytest

from agents.player_names import BACK_ENDS, PlayerOptions, model_of_run, player_by_name
from agents.players import Cast
from agents.sampling_params import SamplingParams
from agents.scripted import ScriptedPlayer
from agents.tiny_model import build_model, save
from agents.tiny_policy import TinyPolicy
from agents.vllm import in_process
from agents.vllm.errors import NoServerLeft
from agents.vllm.served import VLLMServerAgent
from ssp_env.game import PROTOCOLS, Message, View
from ssp_env.scenario import open_scenario
from tests.agents.byte_tokenizer import byte_tokenizer
from tests.agents.fake_vllm import serving
from tests.agents.tiny import SIZES, TOKENIZER
from tests.shell_files import language_model

OPTIONS = PlayerOptions(sampling=SamplingParams(temperature=0.0, max_new_tokens=60))


# -- objects of the user's own -----------------------------------------------------------------------------

MODULE = """
class Mine:
    def act(self, view):
        return "<answer> tavor </answer>"

class Terse(Mine):
    prompts = "terse"

class English(Mine):
    prompts = "english"

class Odd(Mine):
    prompts = "odd"

class Broken:
    def __init__(self):
        raise OSError("no weights")

def factory(size=3):
    return Mine()

def of_view(view):
    return "<answer> view </answer>"

async def of_messages(messages):
    return "<answer> messages </answer>"

here = Mine()
number = 7
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's own in the current folder."""
    (tmp_path / "own_agents.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_agents"
    sys.modules.pop("own_agents", None)


@pytest.mark.parametrize("name", ["Mine", "factory", "here", "of_view", "of_messages"])
def test_whatever_plays_is_a_player(own, name):
    cast = Cast(dict.fromkeys(["proposer", "solver"], f"{own}:{name}"))
    # The same name is the same object.
    assert cast.players["proposer"] is cast.players["solver"]
    assert hasattr(cast.players["solver"], "act")
    assert cast.sources["solver"] == (f"{own}:{name}", "Python")


@pytest.mark.parametrize(
    ("proposer", "solver", "prompts", "default", "style"),
    [
        ("strong", "Mine", None, "english", "terse"),  # what the others read
        ("Mine", "Mine", None, "english", "english"),  # what the world has
        ("Mine", "Mine", None, "terse", "terse"),
        ("Mine", "Mine", "few_shot", "terse", "few_shot"),  # what the options say
        ("English", "Mine", None, "terse", "english"),  # what one of them says
        ("Terse", "Mine", "english", "english", None),
        ("strong", "English", None, "terse", None),
        ("Terse", "weak", "english", "english", "terse"),
    ],
)
def test_all_players_of_a_game_read_prompts_of_one_style(own, proposer, solver, prompts, default, style):
    players = {
        role: f"{own}:{name}" if name[0].isupper() else name
        for role, name in {"proposer": proposer, "solver": solver}.items()
    }
    options = PlayerOptions(prompts=prompts)
    if style is None:
        with pytest.raises(ValueError, match=r"terse (game only|prompts), \w+ own_agents:\w+ does not"):
            Cast(players, options=options, default_prompts=default)
    else:
        assert Cast(players, options=options, default_prompts=default).prompts == style


def test_scripted_objects_read_terse_prompts_only():
    assert Cast({"solver": ScriptedPlayer()}).prompts == "terse"
    assert Cast({"solver": ScriptedPlayer()}, options=PlayerOptions(prompts="english")).prompts == "terse"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("own_agents:Nobody", r"solver 'own_agents:Nobody': the module own_agents has no attribute 'Nobody'"),
        ("no_such_module:Mine", r"solver 'no_such_module:Mine': there is no module no_such_module"),
        (
            "own_agents:number",
            r"solver 'own_agents:number': solver must be an agent with act.* got int",
        ),
        ("own_agents:Broken", r"solver 'own_agents:Broken': .*OSError.*no weights"),
        (
            "own_agents:Odd",
            r"'own_agents:Odd': the attribute `prompts` of a solver must be .* got 'odd'",
        ),
        (
            "own_agents",
            r"must be one of .* of your own as package\.module:object, got 'own_agents'",
        ),
        ("own_agents.Mine", r"^solver must be .*; did you mean own_agents:Mine, with a colon\?"),
        ("hopeles", r"^solver must be one of .*; did you mean 'hopeless'\?"),
    ],
)
def test_what_is_no_player_is_refused_with_its_name(own, name, problem):
    with pytest.raises(ValueError, match=problem):
        player_by_name("solver", name, OPTIONS)


def test_errors_call_a_role_as_the_options_say():
    with pytest.raises(ValueError, match=r"^--solver must be one of"):
        player_by_name("solver", "nobody", PlayerOptions(labels={"solver": "--solver"}))


def test_back_ends_and_folders_come_before_objects(own, tmp_path):
    (tmp_path / "chat.py").write_text(MODULE)
    made = player_by_name("solver", "chat:Mine", OPTIONS)
    assert made.back_end == "chat"
    (tmp_path / "own_agents:Mine").mkdir()
    with pytest.raises(ValueError, match="no model in the folder 'own_agents:Mine'"):
        player_by_name("solver", "own_agents:Mine", OPTIONS)


# -- vLLM --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    byte_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_servers_by_name_play_with_the_tokenizer_of_their_model(folder):
    with serving("--root", folder) as url:
        for rest in (url, f"{url},http://127.0.0.1:9", f"{folder}@{url}/v1"):
            made = BACK_ENDS["vllm"].make(rest, OPTIONS)
            player = made.player
            assert isinstance(player, VLLMServerAgent)
            assert made.prompts == "few_shot"  # no chat template
            # Only a server that was asked for its folder has told its name.
            assert (made.model, made.back_end) == (folder.name if "@" in rest else "whale", "vllm")
            asked = View("g", "solver_0", "solve", (Message("user", "Where?"),), 1, 0)
            (reply,) = player.blocking().act_batch([asked])
            assert reply.text == "I look. <search> blue whale </search>"


def test_a_model_folder_that_is_elsewhere_must_be_named():
    refused = pytest.raises(ValueError, match=r"vllm:FOLDER@URL.*/nowhere")
    with serving("--root", "/nowhere") as url, refused:
        BACK_ENDS["vllm"].make(url, OPTIONS)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"with a model and its tokenizer in the folder"):
        BACK_ENDS["vllm"].make(str(tmp_path), OPTIONS)


def test_a_training_run_stands_for_its_final_model(folder, tmp_path_factory, monkeypatch):
    run = tmp_path_factory.mktemp("run")
    (run / "config.json").write_text(json.dumps({"preset": "tiny", "game": {}, "warm_start": {}}))
    with pytest.raises(ValueError, match="has no final model yet: continue it with ssp train --resume"):
        BACK_ENDS["vllm"].make(str(run), OPTIONS)
    final = folder.rename(run / "final")
    with serving("--root", run) as url:
        for rest in (url, f"{run}@{url}"):
            made = BACK_ENDS["vllm"].make(rest, OPTIONS)
            assert isinstance(made.player, VLLMServerAgent)
            assert made.model == ("final" if "@" in rest else "whale")
    # An engine in this process would need vLLM.
    loaded = []
    monkeypatch.setattr(
        in_process, "VLLMEngineAgent", lambda where, tokenizer, **options: loaded.append(where)
    )
    made = BACK_ENDS["vllm"].make(str(run), OPTIONS)
    assert loaded == [final]
    assert (made.model, made.back_end) == (str(final), "vllm")


def test_without_any_server_it_is_said_which_were_tried():
    with pytest.raises(NoServerLeft, match=r"http://127\.0\.0\.1:9: ConnectError"):
        BACK_ENDS["vllm"].make("http://127.0.0.1:9", OPTIONS)


# -- training runs -----------------------------------------------------------------------------------------


@pytest.fixture
def run_folder(tmp_path):
    """A training run that has its warm start, and no final model yet."""
    (tmp_path / "config.json").write_text(json.dumps({"preset": "tiny", "game": {}, "warm_start": {}}))
    save(build_model(len(TOKENIZER), **SIZES), TOKENIZER, tmp_path / "warm-start")
    return tmp_path


def test_a_run_stands_for_its_final_model(run_folder):
    with pytest.raises(ValueError, match="has no final model yet: continue it with ssp train --resume"):
        player_by_name("solver", str(run_folder), OPTIONS)
    (run_folder / "warm-start").rename(run_folder / "final")
    assert isinstance(player_by_name("solver", str(run_folder), OPTIONS).player, TinyPolicy)


@pytest.fixture
def english_run(tmp_path):
    """A training run of a language model, which read bare prompts over English pages in Hermes' tags."""
    folder = tmp_path / "learnt"
    language_model(folder / "final" / "solver")
    game = {"prompts": "terse", "protocol": "hermes"}
    rollout = {"rendering": "chat"}
    (folder / "config.json").write_text(
        json.dumps({"preset": "smollm2", "game": game, "warm_start": {}, "rollout": rollout})
    )
    return folder


def test_a_model_of_a_run_is_shown_what_it_was_shown_in_training(english_run):
    for name in (english_run, english_run / "final", english_run / "final" / "solver"):
        cast = Cast({"solver": str(name)})
        scenario = cast.in_scenario(open_scenario("small"))
        assert (scenario.rules.prompts, scenario.rules.protocol) == ("terse", "hermes")
        player: Any = cast.players["solver"]
        assert player.conversations.rendering == "chat"
    told = Cast({"solver": str(name)}, options=PlayerOptions(prompts="few_shot"))
    rules = told.in_scenario(open_scenario("small")).rules
    assert (rules.prompts, rules.protocol) == ("few_shot", "default")
    player = told.players["solver"]
    assert player.conversations.rendering == "plain"
    spoken = Cast({"solver": str(name)}, options=PlayerOptions(protocol="default"))
    assert spoken.in_scenario(open_scenario("small")).rules.protocol == "default"


def test_whoever_plays_with_a_model_of_a_run_reads_and_speaks_as_it_does(english_run, tmp_path):
    language_model(tmp_path / "other", 1)
    players = {"proposer": str(tmp_path / "other"), "solver": str(english_run)}
    with pytest.raises(
        ValueError, match=r"solver .*learnt reads terse prompts, proposer .*other does not: choose"
    ):
        Cast(players)
    with pytest.raises(ValueError, match=r"one protocol: .*learnt speaks hermes.*; choose one with --rule"):
        Cast(players, options=PlayerOptions(prompts="terse"))
    cast = Cast(players, options=PlayerOptions(prompts="terse", protocol="hermes"))
    assert (cast.prompts, cast.protocol) == ("terse", "hermes")
    with_person = Cast({"proposer": "human", "solver": str(english_run)})
    assert with_person.players["proposer"]._protocol == PROTOCOLS["hermes"]


def test_players_that_know_the_words_of_terse_worlds_play_nowhere_else(run_folder):
    for players in ({"solver": "weak"}, {"solver": str(run_folder / "warm-start")}):
        cast = Cast(players)
        assert cast.in_scenario(open_scenario("tiny")).rules == open_scenario("tiny").rules
        with pytest.raises(ValueError, match="can read terse worlds only: choose the world 'tiny'"):
            cast.in_scenario(open_scenario("small"))


def test_only_a_run_is_taken_for_one(run_folder):
    warm_start = run_folder / "warm-start"
    assert model_of_run(run_folder, "warm-start") == warm_start
    assert model_of_run(warm_start, "warm-start") == warm_start
    with pytest.raises(ValueError, match="has no best model yet"):
        model_of_run(run_folder / "best")
    # A model has a config.json of its own.
    assert model_of_run(warm_start) == warm_start
    assert model_of_run(run_folder / "nowhere") == run_folder / "nowhere"
