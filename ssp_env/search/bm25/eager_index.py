"""BM25 of smaller corpora: scores are computed when the index is built, and summed up for a query."""

from __future__ import annotations

import io
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssp_env.game.passage import Passage
from ssp_env.search.bm25.eager_ranking import BestPassages, best_passages, compiled
from ssp_env.search.bm25.passage_file import DamagedIndexError, StoredPassages
from ssp_env.search.bm25.terms import FIELDS, K1, B, BM25Settings, encodable, make_analyzer

# NumPy is as fast for smaller corpora, and importing numba takes a moment.
_WORTH_COMPILING = 2_000
# The compiled loop keeps the best passages sorted, which is slow if they are many.
_MAX_COMPILED_TOP_K = 128

_REPORT = 1_000
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


class EagerIndex:
    """Ranks passages for one query at a time; threads may share it.

    Machine code by numba, where that is installed, and NumPy return the same to the last bit.

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
        self._analyzer = make_analyzer(settings.stem, settings.drop_stop_words)
        self._passages = passages

    def search(self, text: str, top_k: int) -> list[Passage]:
        """Return the best passages with a word of `text`, best first, ties by id.

        Raises:
            DamagedIndexError: If the arrays are not what was written.
        """
        number_of = self._numbers.get
        words = self._analyzer.analyze(encodable(text))
        known = {number for word in words if (number := number_of(word)) is not None}
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


# -- building ----------------------------------------------------------------------------------------------


def compute_scores(
    passages: Iterable[Passage],
    settings: BM25Settings,
    progress: Callable[[int], object] = lambda done: None,
) -> tuple[str, ScoreArrays]:
    """Return the vocabulary and the scores of passages that come in the order of their ids.

    Needs 10 bytes of memory per word of the texts, and for a moment about 50.
    """
    analyze = make_analyzer(settings.stem).analyze
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    words = {field: array("i") for field in FIELDS}
    lengths = {field: array("i") for field in FIELDS}
    for done, passage in enumerate(passages, start=1):
        for field in FIELDS:
            found = analyze(encodable(getattr(passage, field)))
            words[field].extend(map(numbers.__getitem__, found))
            lengths[field].append(len(found))
        if done % _REPORT == 0:
            progress(done)
    boosts = {"title": settings.title_boost, "text": 1.0}
    fields = [_field_scores(words[name], lengths[name], boosts[name]) for name in FIELDS]
    keys, places = np.unique(np.concatenate([keys for keys, _ in fields]), return_inverse=True)
    summed = np.bincount(places, np.concatenate([scores for _, scores in fields]))
    corpus_size = len(lengths["text"])
    starts = np.searchsorted(keys, corpus_size * np.arange(len(numbers) + 1))
    arrays = ScoreArrays(
        starts.astype(np.int64), (keys % corpus_size).astype(np.uint32), summed.astype(np.float32)
    )
    return "".join(f"{word}\n" for word in numbers), arrays


def _field_scores(
    words: array[int], lengths: array[int], boost: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return `word * number of passages + row` of each posting of a field, ascending, and its score."""
    corpus_size = len(lengths)
    tokens = np.array(lengths, np.int64)
    keys = np.array(words, np.int64) * corpus_size + np.repeat(np.arange(corpus_size), tokens)
    keys, frequencies = np.unique(keys, return_counts=True)
    numbers, rows = np.divmod(keys, corpus_size)
    holding_passages = np.bincount(numbers)[numbers]
    idf = np.log1p((corpus_size - holding_passages + 0.5) / (holding_passages + 0.5))
    norms = K1 * (1 - B + B * tokens / max(tokens.mean(), 1e-9))
    return keys, boost * idf * (K1 + 1) * frequencies / (frequencies + norms[rows])


# -- files -------------------------------------------------------------------------------------------------


def write_scores(folder: Path, vocabulary: str, arrays: ScoreArrays) -> None:
    """Write what `open_scores` reads into a folder."""
    (folder / _VOCABULARY).write_text(vocabulary, encoding="utf-8", newline="\n")
    for name, values in arrays._asdict().items():
        # Through memory, because NumPy's own writing hides that a disk is full.
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=False)
        (folder / f"{name}.npy").write_bytes(buffer.getbuffer())


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
