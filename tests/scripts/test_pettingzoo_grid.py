"""The command that runs the grid on several PettingZoo versions: its table, its errors, its exit status."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "pettingzoo_grid.py"
spec = importlib.util.spec_from_file_location("pettingzoo_grid", SCRIPT)
pettingzoo_grid = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pettingzoo_grid)

GOOD = {"default": {"api_test": "", "seed_test": ""}, "embedded": {"benchmark": ""}}
BAD = {
    "default": {"api_test": "", "seed_test": "AssertionError: Incorrect info"},
    "embedded": {"benchmark": ""},
}


@pytest.fixture
def versions(monkeypatch):
    """Results by version, instead of those of an installation."""
    results = {}
    asked = []

    def run_version(version, cycles):
        asked.append((version, cycles))
        if isinstance(results[version], Exception):
            raise results[version]
        return results[version]

    monkeypatch.setattr(pettingzoo_grid, "run_version", run_version)
    return results, asked


def test_the_table_has_a_line_per_configuration_and_a_column_per_test():
    assert pettingzoo_grid.table("1.27.0", BAD).splitlines() == [
        "PettingZoo 1.27.0  api_test  seed_test  benchmark",
        "default            pass      FAIL",
        "embedded                                pass",
    ]


def test_three_versions_are_tested_and_all_must_pass(versions, capsys):
    results, asked = versions
    results.update(dict.fromkeys(pettingzoo_grid.VERSIONS, GOOD))
    assert pettingzoo_grid.main([]) == 0
    assert asked == [("1.25.0", 100), ("1.26.1", 100), ("1.27.0", 100)]
    assert "everything passed" in capsys.readouterr().out


def test_a_failure_is_shown_and_fails_the_command(versions, capsys):
    results, asked = versions
    results.update({"1.25.0": GOOD, "1.27.0": BAD})
    assert pettingzoo_grid.main(["1.27.0", "1.25.0", "--cycles", "3"]) == 1
    assert asked == [("1.27.0", 3), ("1.25.0", 3)]
    printed = capsys.readouterr()
    assert "1 failed" in printed.out
    assert "default: seed_test on PettingZoo 1.27.0\nAssertionError: Incorrect info" in printed.err


def test_a_version_that_cannot_be_installed_fails_the_command(versions, capsys):
    results, _ = versions
    refused = subprocess.CalledProcessError(1, ["pip", "install"], stderr="no matching distribution")
    results.update({"0.0.1": refused, "1.27.0": GOOD})
    assert pettingzoo_grid.main(["0.0.1", "1.27.0"]) == 1
    printed = capsys.readouterr()
    assert "no matching distribution" in printed.err
    assert "PettingZoo 1.27.0" in printed.out
