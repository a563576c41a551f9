"""Examples with the libraries of others learn: each is run as docs/environments.md says."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest

from baselines.suite.entries import read_entry
from baselines.suite.results import differences
from baselines.suite.runs import learn
from baselines.suite.tasks import LEARN, LearnTask
from tests.markdown import ROOT

LIBRARIES = {
    "sb3_ppo": "stable_baselines3",
    "sb3_maskable_ppo": "sb3_contrib",
    "torchrl_ppo": "torchrl",
    "tianshou_ppo": "tianshou",
    "rllib_self_play": "ray",
}


def margin(name):
    """By how much an example must be above random actions; two sides that learn at once take longer."""
    return 0.1 if name == "rllib_self_play" else 0.4


@pytest.mark.parametrize("name", LIBRARIES)
def test_an_example_learns_above_the_floor_of_random_actions(name):
    if importlib.util.find_spec(LIBRARIES[name]) is None:
        pytest.skip(f"needs {LIBRARIES[name]}: make examples")
    random, trained = figures(run(name))
    assert all(after > before + margin(name) for before, after in zip(random, trained, strict=True))


def test_the_entry_of_sb3_learns_within_its_tokens_and_again_to_the_last_digit(tmp_path, monkeypatch):
    if importlib.util.find_spec("stable_baselines3") is None:
        pytest.skip("needs stable_baselines3: make examples")
    task = LearnTask("Few questions.", {"hops": [1], "evaluation": {"questions": 60}})
    monkeypatch.setitem(LEARN, "two-hops", task)
    entry = read_entry(ROOT / "examples" / "bench_sb3_ppo")
    first, again = (learn(entry, "two-hops", 0, 20_000, tmp_path) for _ in range(2))
    assert first["score"] > 0.15 and 20_000 <= first["outcome"]["tokens"] < 20_500
    assert differences(first, again) == []


@pytest.mark.parametrize("name", LIBRARIES)
def test_an_example_is_under_forty_lines(name):
    lines = (ROOT / "examples" / f"{name}.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) < 40


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_stands_beside_an_example_is_what_the_page_says_and_far_above_the_floor(name):
    shown = (ROOT / "examples" / "README.md").read_text().partition(f"$ python examples/{name}.py\n")[2]
    random, trained = figures(shown.partition("```")[0])
    assert all(after > before + margin(name) for before, after in zip(random, trained, strict=True))
    page = (ROOT / "docs" / "environments.md").read_text().splitlines()
    (row,) = [line for line in page if line.startswith(f"| `python examples/{name}.py`")]
    cells = [[float(number) for number in re.findall(r"\d?\.\d{3}", cell)] for cell in row.split("|")[-3:-1]]
    assert cells == [random, trained]


def run(name):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    environment["RAY_raylet_start_wait_time_s"] = "300"
    path = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(path)
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def figures(printed):
    """The figures after `random actions:` and those after `after training:`."""
    lines = dict(re.findall(r"^(random actions|after training): (.*)$", printed, re.MULTILINE))
    return [[float(figure) for figure in re.findall(r"\d\.\d+", lines[name])] for name in lines]


def test_the_figures_of_an_example_are_read_in_order():
    assert figures("noise\nrandom actions: 0.297 of x, 0.090 of y\nafter training: 1.000 of x, 0.9 of y") == [
        [0.297, 0.090],
        [1.0, 0.9],
    ]
