"""KV caches of conversations between their turns: shared prefixes are kept once, the least used go first."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.kv_batch import Pieces, Segment

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Entry:
    adapter: str | None
    ids: Ids
    pieces: Pieces


class KVStore:
    """Finds the longest known beginning of a prompt.

    Keys and values depend on the tokens up to theirs and on the adapter alone, so that any conversation may
    go on from any other's beginning.

    Args:
        max_tokens: Most tokens kept; 0 keeps nothing.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._uses: Counter[Segment] = Counter()
        self.tokens = 0

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self._uses.clear()
        self.tokens = 0

    def longest_prefix(self, key: Hashable, adapter: str | None, ids: Ids) -> Pieces:
        """Return what is known of the beginning of `ids`, leaving at least its last token.

        Args:
            key: The conversation, which is looked at first.
            adapter: Name of the LoRA adapter that reads.
            ids: The prompt.
        """
        own = self._entries.get(key)
        if own is not None and own.adapter == adapter:
            self._entries.move_to_end(key)
            if common_length(own.ids, ids) == len(own.ids):
                return _cut(own.pieces, len(ids) - 1)
        best, longest = None, 0
        for entry in self._entries.values():
            if entry.adapter == adapter and (length := common_length(entry.ids, ids)) > longest:
                best, longest = entry, length
        return _cut(best.pieces, min(longest, len(ids) - 1)) if best else ()

    def put(self, key: Hashable, adapter: str | None, ids: Ids, pieces: Pieces) -> None:
        """Keep a conversation in place of what was kept under its key; the least used go if need be."""
        self.drop(key)
        self._entries[key] = _Entry(adapter, ids, pieces)
        for segment, _ in pieces:
            self._uses[segment] += 1
            if self._uses[segment] == 1:
                self.tokens += segment.tokens
        while self.tokens > self._max_tokens and self._entries:
            self.drop(next(iter(self._entries)))

    def drop(self, key: Hashable) -> None:
        """Forget a conversation; what others share with it stays."""
        entry = self._entries.pop(key, None)
        for segment, _ in entry.pieces if entry else ():
            self._uses[segment] -= 1
            if not self._uses[segment]:
                del self._uses[segment]
                self.tokens -= segment.tokens

    def finish(self, key: Hashable, role: Hashable) -> None:
        """Forget a conversation that is over, but for the last one of each role: the next begins alike."""
        entry = self._entries.get(key)
        self.drop(key)
        if entry is not None:
            self.put(("finished", role, entry.adapter), entry.adapter, entry.ids, entry.pieces)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)


def common_length(first: Ids, second: Ids) -> int:
    """How many leading ids two sequences share.

    >>> common_length(np.array([1, 2, 3]), np.array([1, 2, 4, 5]))
    2
    """
    limit = min(len(first), len(second))
    different = np.flatnonzero(first[:limit] != second[:limit])
    return int(different[0]) if len(different) else limit


def _cut(pieces: Pieces, length: int) -> Pieces:
    """The first `length` tokens of a prefix."""
    kept = []
    for segment, tokens in pieces:
        if length <= 0:
            break
        kept.append((segment, min(tokens, length)))
        length -= tokens
    return tuple(kept)
