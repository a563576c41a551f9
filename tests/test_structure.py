"""No module, no function and no package grows beyond what is read at once."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("ssp_env", "agents", "baselines", "benchmarks", "scripts")
MOST_LINES_OF_A_MODULE = 450
MOST_LINES_OF_A_FUNCTION = 60
MOST_ENTRIES_OF_THE_PACKAGE = 20


@pytest.mark.parametrize("folder", [*SOURCES, "tests"])
def test_no_module_is_too_long(folder):
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert lengths
    assert {path: length for path, length in lengths.items() if length > MOST_LINES_OF_A_MODULE} == {}


@pytest.mark.parametrize("folder", SOURCES)
def test_no_function_is_too_long(folder):
    lengths = {
        f"{path}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert lengths
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_FUNCTION} == {}


def test_the_package_has_at_most_20_entries():
    entries = [path.name for path in (ROOT / "ssp_env").iterdir() if path.name != "__pycache__"]
    assert "__init__.py" in entries
    assert len(entries) <= MOST_ENTRIES_OF_THE_PACKAGE, sorted(entries)
