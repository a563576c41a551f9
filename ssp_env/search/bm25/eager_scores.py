"""Computing the scores of an index when it is built: what every word adds to the score of every passage.

Postings are counted in blocks of passages and then weighed into arrays that are allocated once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssp_env.game.passage import Passage
from ssp_env.search.bm25.passage_file import DamagedIndexError
from ssp_env.search.bm25.terms import FIELDS, K1, B, BM25Settings, Tokenizer
from ssp_env.search.bm25.word_counts import Postings, TermNumbers, count_blocks

_VOCABULARY = "words.txt"


class ScoreArrays(NamedTuple):
    """What every word adds to the score of every passage it is on (Lù 2024, "BM25S", section 2).

    Attributes:
        starts: First posting of each word, then the number of postings; int64.
        rows: Passage of each posting, ascending for a word; uint32.
        scores: What the word adds to that passage's score; float32.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.uint32]
    scores: NDArray[np.float32]


class CorpusStatistics:
    """What the score of a word depends on besides the passage that it is on.

    Statistics of a corpus are the same whether they are gathered at once or from its parts.

    Attributes:
        passages: Number of passages.
        tokens: Number of words in each field.
        holding_passages: Passages that have a word in a field, int64 of shape (fields, words).
    """

    def __init__(self) -> None:
        self.passages = 0
        self.tokens = np.zeros(len(FIELDS), np.int64)
        self.holding_passages = np.zeros((len(FIELDS), 0), np.int64)

    def add(self, postings: Postings) -> None:
        """Count the postings of further passages."""
        known = self.holding_passages.shape[1]
        size = max(known, int(postings.words.max(initial=-1)) + 1)
        held = [np.bincount(postings.words[found > 0], minlength=size) for found in postings.frequencies]
        found = np.array(held, np.int64)
        found[:, :known] += self.holding_passages
        self.holding_passages = found
        self.tokens += postings.lengths.sum(axis=1)
        self.passages += postings.lengths.shape[1]


def compute_scores(
    passages: Iterable[Passage],
    settings: BM25Settings,
    progress: Callable[[int], object] = lambda done: None,
) -> tuple[str, ScoreArrays]:
    """Return the vocabulary and the scores of passages that come in the order of their ids.

    Needs about 15 bytes of memory per word of the texts.
    """
    numbers, statistics = TermNumbers(Tokenizer(settings)), CorpusStatistics()
    blocks = deque(count_blocks(passages, numbers, progress))
    for postings in blocks:
        statistics.add(postings)
    return weigh_words(blocks, list(numbers.terms), statistics, settings)


def weigh_words(
    blocks: deque[Postings],
    terms: Sequence[str],
    statistics: CorpusStatistics,
    settings: BM25Settings,
    threads: int = 1,
) -> tuple[str, ScoreArrays]:
    """Return the words on some passages, with their scores by the statistics of these or more passages.

    Args:
        blocks: Postings of the passages, in the order of their ids; they are removed one by one, to make room
            for the scores.
        terms: The words, in the order of their numbers.
        statistics: Statistics of the corpus.
        settings: Settings of the ranking.
        threads: Threads that compute.
    """
    sizes = np.zeros(len(terms), np.int64)
    for block in blocks:
        sizes += np.bincount(block.words, minlength=len(terms))
    starts = np.append(0, np.cumsum(sizes))
    rows, scores = np.empty(starts[-1], np.uint32), np.empty(starts[-1], np.float32)
    weigh, free, passages = _Weights(len(terms), statistics, settings), starts[:-1].copy(), 0

    def place(block: Postings, base: int, first: NDArray[np.int64], begins: NDArray[np.int64]) -> None:
        held = np.diff(first, append=len(block.words))
        places = np.repeat(begins - first, held) + np.arange(len(block.words))
        rows[places] = block.rows + np.uint32(base)
        scores[places] = weigh(block)

    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[None]] = deque()
        while blocks:
            block = blocks.popleft()
            first = np.flatnonzero(np.diff(block.words, prepend=-1))
            found = block.words[first]
            # The postings of a word go where those of the blocks before ended.
            begins = free[found]
            free[found] += np.diff(first, append=len(block.words))
            running.append(pool.submit(place, block, passages, first, begins))
            passages += block.lengths.shape[1]
            if len(running) > threads:
                running.popleft().result()
        for left in running:
            left.result()
    # Words that are not here keep no place; the others keep their order, in which scores are summed up.
    here = np.flatnonzero(sizes)
    arrays = ScoreArrays(np.append(starts[here], starts[-1]), rows, scores)
    return "".join(f"{terms[number]}\n" for number in here.tolist()), arrays


class _Weights:
    """Scores of postings.

    Args:
        words: Number of words.
        statistics: Statistics of the corpus.
        settings: Settings of the ranking.
    """

    def __init__(self, words: int, statistics: CorpusStatistics, settings: BM25Settings) -> None:
        held = statistics.holding_passages
        holding_passages = np.pad(held, ((0, 0), (0, words - held.shape[1])))
        idf = np.log1p((statistics.passages - holding_passages + 0.5) / (holding_passages + 0.5))
        boosts = np.array([settings.title_boost, 1.0])
        self._weights = boosts[:, None] * idf * (K1 + 1)
        self._means = np.maximum(statistics.tokens / statistics.passages, 1e-9)

    def __call__(self, block: Postings) -> NDArray[np.float64]:
        """Return the score of each posting, summed over the fields."""
        total = np.zeros(len(block.words))
        norms = K1 * (1 - B + B * block.lengths / self._means[:, None])
        for frequencies, weights, norm in zip(block.frequencies, self._weights, norms, strict=True):
            times = frequencies.astype(np.float64)
            total += weights[block.words] * times / (times + norm[block.rows])
        return total


def write_scores(folder: Path, vocabulary: str, arrays: ScoreArrays) -> None:
    """Write what `open_scores` reads into a folder."""
    (folder / _VOCABULARY).write_text(vocabulary, encoding="utf-8", newline="\n")
    for name, values in arrays._asdict().items():
        with (folder / f"{name}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(values))
            # By Python, because NumPy's own writing hides that a disk is full.
            file.write(memoryview(values).cast("B"))


def open_scores(folder: Path) -> tuple[str, ScoreArrays]:
    """Map the arrays of a folder into memory.

    Raises:
        DamagedIndexError: If a file is missing or is not one of these.
    """
    try:
        vocabulary = (folder / _VOCABULARY).read_bytes().decode("utf-8")
        arrays = {name: _mapped(folder / f"{name}.npy") for name in ScoreArrays._fields}
        return vocabulary, ScoreArrays(**arrays)
    except (OSError, ValueError) as error:
        raise DamagedIndexError(f"{folder}: cannot be opened: {error}") from error


def _mapped(path: Path) -> NDArray[Any]:
    # A plain array over the same bytes: slices of a memmap are slow to make.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
