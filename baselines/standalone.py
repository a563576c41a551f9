"""Runs `ssp train` with one algorithm: `python -m baselines.ppo --preset tiny --role solver`."""

from __future__ import annotations

import sys


def main(algorithm: str) -> None:
    """Train one role with an algorithm while the other stays frozen, or both without `--role`.

    Everything else on the command line is an option of `ssp train`.
    """
    from ssp_env.cli import main as ssp

    arguments = sys.argv[1:]
    role = ""
    if "--role" in arguments:
        place = arguments.index("--role")
        role = "".join(arguments[place + 1 : place + 2])
        del arguments[place : place + 2]
        if role not in ("solver", "proposer"):
            sys.exit(f"--role must be solver or proposer, or be left out for both; got {role!r}")
    chosen = {name: algorithm if role in ("", name) else "frozen" for name in ("solver", "proposer")}
    options = [part for name, value in chosen.items() for part in (f"--{name}", value)]
    sys.argv = ["ssp", "train", *options, *arguments]
    ssp()
