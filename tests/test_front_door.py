"""`import ssp_env` is light, and offers what people need."""

import importlib
import inspect
import subprocess
import sys

import pytest

import ssp_env
from ssp_env import search_self_play_v0


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_importing_it_loads_no_library_that_takes_long():
    heavy = ("torch", "transformers", "gymnasium", "pettingzoo", "numpy", "tantivy", "httpx")
    assert run(f"import sys, ssp_env; print([name for name in {heavy} if name in sys.modules])") == "[]"


@pytest.mark.parametrize(
    "first", ["import gymnasium, pettingzoo; import ssp_env", "import ssp_env; import gymnasium, pettingzoo"]
)
def test_environments_are_found_by_name_whatever_is_imported_first(first):
    pytest.importorskip("pettingzoo.env_registry", reason="PettingZoo has a registry from version 1.27 on")
    made = (
        "print(gymnasium.make('SearchSelfPlay/Solver-v0').unwrapped.__class__.__name__, "
        "pettingzoo.make('aec', 'ssp/search_self_play-v0'), "
        "pettingzoo.make('parallel', 'ssp/search_self_play-v0'), "
        "pettingzoo.make('aec', 'ssp/numeric_search_self_play-v0'), "
        "pettingzoo.make('parallel', 'ssp/numeric_search_self_play-v0'))"
    )
    both = "search_self_play_v0 search_self_play_v0 numeric_search_self_play_v0 numeric_search_self_play_v0"
    assert run(f"{first}; {made}") == f"SolverEnv {both}"


@pytest.mark.parametrize("package", ["ssp_env", "ssp_env.envs", "ssp_env.search", "agents"])
def test_every_name_a_package_offers_is_there(package):
    door = importlib.import_module(package)
    assert len(door.__all__) > 5
    for name in door.__all__:
        assert getattr(door, name).__name__.rpartition(".")[2] == name
        assert name in dir(door)


def test_a_name_that_is_not_there_is_an_attribute_error():
    assert ssp_env.Game is __import__("ssp_env.game").game.Game
    with pytest.raises(AttributeError, match="No ssp_env attribute Gmae"):
        _ = ssp_env.Gmae


@pytest.mark.parametrize("make", [search_self_play_v0.env, search_self_play_v0.parallel_env])
def test_environments_show_the_arguments_they_take(make):
    shown = inspect.signature(make).parameters
    assert shown == inspect.signature(search_self_play_v0.raw_env).parameters
    assert {"tasks", "search", "reader", "render_mode"} <= shown.keys()
    with pytest.raises(TypeError, match="unexpected keyword argument 'taks'"):
        make(taks=[])
