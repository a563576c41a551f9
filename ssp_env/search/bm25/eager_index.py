"""BM25 of smaller corpora: scores are computed when the index is built, and summed up for a query."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ssp_env.game.passage import Passage
from ssp_env.search.bm25.eager_scores import ScoreArrays
from ssp_env.search.bm25.passage_file import DamagedIndexError, StoredPassages
from ssp_env.search.bm25.terms import BM25Settings, Tokenizer

# NumPy is as fast for smaller corpora, and importing numba takes a moment.
_WORTH_COMPILING = 2_000
# The compiled loop keeps the best passages sorted, which is slow if they are many.
_MAX_COMPILED_TOP_K = 128

# Passages are divided into groups of this size; the best score of each group limits what can be in the top k.
_GROUP = 64

# Compiled code adds up the scores of so many passages at a time, in the cache of the processor; a power of 2.
_RANGE = 65_536

BestPassages: TypeAlias = Callable[..., tuple[NDArray[np.int64], NDArray[np.float32]]]
"""`best_passages`, or the same in machine code."""


class EagerIndex:
    """Ranks passages for one query at a time; threads may share it.

    Machine code by numba, where that is installed (`ssp-env[numba]`), and NumPy return the same.

    Args:
        vocabulary: The words, each on a line.
        arrays: Their scores.
        settings: Settings of the ranking.
        passages: The corpus, in the order of ids.
    """

    def __init__(
        self,
        vocabulary: str,
        arrays: ScoreArrays,
        settings: BM25Settings,
        passages: list[Passage] | StoredPassages,
    ) -> None:
        self._vocabulary = vocabulary
        self._arrays = arrays
        self._words = Tokenizer(settings).query
        self._passages = passages

    def search(self, text: str, top_k: int) -> list[Passage]:
        """Return the best passages with a word of `text`, best first, ties by id.

        Raises:
            DamagedIndexError: If the arrays are not what was written.
        """
        number_of = self._numbers.get
        known = {number for word in self._words(text) if (number := number_of(word)) is not None}
        # In one order for all queries of the same words: sums of 32 bits depend on it.
        numbers = np.array(sorted(known), np.int64)
        best = self._kernel if self._kernel and top_k <= _MAX_COMPILED_TOP_K else best_passages
        try:
            rows, scores = best(numbers, *self._arrays, len(self._passages), top_k)
        except (IndexError, ValueError) as error:
            raise DamagedIndexError(
                f"expected postings of {len(self._passages)} passages: {error}"
            ) from error
        if isinstance(self._passages, StoredPassages):
            return self._passages.scored(rows, scores.tolist())
        found = zip(map(self._passages.__getitem__, rows.tolist()), scores.tolist())
        return [Passage(passage.id, passage.title, passage.text, score) for passage, score in found]

    @property
    def releases_lock(self) -> bool:
        """Whether searches of two threads run at the same time."""
        return self._kernel is not None

    @cached_property
    def _kernel(self) -> BestPassages | None:
        return compiled() if len(self._passages) >= _WORTH_COMPILING else None

    @cached_property
    def _numbers(self) -> dict[str, int]:
        numbers = {word: number for number, word in enumerate(self._vocabulary.split("\n")[:-1])}
        words = len(self._arrays.starts) - 1
        if len(numbers) != words:
            raise DamagedIndexError(f"expected a vocabulary of {words} words, got {len(numbers)}")
        return numbers


def best_passages(
    numbers: NDArray[np.int64],
    starts: NDArray[np.int64],
    rows: NDArray[np.uint32],
    scores: NDArray[np.float32],
    passages: int,
    top_k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the passages with the highest sums of scores, of equal ones the lowest rows.

    Args:
        numbers: The words of the query.
        starts: First posting of each word, then the number of postings.
        rows: Passage of each posting.
        scores: What the word adds to that passage's score, above 0.
        passages: Size of the corpus.
        top_k: Most passages to return.

    Returns:
        Rows of passages with one of the words, best first, and their scores.

    Raises:
        IndexError: If the row of a posting is outside the corpus.
    """
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
    """Return `best_passages` in machine code, which lets other threads run, or None without numba.

    Both add 32-bit numbers in the same order, so that scores and order are the same to the last bit.
    """
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
    totals = np.zeros(_RANGE, np.float32)
    # Numbers that are not negative are in the order of their bits, whose greatest is found faster.
    bits, least = totals.view(np.int32), np.zeros(1, np.float32)
    found, best, held = np.zeros(top_k, np.int64), np.zeros(top_k, np.float32), 0
    places, ends = starts[numbers], starts[numbers + 1]
    if (places < 0).any() or (ends > min(len(rows), len(scores))).any():
        raise IndexError("a word has postings past the end")
    for begin in range(0, passages, _RANGE):
        limit = min(begin + _RANGE, passages)
        for word in range(len(numbers)):
            first = places[word]
            last = first + np.searchsorted(rows[first : min(ends[word], first + _RANGE)], np.uint32(limit))
            if first < last and (rows[first] < begin or rows[last - 1] >= limit):
                raise IndexError("the postings of a word are not in order")
            for place in range(first, last):
                # Compiled code would write anywhere: the mask keeps it in the range.
                totals[np.int64(rows[place] & np.uint32(_RANGE - 1))] += scores[place]
            places[word] = last
        for group in range(0, limit - begin, _GROUP):
            top = np.int32(0)
            for row in range(group, group + _GROUP):
                top = max(top, bits[row])
            # Most groups have nothing to look at.
            for row in range(group, group + _GROUP * int(top > least.view(np.int32)[0])):
                if totals[row] > least[0]:
                    held = min(held + 1, top_k)
                    place = held - 1
                    while place > 0 and best[place - 1] < totals[row]:
                        best[place], found[place] = best[place - 1], found[place - 1]
                        place -= 1
                    best[place], found[place] = totals[row], begin + row
                    least[0] = best[top_k - 1]
        totals[:] = 0
    if (places < ends).any():
        raise IndexError("a posting is of no passage")
    return found[:held], best[:held]
