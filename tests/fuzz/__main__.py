"""Play generated turns through parser, rules and game: `python -m tests.fuzz --turns 1000000`.

Exits with 1 if anything was raised or an action or reason never occurred.
"""

from __future__ import annotations

import argparse
import random
import sys
import traceback

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ssp_env.game import PROTOCOLS
from ssp_env.game.outcome import REASON_CODES
from tests.fuzz.games import ACTIONS, Tally, play_game
from tests.fuzz.texts import TextGenerator

SHOWN_TRACEBACKS = 3


def main() -> int:
    """Run and report."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--turns", type=int, default=100_000, help="turns to play (default: 100000)")
    options.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    options.add_argument("--longest", type=int, default=20_000, help="characters of the longest runs")
    chosen = options.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=110)
    tally, exceptions = fuzz(chosen.turns, chosen.seed, chosen.longest, console)
    console.print(_table(tally))
    counts = ", ".join(f"{name} {tally.reasons[name]:,}" for name in REASON_CODES)
    console.print(f"reasons: {counts}", highlight=False)
    notices = ", ".join(f"{name} {count:,}" for name, count in sorted(tally.notices.items()))
    console.print(f"notices: {notices}", highlight=False)
    unmet = tally.unmet()
    console.print(f"never met: {', '.join(unmet) or 'nothing'}", highlight=False)
    console.print(
        f"{tally.turns:,} turns in {tally.games:,} games of {len(PROTOCOLS)} protocols, seed {chosen.seed}: "
        f"{exceptions} exceptions",
        highlight=False,
    )
    return 1 if exceptions or unmet else 0


def fuzz(turns: int, seed: int, longest: int, console: Console) -> tuple[Tally, int]:
    """Play at least `turns` turns; whatever is raised is counted, and the first few are printed."""
    tally, exceptions, game = Tally(), 0, 0
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("turns", total=turns)
        while tally.turns < turns and exceptions < 100:
            rng = random.Random(f"{seed}/{game}")
            try:
                play_game(rng, TextGenerator(rng, longest), tally)
            except Exception:
                exceptions += 1
                if exceptions <= SHOWN_TRACEBACKS:
                    console.print(f"game {game} of seed {seed}:\n{traceback.format_exc()}", markup=False)
            game += 1
            if game % 500 == 0:
                progress.update(bar, completed=tally.turns)
    return tally, exceptions


def _table(tally: Tally) -> Table:
    table = Table(title="actions read, by protocol", title_justify="left")
    table.add_column("action", no_wrap=True)
    for protocol in PROTOCOLS:
        table.add_column(protocol, justify="right")
    for action in ACTIONS:
        table.add_row(action, *(f"{tally.actions[protocol, action]:,}" for protocol in PROTOCOLS))
    return table


if __name__ == "__main__":
    sys.exit(main())
