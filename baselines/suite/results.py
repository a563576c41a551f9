"""Results of SSP-Bench as files: what was run and where, what came out, and a checksum over both."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from baselines.suite.entries import Entry
from baselines.suite.tasks import SUITE_VERSION
from ssp_env import __version__
from ssp_env.worlds.graph import WORLD_VERSION

NEEDED = (
    "suite",
    "worlds",
    "track",
    "task",
    "entry",
    "seed",
    "budget",
    "score",
    "outcome",
    "where",
    "checksum",
)
REPRODUCIBLE = ("score", "outcome")
"""What a repetition must give again, to the last digit."""


class BadResult(ValueError):
    """A results file cannot be used; the message names it and says why."""


def result(
    entry: Entry, track: str, task: str, seed: int, budget: int, score: float, outcome: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a result as plain data.

    Args:
        entry: Who took part.
        track: `learn` or `play`.
        task: Name of the task.
        seed: Seed of the run.
        budget: Tokens, sampled and trained together; 0 in the track `play`.
        score: From 0 to 1, the higher the better.
        outcome: The figures that the score is made of, and hashes of what was learnt.
    """
    data = {
        "suite": SUITE_VERSION,
        "worlds": WORLD_VERSION,
        "track": track,
        "task": task,
        "entry": {
            "name": entry.name,
            "about": entry.about,
            "requires": list(entry.requires),
            "solver": dict(entry.solver),
            "proposer": dict(entry.proposer),
            "player": entry.player,
            "trainer": entry.trainer,
            "digest": entry.digest(),
        },
        "seed": seed,
        "budget": budget,
        "score": score,
        "outcome": dict(outcome),
        "where": hardware(),
    }
    return {**data, "checksum": checksum(data)}


def hardware() -> dict[str, Any]:
    """Return what a result was computed on."""
    import torch

    return {
        "package": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def checksum(data: Mapping[str, Any]) -> str:
    """Return the hash of a result without its own `checksum`."""
    kept = {key: value for key, value in data.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def file_of(folder: Path, track: str, task: str, seed: int, budget: int) -> Path:
    """Return where an entry's result is kept."""
    size = f"-{budget}" if budget else ""
    return folder / "results" / f"{track}-{task}{size}-seed{seed}.json"


def write_result(path: Path, data: Mapping[str, Any]) -> None:
    """Write a result aside and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)


def read_result(path: Path) -> dict[str, Any]:
    """Read a result.

    Raises:
        BadResult: If the file is none, was changed after it was written, or is of another version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadResult(f"{path} cannot be read as JSON: {error}") from error
    missing = [key for key in NEEDED if not isinstance(data, dict) or key not in data]
    if missing:
        raise BadResult(f"{path} is no result of SSP-Bench: it lacks {', '.join(missing)}")
    if data["checksum"] != checksum(data):
        raise BadResult(
            f"{path} was changed after it was written: its checksum does not fit; run the task again"
        )
    if (data["suite"], data["worlds"]) != (SUITE_VERSION, WORLD_VERSION):
        raise BadResult(
            f"{path} is of suite {data['suite']} and worlds {data['worlds']}, expected {SUITE_VERSION} and "
            f"{WORLD_VERSION}: results of different versions are not compared"
        )
    return dict(data)


def read_results(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """Read the results of entries, in the order of their names.

    Raises:
        BadResult: If one cannot be used, or there is none.
    """
    given = list(folders)
    paths = [path for folder in given for path in sorted(folder.rglob("results/*.json"))]
    if not paths:
        where = ", ".join(map(str, given))
        raise BadResult(f"there are no results yet in {where}: ssp bench run ENTRY writes them")
    return [read_result(path) for path in paths]


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Say where a repetition differs from a result; nothing if it is equal to the last digit.

    >>> differences({"score": 0.5, "outcome": {"a": 1}}, {"score": 0.5, "outcome": {"a": 2}})
    ['outcome.a: 1 became 2']
    """
    found = []
    for key in REPRODUCIBLE:
        old, new = first[key], second[key]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            names = sorted({*old, *new})
            found += [
                f"{key}.{name}: {old.get(name)} became {new.get(name)}"
                for name in names
                if old.get(name) != new.get(name)
            ]
        elif old != new:
            found.append(f"{key}: {old} became {new}")
    return found
