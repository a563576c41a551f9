"""Speed of other libraries' two-player loops, where they are installed."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from time import process_time

TIC_TAC_TOE = (0, 1, 2, 4, 3, 5, 7, 6, 8)
"""Cells in the order of a game that ends in a draw."""

NEEDS = "not installed; pip install 'ssp-env[benchmark]'"


def textarena_turn_time(games: int) -> float:
    """Play TextArena's TicTacToe-v0 with its own two-player loop and scripted moves.

    Returns:
        CPU seconds of one turn, opening the games included.

    Raises:
        ImportError: If textarena is not installed.
    """
    import textarena

    started = process_time()
    for _ in range(games):
        env = textarena.make("TicTacToe-v0")
        env.reset(num_players=2, seed=0)
        done = False
        for cell in TIC_TAC_TOE:
            env.get_observation()
            done, _ = env.step(f"[{cell}]")
        if not done:
            raise RuntimeError("TicTacToe-v0 was expected to end after nine turns")
        env.close()
    return (process_time() - started) / (games * len(TIC_TAC_TOE))


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
