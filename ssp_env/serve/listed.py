"""Which pages a server's searches have listed, so that no others are opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cachetools import LRUCache

from ssp_env.game.passage import PartId, Passage, listed_part

_MOST = 100_000


class ListedPages:
    """Remembers the pages that were listed last, 100,000 of them, by their ids as clients were shown them.

    Args:
        shown: How an id is written for clients.
    """

    def __init__(self, shown: Callable[[str], str] = str) -> None:
        self._shown = shown
        self._pages: LRUCache[str, PartId] = LRUCache(_MOST)

    def add(self, passages: Iterable[Passage]) -> None:
        """Remember the pages of passages that a search has found."""
        for passage in passages:
            part = PartId.parse(passage.id)
            self._pages[self._shown(part.page)] = part

    def find(self, reference: str) -> str | None:
        """Return the id of the passage that a client means, None if no search has listed its page."""
        part = listed_part(reference, self._pages)
        return None if part is None else str(part)
