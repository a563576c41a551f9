"""Counting the words of a corpus block by block, which keeps the memory of sorting small."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssp_env.game.passage import Passage
from ssp_env.search.bm25.terms import FIELDS, Tokenizer

BLOCK = 8_192
"""Passages that are counted at a time."""

_REPORT = 1_000


class Postings(NamedTuple):
    """Which words consecutive passages have, and how often.

    Attributes:
        words: Number of the word of each posting, those of a word one after the other; int32.
        rows: Passage of each posting, counted from the first of these, ascending for a word; uint32.
        frequencies: How often the word is in each field of that passage; unsigned, of shape (fields,
            postings).
        lengths: Number of words in each field of each passage; int64 of shape (fields, passages).
    """

    words: NDArray[np.int32]
    rows: NDArray[np.uint32]
    frequencies: NDArray[Any]
    lengths: NDArray[np.int64]


class TermNumbers(dict[str, int]):
    """Words and the numbers of their terms; each word is stemmed once, which saves most of the work.

    Attributes:
        terms: The terms with their numbers, in the order in which they came.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.terms: defaultdict[str, int] = defaultdict(count().__next__)

    def __missing__(self, word: str) -> int:
        self[word] = number = self.terms[self.tokenizer.stem(word)]
        return number


def count_blocks(
    passages: Iterable[Passage], numbers: TermNumbers, progress: Callable[[int], object]
) -> Iterator[Postings]:
    """Yield the postings of one block after the other of passages that come in the order of their ids."""
    waiting, done = iter(passages), 0
    while block := list(islice(waiting, BLOCK)):
        yield count_words(block, numbers, progress, done)
        done += len(block)


def count_words(
    passages: Iterable[Passage],
    numbers: TermNumbers,
    progress: Callable[[int], object] = lambda done: None,
    before: int = 0,
) -> Postings:
    """Return the postings of one block of passages, in the order of their ids, of which some came before."""
    analyze, fields = numbers.tokenizer.unstemmed, numbers.tokenizer.fields
    words: list[str] = []
    lengths: list[int] = []
    for done, passage in enumerate(passages, start=before + 1):
        for text in fields(passage):
            found = analyze(text)
            words += found
            lengths.append(len(found))
        if done % _REPORT == 0:
            progress(done)
    return _postings(np.fromiter(map(numbers.__getitem__, words), np.int64, len(words)), lengths)


def _postings(numbers: NDArray[np.int64], lengths: Sequence[int]) -> Postings:
    """Return the postings of words that are given in the order of their passages, the title first."""
    slots = len(lengths)
    keys = numbers * slots + np.repeat(np.arange(slots), lengths)
    keys.sort()
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    found, times = keys[first], np.diff(first, append=len(keys))
    places, field = np.divmod(found, len(FIELDS))
    begins = np.diff(places, prepend=-1) > 0
    frequencies = np.zeros((len(FIELDS), int(begins.sum())), np.min_scalar_type(times.max(initial=0)))
    frequencies[field, np.cumsum(begins) - 1] = times
    words, rows = np.divmod(places[begins], max(1, slots // len(FIELDS)))
    tokens = np.array(lengths, np.int64).reshape(-1, len(FIELDS)).T
    return Postings(words.astype(np.int32), rows.astype(np.uint32), frequencies, tokens)
