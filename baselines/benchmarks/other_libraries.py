"""Turns per second of other libraries' two-player loops, where they are installed."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from importlib.metadata import version
from time import perf_counter

TIC_TAC_TOE = (0, 1, 2, 4, 3, 5, 7, 6, 8)
"""Cells in the order of a game that ends in a draw."""

NEEDS = "not installed; pip install 'ssp-env[benchmark]'"


def textarena_turns_per_second(seconds: float) -> tuple[float, str]:
    """Play TextArena's TicTacToe-v0 with its own two-player loop and two scripted players.

    Returns:
        Turns per second, making and resetting the environment included, and the version.

    Raises:
        ImportError: If textarena is not installed.
    """
    import textarena

    turns, started = 0, perf_counter()
    while perf_counter() - started < seconds:
        env = textarena.make("TicTacToe-v0")
        env.reset(num_players=2, seed=0)
        done = False
        for cell in TIC_TAC_TOE:
            env.get_observation()
            done, _ = env.step(f"[{cell}]")
            turns += 1
        if not done:
            raise RuntimeError("TicTacToe-v0 was expected to end after nine turns")
        env.close()
    return turns / (perf_counter() - started), f"textarena {version('textarena')}"


def pettingzoo_turns_per_second(make: Callable[[], object]) -> float:
    """Run PettingZoo's own performance benchmark, which takes 5 seconds, and return what it prints."""
    from pettingzoo.test import performance_benchmark

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        performance_benchmark(make())
    found = re.search(r"([\d.]+) turns per second", printed.getvalue())
    if found is None:
        raise RuntimeError(f"expected turns per second, PettingZoo printed {printed.getvalue()!r}")
    return float(found[1])


def tic_tac_toe() -> object:
    """PettingZoo's tictactoe_v3.

    Raises:
        ImportError: If `pettingzoo[classic]` is not installed.
    """
    from pettingzoo.classic import tictactoe_v3

    return tictactoe_v3.env()
