"""Verdicts that were given once need not be asked for again; least recently used out first."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from agents.judges_questions import VerdictKey


class VerdictCache:
    """Verdicts by judge, question, candidate and golds; may be shared by judges and threads.

    Unknown is never kept: it may be known the next time.

    Args:
        size: Most verdicts to keep, 0 or more.

    Raises:
        ValueError: If `size` is negative.
    """

    def __init__(self, size: int = 10_000) -> None:
        if size < 0:
            raise ValueError(f"size must be 0 or more, got {size}")
        self.size = size
        self._kept: OrderedDict[VerdictKey, bool] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        """Return the number of verdicts kept."""
        return len(self._kept)

    def get(self, key: VerdictKey) -> bool | None:
        """Return a verdict, or None if it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: VerdictKey, verdict: bool | None) -> None:
        """Store a verdict; unknown is none."""
        if verdict is None:
            return
        with self._lock:
            self._kept[key] = verdict
            self._kept.move_to_end(key)
            while len(self._kept) > self.size:
                self._kept.popitem(last=False)
