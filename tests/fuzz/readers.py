"""Search for inputs that readers of foreign data do not stand: `python -m tests.fuzz.readers --minutes 60`.

A finding is printed and kept in `tests/fuzz/findings`, where the tests replay it; then this exits with 1.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.fuzz.search import Finding, keep, search_for
from tests.fuzz.targets import targets


def main() -> int:
    """Run and report."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz.readers", description=__doc__)
    options.add_argument("--minutes", type=float, default=1.0, help="for all targets together (default: 1)")
    options.add_argument("--target", action="append", choices=sorted(targets()), help="default: all of them")
    options.add_argument("--processes", type=int, default=1, help="targets at a time (default: 1)")
    options.add_argument("--seed", type=int, help="default: the time, so that every run tries others")
    chosen = options.parse_args()
    seed = int(time.time()) if chosen.seed is None else chosen.seed
    names = chosen.target or list(targets())
    # Each target has its share of the minutes, as if they ran one after the other.
    run = partial(run_target, seconds=60 * chosen.minutes / len(names), seed=seed)
    found = 0
    with ProcessPoolExecutor(chosen.processes) as pool:
        for stands, report in pool.map(run, names):
            found += not stands
            print(report, flush=True)
    return 1 if found else 0


def run_target(name: str, seconds: float, seed: int) -> tuple[bool, str]:
    """Search for inputs that a target does not stand; return whether there were none, and what to print."""
    tries: list[int] = []
    lines = []
    try:
        search_for(targets()[name], seconds, seed, tries.append)
    except Finding as finding:
        lines = [f"{name}: kept {keep(name, finding.data)}: {finding}"]
        lines += traceback.format_exception(finding.__cause__)
    return not lines, "\n".join([*lines, f"{name}: {sum(tries):,} inputs, seed {seed}"])


if __name__ == "__main__":
    sys.exit(main())
