"""The hash of a corpus: the same in every order, computed in one pass and added to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ssp_env.passage import Passage

_MODULUS = 1 << 256


class CorpusDigest:
    """The sum of the passages' sha256, modulo 2^256, and their number.

    A sum needs neither an order nor the texts again when passages are added (Clarke et al. 2003, "Incremental
    Multiset Hash Functions and Their Application to Memory Integrity Checking", section 5).

    >>> one, two = Passage("1", "belin", "x"), Passage("2", "corun", "y")
    >>> CorpusDigest([one, two]).hexdigest() == CorpusDigest([two, one]).hexdigest()
    True
    """

    def __init__(self, passages: Iterable[Passage] = (), *, total: int = 0, count: int = 0) -> None:
        self.total = total
        self.count = count
        for passage in passages:
            self.add(passage)

    def add(self, passage: Passage) -> None:
        """Count one more passage."""
        digest = hashlib.sha256()
        for part in (passage.id, passage.title, passage.text):
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(encoded))
            digest.update(encoded)
        self.total = (self.total + int.from_bytes(digest.digest(), "big")) % _MODULUS
        self.count += 1

    def hexdigest(self) -> str:
        """Return the sum, 64 hexadecimal digits."""
        return f"{self.total:064x}"

    def fingerprint(self, ranking: str) -> str:
        """Return the sha256 of the corpus together with what ranks it."""
        return hashlib.sha256(f"{ranking}\n{self.count} {self.hexdigest()}\n".encode()).hexdigest()
