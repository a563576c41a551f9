"""What the package never does: run foreign code out of data, or write where an id of a document points."""

import ast
from pathlib import Path

import pytest

from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.builder import build_index
from ssp_env.search.tool import SearchTool

ROOT = Path(__file__).parents[1]
SOURCES = [path for package in ("ssp_env", "agents", "baselines") for path in (ROOT / package).rglob("*.py")]
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve"}
UNSAFE_FUNCTIONS = {"eval", "exec"}
# Arguments that may only be given with this value.
SAFE_ARGUMENTS = {"trust_remote_code": False, "allow_pickle": False, "shell": False, "weights_only": True}


def dangers(source):
    """What in a module could run code that comes with data."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] in UNSAFE_MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNSAFE_MODULES:
            yield node.module
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {word.arg: getattr(word.value, "value", ...) for word in node.keywords}
            if called in UNSAFE_FUNCTIONS or (called == "torch.load" and "weights_only" not in given):
                yield called
            yield from (name for name, safe in SAFE_ARGUMENTS.items() if given.get(name, safe) is not safe)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_data_is_run_as_code(path):
    assert [*dangers(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "eval(x)", "torch.load(x)",
     "torch.load(x, weights_only=False)", "np.load(x, allow_pickle=True)", "f(trust_remote_code=asked)",
     "run(x, shell=True)"],
)  # fmt: skip
def test_what_would_run_it_is_noticed(source):
    assert [*dangers(source)]


IDS = [
    "../../escaped",
    "/tmp/escaped",
    "..\\escaped",
    "a/../../escaped",
    "\x00",
    "con",
    "~",
    "file:///etc/passwd",
]


def test_an_id_is_never_a_path(tmp_path):
    passages = [Passage(name, name, "walnuts") for name in IDS]
    home = tmp_path / "inner" / "home"
    home.mkdir(parents=True)
    build_index(passages, home / "index", source="test")
    found = BM25Engine.open(home / "index").search(["walnuts"], 99)[0]
    assert sorted(hit.id for hit in found) == sorted(IDS)
    assert "walnuts" in SearchTool(BM25Engine.open(home / "index"))("walnuts")
    folders = [path for path in tmp_path.rglob("*") if home / "index" not in (path, *path.parents)]
    assert sorted(folders) == [home.parent, home]
    assert not Path("/tmp/escaped").exists()
