"""What an episode of the search tool may use up."""

from __future__ import annotations

from threading import Lock


class SearchBudget:
    """A counter that threads may share.

    Args:
        limit: Searches, or opened parts of pages, that are allowed, 0 or more; None is no limit.
        name: Name of the limit, for messages.

    Raises:
        ValueError: If the limit is negative.
    """

    def __init__(self, limit: int | None, name: str = "max_searches") -> None:
        if limit is not None and limit < 0:
            raise ValueError(f"{name} must be 0 or more, got {limit}")
        self.limit = limit
        self._used = 0
        self._lock = Lock()

    def __getstate__(self) -> dict[str, int | None]:
        return {"limit": self.limit, "_used": self._used}

    def __setstate__(self, state: dict[str, int | None]) -> None:
        self.__dict__.update(state, _lock=Lock())

    @property
    def left(self) -> int | None:
        """Searches left; None without a limit."""
        return None if self.limit is None else self.limit - self._used

    def take(self) -> bool:
        """Take one search, or return False if none is left."""
        with self._lock:
            if self.limit is not None and self._used >= self.limit:
                return False
            self._used += 1
            return True

    def give_back(self) -> None:
        """Return a search that gave no result."""
        with self._lock:
            self._used -= 1
