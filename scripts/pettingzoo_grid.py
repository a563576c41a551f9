"""Run the official PettingZoo tests over every configuration on several PettingZoo versions; print a table.

Each version gets a temporary virtual environment with ssp_env installed from this tree, without torch. The
exit status is 1 if any test fails or a version cannot be installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

VERSIONS = ("1.25.0", "1.26.1", "1.27.0")
ROOT = Path(__file__).parents[1]
GRID = ROOT / "tests" / "conformance" / "grid.py"

Results: TypeAlias = Mapping[str, Mapping[str, str]]
"""The error of each test by configuration and test; an empty string if the test passed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the grid on every version and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("versions", nargs="*", default=list(VERSIONS), help="PettingZoo versions")
    parser.add_argument("--cycles", type=int, default=100, help="cycles per test (default: 100)")
    options = parser.parse_args(arguments)
    failed = 0
    for version in options.versions:
        print(f"== PettingZoo {version}", flush=True)
        try:
            results = run_version(version, options.cycles)
        except subprocess.CalledProcessError as error:
            print(f"cannot run: {' '.join(map(str, error.cmd))}\n{error.stderr or ''}", file=sys.stderr)
            failed += 1
            continue
        print(table(version, results), flush=True)
        failures = failures_of(results)
        for name, detail in failures:
            print(f"\n-- {name} on PettingZoo {version}\n{detail}", file=sys.stderr)
        failed += len(failures)
    print("everything passed" if not failed else f"{failed} failed")
    return int(failed > 0)


def run_version(version: str, cycles: int) -> Results:
    """Install one PettingZoo version beside ssp_env and run the grid there.

    Raises:
        subprocess.CalledProcessError: If the installation or the grid itself fails.
    """
    with tempfile.TemporaryDirectory(prefix="pettingzoo-grid-") as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if os.name == "nt" else "bin") / "python"
        environment = {**os.environ, "SSP_ENV_ONLY": "1"}
        install = [str(python), "-m", "pip", "install", "--quiet", str(ROOT), f"pettingzoo=={version}"]
        subprocess.run(install, check=True, env=environment, stderr=subprocess.PIPE, text=True)
        # Run in the empty folder, so that the installed ssp_env is tested and not the source tree.
        command = [str(python), str(GRID), str(cycles)]
        done = subprocess.run(command, check=True, cwd=folder, capture_output=True, text=True)
        results: Results = json.loads(done.stdout.splitlines()[-1])
        return results


def table(version: str, results: Results) -> str:
    """Format the results as a table with a line per configuration and a column per test."""
    tests = list(dict.fromkeys(test for row in results.values() for test in row))
    title = f"PettingZoo {version}"
    first = max(map(len, [title, *results]))
    lines = ["  ".join([f"{title:{first}}", *tests])]
    for name, row in results.items():
        cells = [
            f"{'' if test not in row else 'FAIL' if row[test] else 'pass':{len(test)}}" for test in tests
        ]
        lines.append("  ".join([f"{name:{first}}", *cells]).rstrip())
    return "\n".join(lines)


def failures_of(results: Results) -> list[tuple[str, str]]:
    """Return the failed tests: the names of configuration and test, and the error."""
    return [
        (f"{configuration}: {test}", detail)
        for configuration, row in results.items()
        for test, detail in row.items()
        if detail
    ]


if __name__ == "__main__":
    sys.exit(main())
