"""Files that somebody has tampered with, as the fuzz targets make them: read, refused, or a fault."""

from __future__ import annotations

from tests.fuzz.search import Finding, search, tried
from tests.fuzz.targets import Target, targets

KINDS = ("records", "snapshots", "index", "data", "configs")


def tampered(kind: str, count: int, seed: int) -> tuple[int, list[str]]:
    """Give a reader files.

    Returns:
        How many it was given, and what it did not stand: an untyped error, a wrong result, or more than
        seconds of processor time.
    """
    target = targets()[kind]
    given, faults = 0, list[str]()

    def check(data: bytes) -> None:
        nonlocal given
        given += 1
        try:
            tried(target, data)
        except Finding as finding:
            faults.append(f"{kind}: {type(finding.__cause__).__name__}: {finding}")

    while given < count:
        search(Target(check, target.seeds, target.structured), count - given, seed)
        seed += 1
    return given, faults
