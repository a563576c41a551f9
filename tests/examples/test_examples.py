"""The examples do what they say they show."""

import importlib.util
import os
import runpy

import numpy as np
import pytest

from tests.markdown import ROOT


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MEMORISING, TABULAR = example("memorising"), example("tabular_reinforce")


def test_a_table_of_answers_solves_one_world_and_no_other():
    assert MEMORISING.solved("SearchSelfPlay/Solver-v0", 900, 100) > 0.95
    assert MEMORISING.solved("SearchSelfPlay/SolverHeldout-v1", 120, 60) < 0.1


def test_a_table_of_nine_numbers_learns_to_search_in_worlds_it_has_not_seen():
    assert TABULAR.evaluate(np.zeros((3, 3)), 40) < 0.3
    table = TABULAR.train(500, worlds=40)
    assert TABULAR.evaluate(table, 60) > 0.9
    assert np.array_equal(TABULAR.train(60, worlds=20), TABULAR.train(60, worlds=20))


@pytest.mark.parametrize("name", ["own_agent", "search_tool", "memorising", "tabular_reinforce"])
def test_an_example_prints_what_stands_beside_it(name, capsys):
    if name in ("memorising", "tabular_reinforce") and "SSP_EXAMPLES" not in os.environ:
        pytest.skip("takes a minute: make examples")
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    shown = (ROOT / "examples" / "README.md").read_text().partition(f"$ python examples/{name}.py\n")[2]
    assert capsys.readouterr().out == shown.partition("```")[0] != ""


@pytest.mark.parametrize("name", ["memorising", "own_agent", "search_tool", "tabular_reinforce"])
def test_an_example_can_be_read_in_a_minute(name):
    lines = (ROOT / "examples" / f"{name}.py").read_text().splitlines()
    assert len(lines) <= 75
