"""BM25 of smaller corpora: scores are computed when the index is built, and summed up for a query."""

from __future__ import annotations

import io
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ssp_env.game.passage import Passage
from ssp_env.search.bm25.passage_file import DamagedIndexError, StoredPassages
from ssp_env.search.bm25.terms import FIELDS, K1, B, BM25Settings, Tokenizer

# NumPy is as fast for smaller corpora, and importing numba takes a moment.
_WORTH_COMPILING = 2_000
# The compiled loop keeps the best passages sorted, which is slow if they are many.
_MAX_COMPILED_TOP_K = 128

# Passages are divided into groups of this size; the best score of each group limits what can be in the top k.
_GROUP = 64

_REPORT = 1_000
_VOCABULARY = "words.txt"


BestPassages: TypeAlias = Callable[..., tuple[NDArray[np.int64], NDArray[np.float32]]]
"""`best_passages`, or the same in machine code."""


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


class FieldPostings(NamedTuple):
    """Which words a field of each passage has, and how often.

    Attributes:
        keys: `word * number of passages + row` of each posting, ascending; int64.
        frequencies: How often the word is in the field of that passage; int64.
        lengths: Number of words in the field of each passage; int64.
    """

    keys: NDArray[np.int64]
    frequencies: NDArray[np.int64]
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


class CorpusStatistics:
    """What the score of a word depends on besides the passage that it is on.

    Statistics of a corpus are the same whether they are gathered at once or from its parts.
    """

    def __init__(self) -> None:
        self.passages = 0
        self.tokens = dict.fromkeys(FIELDS, 0)
        self.holding_passages = {field: np.zeros(0, np.int64) for field in FIELDS}

    def add(self, postings: Mapping[str, FieldPostings]) -> None:
        """Count the postings of each field of further passages."""
        for field, (keys, _, lengths) in postings.items():
            known = self.holding_passages[field]
            found = np.bincount(keys // len(lengths), minlength=len(known))
            found[: len(known)] += known
            self.holding_passages[field] = found
            self.tokens[field] += int(lengths.sum())
        self.passages += len(postings[FIELDS[0]].lengths)


def compute_scores(
    passages: Iterable[Passage],
    settings: BM25Settings,
    progress: Callable[[int], object] = lambda done: None,
) -> tuple[str, ScoreArrays]:
    """Return the vocabulary and the scores of passages that come in the order of their ids.

    Needs 10 bytes of memory per word of the texts, and for a moment about 50.
    """
    numbers, statistics = TermNumbers(Tokenizer(settings)), CorpusStatistics()
    postings = count_words(passages, numbers, progress)
    statistics.add(postings)
    return weigh_words(postings, numbers, statistics, settings)


def count_words(
    passages: Iterable[Passage], numbers: TermNumbers, progress: Callable[[int], object]
) -> dict[str, FieldPostings]:
    """Return the postings of each field of passages that come in the order of their ids."""
    analyze, fields = numbers.tokenizer.unstemmed, numbers.tokenizer.fields
    words = {field: array("i") for field in FIELDS}
    lengths = {field: array("i") for field in FIELDS}
    for done, passage in enumerate(passages, start=1):
        for field, text in zip(FIELDS, fields(passage), strict=True):
            found = analyze(text)
            words[field].extend(map(numbers.__getitem__, found))
            lengths[field].append(len(found))
        if done % _REPORT == 0:
            progress(done)
    return {field: _postings(words[field], lengths[field]) for field in FIELDS}


def _postings(words: array[int], lengths: array[int]) -> FieldPostings:
    size, tokens = len(lengths), np.array(lengths, np.int64)
    keys = np.array(words, np.int64) * size + np.repeat(np.arange(size), tokens)
    return FieldPostings(*np.unique(keys, return_counts=True), tokens)


def weigh_words(
    postings: Mapping[str, FieldPostings],
    numbers: TermNumbers,
    statistics: CorpusStatistics,
    settings: BM25Settings,
) -> tuple[str, ScoreArrays]:
    """Return the words on some passages, with their scores by the statistics of these or more passages."""
    boosts = {"title": settings.title_boost, "text": 1.0}
    scores = [_scores(postings[field], statistics, field, boosts[field]) for field in FIELDS]
    keys, places = np.unique(np.concatenate([postings[field].keys for field in FIELDS]), return_inverse=True)
    summed = np.bincount(places, np.concatenate(scores))
    size = len(postings[FIELDS[0]].lengths)
    starts = np.searchsorted(keys, size * np.arange(len(numbers.terms) + 1))
    # Words that are not here keep no place; the others keep their order, in which scores are summed up.
    held = np.flatnonzero(np.diff(starts))
    terms = list(numbers.terms)
    arrays = ScoreArrays(
        np.append(starts[held], len(keys)).astype(np.int64),
        (keys % size).astype(np.uint32),
        summed.astype(np.float32),
    )
    return "".join(f"{terms[number]}\n" for number in held.tolist()), arrays


def _scores(
    postings: FieldPostings, statistics: CorpusStatistics, field: str, boost: float
) -> NDArray[np.float64]:
    """Return the score of each posting of a field."""
    numbers, rows = np.divmod(postings.keys, len(postings.lengths))
    holding_passages = statistics.holding_passages[field][numbers]
    idf = np.log1p((statistics.passages - holding_passages + 0.5) / (holding_passages + 0.5))
    mean = max(statistics.tokens[field] / statistics.passages, 1e-9)
    norms = K1 * (1 - B + B * postings.lengths / mean)
    weights: NDArray[np.float64] = boost * idf * (K1 + 1)
    return weights * postings.frequencies / (postings.frequencies + norms[rows])


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
