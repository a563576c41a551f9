"""Searches for inputs that a target does not stand: a bounded number of examples, or for some minutes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, given, settings

from tests.fuzz.inputs import inputs
from tests.fuzz.targets import MAX_BYTES, Target

FINDINGS = Path(__file__).parent / "findings"
"""Inputs that were found once, by target; the tests replay them."""
MAX_SECONDS = 5.0
"""Processor time for one input; ordinary ones take milliseconds."""


class Finding(Exception):
    """An input that a target does not stand.

    Attributes:
        data: The input, as small as it was made.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(f"{data[:200]!r} ({len(data):,} bytes)")
        self.data = data


def tried(target: Target, data: bytes) -> None:
    """Try one input.

    Raises:
        Finding: If the target raises what it should not, or takes long; the cause says which.
    """
    started = time.thread_time()
    try:
        target.check(data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise Finding(data) from error
    if (seconds := time.thread_time() - started) > MAX_SECONDS:
        raise Finding(data) from TimeoutError(f"{seconds:.1f} s")


def search(target: Target, examples: int, seed: int) -> None:
    """Try examples; the same ones for the same seed.

    Raises:
        Finding: For the first input that the target does not stand, made small.
    """

    @hypothesis.seed(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=[*HealthCheck],
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @given(inputs(target.seeds, target.structured))
    def each(data: bytes) -> None:
        if len(data) <= MAX_BYTES:
            tried(target, data)

    each()


def search_for(target: Target, seconds: float, seed: int, on_round: Callable[[int], object]) -> None:
    """Search for some time, in rounds of other examples.

    Raises:
        Finding: As `search` does.
    """
    until, examples = time.monotonic() + seconds, 200
    while time.monotonic() < until:
        search(target, examples, seed)
        on_round(examples)
        seed += 1


def kept(name: str) -> Iterator[bytes]:
    """Yield the inputs that were found for a target."""
    for path in sorted((FINDINGS / name).glob("*.bin")):
        yield path.read_bytes()


def keep(name: str, data: bytes) -> Path:
    """Keep an input, so that the tests replay it."""
    path = FINDINGS / name / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
