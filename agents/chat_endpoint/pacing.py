"""Keeping to an amount per minute, over any event loop and thread."""

from __future__ import annotations

import threading
import time


class Pacer:
    """Spreads an amount evenly: what is sent must wait until what was sent before is paid off.

    In any minute, what begins after its first request adds up to at most `per_minute`. The usual limiters
    of asyncio belong to one event loop and take nothing back; here an estimate is corrected once the true
    amount is known.

    Args:
        per_minute: The amount: tokens, for instance.

    Raises:
        ValueError: If it is not above 0.
    """

    def __init__(self, per_minute: float) -> None:
        if not per_minute > 0:
            raise ValueError(f"a limit per minute must be above 0, got {per_minute}")
        self._seconds_each = 60 / per_minute
        self._free_at = 0.0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Pacer], tuple[float]]:
        return type(self), (60 / self._seconds_each,)

    def reserve(self, amount: float) -> float:
        """Take an amount and return the seconds to wait before it may be used."""
        now = time.monotonic()
        with self._lock:
            starts = max(now, self._free_at)
            self._free_at = starts + amount * self._seconds_each
        return starts - now

    def correct(self, amount: float) -> None:
        """Add to what was taken; an amount below 0 gives back."""
        with self._lock:
            self._free_at += amount * self._seconds_each
