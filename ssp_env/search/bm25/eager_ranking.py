"""The inner loop of `EagerIndex`: the best passages for the words of a query, by NumPy or compiled by numba.

numba is optional: `pip install 'ssp-env[numba]'`. Both add 32-bit numbers in the same order, so that scores
and order are the same to the last bit.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# Passages are divided into groups of this size; the best score of each group limits what can be in the top k.
_GROUP = 64


class BestPassages(Protocol):
    """Finds the passages with the highest sums of scores, of equal ones the lowest rows."""

    def __call__(
        self,
        numbers: NDArray[np.int64],
        starts: NDArray[np.int64],
        rows: NDArray[np.uint32],
        scores: NDArray[np.float32],
        passages: int,
        top_k: int,
        /,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return rows of passages with one of the words, best first, and their scores.

        Args:
            numbers: The words of the query.
            starts: First posting of each word, then the number of postings.
            rows: Passage of each posting.
            scores: What the word adds to that passage's score, above 0.
            passages: Size of the corpus.
            top_k: Most passages to return.

        Raises:
            IndexError: If the row of a posting is outside the corpus.
        """


def best_passages(
    numbers: NDArray[np.int64],
    starts: NDArray[np.int64],
    rows: NDArray[np.uint32],
    scores: NDArray[np.float32],
    passages: int,
    top_k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """`BestPassages` by NumPy."""
    groups = -(-passages // _GROUP)
    totals = np.zeros(_GROUP * groups, np.float32)
    postings = min(len(rows), len(scores))
    for begin, end in zip(starts[numbers].tolist(), starts[numbers + 1].tolist()):
        if begin < 0 or end > postings:
            raise IndexError("a word has postings past the end")
        # NumPy is fast at this with indices of its own kind only.
        np.add.at(totals, rows[begin:end].astype(np.intp), scores[begin:end])
    threshold = np.float32(0)
    if top_k < groups:
        # The best passages of `top_k` groups reach it, so no lower score is among the first.
        threshold = np.partition(totals.reshape(_GROUP, groups).max(axis=0), -top_k)[-top_k]
    found = np.flatnonzero(totals >= threshold if threshold > 0 else totals)
    if len(found) and found[-1] >= passages:
        raise IndexError("a posting is of no passage")
    order = np.argsort(-totals[found], kind="stable")[:top_k]
    return found[order], totals[found[order]]


@cache
def compiled() -> BestPassages | None:
    """Return `BestPassages` in machine code, which lets other threads run, or None without numba."""
    try:
        import numba
    except ImportError:
        # Also where it is installed for something else and refuses this version of NumPy.
        return None
    ranking: BestPassages
    try:
        ranking = numba.njit(nogil=True, cache=True)(_best_passages_one_by_one)
    except RuntimeError:
        # There is no folder to keep machine code in: every process compiles its own.
        ranking = numba.njit(nogil=True)(_best_passages_one_by_one)
    return ranking


def _best_passages_one_by_one(
    numbers: NDArray[np.int64],
    starts: NDArray[np.int64],
    rows: NDArray[np.uint32],
    scores: NDArray[np.float32],
    passages: int,
    top_k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    totals = np.zeros(passages, np.float32)
    for number in numbers:
        # Compiled code would read and write anywhere.
        if starts[number] < 0 or starts[number + 1] > min(len(rows), len(scores)):
            raise IndexError("a word has postings past the end")
        for place in range(starts[number], starts[number + 1]):
            row = rows[place]
            if row >= passages:
                raise IndexError("a posting is of no passage")
            totals[row] += scores[place]
    found, best = np.zeros(top_k, np.int64), np.zeros(top_k, np.float32)
    held, least = 0, np.float32(0)
    for row in range(passages):
        if totals[row] > least:
            held = min(held + 1, top_k)
            place = held - 1
            while place > 0 and best[place - 1] < totals[row]:
                best[place], found[place] = best[place - 1], found[place - 1]
                place -= 1
            best[place], found[place] = totals[row], row
            if held == top_k:
                least = best[top_k - 1]
    return found[:held], best[:held]
