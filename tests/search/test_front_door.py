"""`ssp_env.search` offers its names lazily, and needs no library of the game."""

import subprocess
import sys

import pytest

from ssp_env import search

SEARCH_WITHOUT_GAMES = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pettingzoo", "gymnasium", "torch", "tenacity", "faiss"}:
            raise ModuleNotFoundError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
from ssp_env.search import HybridEngine, Passage, SearchEngine, SimulatedEngine
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.tool import SearchTool

engine = BM25Engine([Passage("0", "Whale", "The blue whale is large."), Passage("1", "Panda", "It is red.")])
assert isinstance(engine, SearchEngine)
print(SearchTool(HybridEngine([engine]), layout="plain").respond("<search>whales</search>")[0].text)
"""


def test_engines_and_tool_work_where_gymnasium_and_pettingzoo_are_not_installed():
    done = subprocess.run([sys.executable, "-c", SEARCH_WITHOUT_GAMES], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("The blue whale is large.\n", "")


@pytest.mark.parametrize("name", search.__all__)
def test_every_name_can_be_imported(name):
    if name == "DenseEngine":
        pytest.importorskip("faiss", reason="needs faiss: pip install 'ssp-env[dense]'")
    assert getattr(search, name).__name__ == name
    assert name in dir(search)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"No ssp_env\.search attribute BM26Engine"):
        search.BM26Engine  # noqa: B018


def test_the_front_door_itself_loads_no_engine():
    code = "import sys, ssp_env.search; print([name for name in sys.modules if 'ssp_env.search.' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
