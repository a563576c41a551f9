"""The official PettingZoo tests over a grid of configurations: protocols, 1 and 5 attempts, both readers.

Sampled actions are mostly proper ones, so that the tests reach the reader, the solvers and the pay day and do
not end with the proposer's noise. `python tests/conformance/grid.py 100` runs the grid on the installed
packages with 100 cycles a test and prints the results as JSON; `scripts/pettingzoo_grid.py` makes a table of
several versions.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pettingzoo.test import (
    api_test,
    parallel_api_test,
    parallel_seed_test,
    performance_benchmark,
    render_test,
    seed_test,
)

from ssp_env import numeric_search_self_play_v0, search_self_play_v0
from ssp_env.envs.spaces import UnicodeText
from ssp_env.game import PROTOCOLS, GameConfig, Protocol, Task, View
from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.testing import check_parallel_seeding

ATTEMPTS = (1, 5)
READERS = ("solver", "frozen")
PAGES = [
    Passage("belin", "Belin", "Belin has her home in Corun."),
    Passage("corun", "Corun", "The mayor of Corun is Tavor."),
    *(Passage(f"other-{number}", f"Other {number}", "Nobody lives here.") for number in range(6)),
]


@dataclass(frozen=True)
class Configuration:
    """One row of the grid."""

    protocol: str
    attempts: int
    reader: str

    def __str__(self) -> str:
        return f"{self.protocol}, K={self.attempts}, reader {self.reader}"


CONFIGURATIONS = [
    Configuration(protocol, attempts, reader)
    for protocol in PROTOCOLS
    for attempts in ATTEMPTS
    for reader in READERS
]


class PlausibleText(UnicodeText):
    """Samples what an agent might write: mostly proper actions of a protocol, now and then noise."""

    def __init__(self, max_length: int, protocol: Protocol, agent: str) -> None:
        super().__init__(max_length)
        searches = [protocol.write("search", query).text for query in ("belin", "mayor of corun")]
        question = protocol.wrap(protocol.question, "Who is the mayor of the home of Belin?")
        answers = [protocol.wrap(protocol.answer, name) for name in ("Tavor", "Tavor", "Tavor", "Belin")]
        self._lines = [*searches, *([question] * 4 if agent == "proposer_0" else answers)]

    def sample(self, *arguments: Any, **keywords: Any) -> str:
        """Sample an action."""
        choice = int(self.np_random.integers(len(self._lines) + 1))
        return super().sample() if choice == len(self._lines) else self._lines[choice]


def make(face: Callable[..., Any], configuration: Configuration, **arguments: Any) -> Any:
    """Make an environment of the grid with either face."""
    protocol = PROTOCOLS[configuration.protocol]

    def frozen(view: View) -> str:
        return protocol.wrap(protocol.answer, "Tavor")

    env = face(
        tasks=[Task("Tavor", hops=2)],
        search=BM25Engine(PAGES),
        config=GameConfig(
            protocol=configuration.protocol,
            attempts=configuration.attempts,
            min_searches=0,
            min_question_words=0,
            noise_passages=2,
        ),
        reader="solver" if configuration.reader == "solver" else frozen,
        max_action_chars=96,
        **arguments,
    )
    for spaces in {
        id(spaces): spaces for spaces in (env.action_spaces, env.unwrapped.action_spaces)
    }.values():
        spaces.update({agent: PlausibleText(96, protocol, agent) for agent in spaces})
    return env


def official_tests(configuration: Configuration, cycles: int) -> Mapping[str, Callable[[], None]]:
    """The tests of one row, by name; `cycles` is what PettingZoo calls so."""
    return official_tests_of(
        partial(make, search_self_play_v0.env, configuration),
        partial(make, search_self_play_v0.parallel_env, configuration),
        cycles,
    )


def numeric_tests(cycles: int) -> Mapping[str, Callable[[], None]]:
    """The same tests of the numeric face."""
    return official_tests_of(
        numeric_search_self_play_v0.env, numeric_search_self_play_v0.parallel_env, cycles
    )


def official_tests_of(
    aec: Callable[[], Any], parallel: Callable[[], Any], cycles: int
) -> Mapping[str, Callable[[], None]]:
    """The official tests of two faces."""
    return {
        "api_test": lambda: api_test(aec(), num_cycles=cycles),
        "parallel_api_test": lambda: parallel_api_test(parallel(), num_cycles=cycles),
        "seed_test": lambda: seed_test(aec, num_cycles=cycles),
        "parallel_seed_test": lambda: parallel_seed_test(parallel, num_cycles=cycles),
        "check_parallel_seeding": lambda: check_parallel_seeding(parallel, max_steps=cycles),
        "render_test": lambda: render_test(aec),
    }


def failure(test: Callable[[], None]) -> str:
    """Run a test and return what it raised, "" if nothing; warnings count, but for the ones about text."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Observation is not a NumPy array")
        warnings.filterwarnings("ignore", "(Observation|Action) space for each agent probably should be")
        try:
            test()
        except Exception:
            return traceback.format_exc()
    return ""


def benchmark() -> None:
    """Run the official benchmark, 5 seconds of random play in the embedded world."""
    performance_benchmark(search_self_play_v0.env())


def run(cycles: int) -> dict[str, dict[str, str]]:
    """Run the grid and the benchmark; return each test's failure, "" if it passed, by row and test."""
    results = {
        str(configuration): {
            name: failure(test) for name, test in official_tests(configuration, cycles).items()
        }
        for configuration in CONFIGURATIONS
    }
    results["numbers"] = {name: failure(test) for name, test in numeric_tests(cycles).items()}
    results["embedded world"] = {"performance_benchmark": failure(benchmark)}
    return results


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
