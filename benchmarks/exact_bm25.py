"""BM25 computed with NumPy from its formula for every passage, as a reference for the embedded engine."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ssp_env.game.passage import Passage
from ssp_env.search.bm25.terms import FIELDS

K1, B = 1.2, 0.75


class ExactBM25:
    """Scores all passages for a query (Robertson & Zaragoza 2009, equation 3.15), summed over two fields.

    Args:
        passages: The corpus.
        tokenize: Turns a text into words.
        one_byte_lengths: Round lengths down to the 256 values that tantivy and Lucene store.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        tokenize: Callable[[str], list[str]],
        *,
        one_byte_lengths: bool = False,
    ) -> None:
        self._count = len(passages)
        self._fields = []
        for field in FIELDS:
            postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
            lengths = np.zeros(self._count)
            for number, passage in enumerate(passages):
                words = tokenize(getattr(passage, field))
                lengths[number] = len(words)
                for word, frequency in Counter(words).items():
                    postings[word].append((number, frequency))
            stored = _one_byte(lengths) if one_byte_lengths else lengths
            norms = K1 * (1 - B + B * stored / max(lengths.mean(), 1e-9))
            self._fields.append((postings, norms))

    def scores(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return the score of every passage; a word counts once."""
        total = np.zeros(self._count)
        for postings, norms in self._fields:
            for word in dict.fromkeys(words):
                if word in postings:
                    rows, frequencies = np.array(postings[word]).T
                    idf = np.log(1 + (self._count - len(rows) + 0.5) / (len(rows) + 0.5))
                    total[rows] += idf * frequencies * (K1 + 1) / (frequencies + norms[rows])
        return total


def _one_byte(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round down: numbers up to 23 stay, larger ones become 24 plus a number with four significant bits."""
    codes = np.arange(256 - 24)
    shifts = np.maximum((codes >> 3) - 1, 0)
    values = np.where(codes < 8, codes & 7, ((codes & 7) | 8) << shifts) + 24.0
    table = np.concatenate([np.arange(24.0), values])
    rounded: NDArray[np.float64] = table[np.searchsorted(table, lengths, side="right") - 1]
    return rounded
