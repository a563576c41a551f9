"""Search for inputs that readers of foreign data do not stand: `python -m tests.fuzz.readers --minutes 60`.

A finding is printed and kept in `tests/fuzz/findings`, where the tests replay it; then this exits with 1.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.fuzz.search import Finding, keep, search_for
from tests.fuzz.targets import targets


def main() -> int:
    """Run and report."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz.readers", description=__doc__)
    options.add_argument("--minutes", type=float, default=1.0, help="for all targets together (default: 1)")
    options.add_argument("--target", action="append", choices=sorted(targets()), help="default: all of them")
    options.add_argument("--seed", type=int, help="default: the time, so that every run tries others")
    chosen = options.parse_args()
    seed = int(time.time()) if chosen.seed is None else chosen.seed
    names = chosen.target or list(targets())
    found = 0
    for name in names:
        tries: list[int] = []
        try:
            search_for(targets()[name], 60 * chosen.minutes / len(names), seed, tries.append)
        except Finding as finding:
            found += 1
            print(f"{name}: kept {keep(name, finding.data)}: {finding}")
            traceback.print_exception(finding.__cause__)
        print(f"{name}: {sum(tries):,} inputs, seed {seed}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
