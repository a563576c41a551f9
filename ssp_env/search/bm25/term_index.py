"""BM25 of a corpus of any size: its postings are in an index of tantivy, and are scored for each query."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias, cast

import tantivy

from ssp_env.game.passage import Passage
from ssp_env.objects import ForeignFault, faults
from ssp_env.search.bm25.block_counter import BlockCounter
from ssp_env.search.bm25.eager_scores import write_scores
from ssp_env.search.bm25.passage_file import DamagedIndexError, PassageFiles, StoredPassages
from ssp_env.search.bm25.terms import (
    FIELDS,
    MAX_HEAP_BYTES,
    MIN_HEAP_BYTES,
    TOKENIZER,
    BM25Settings,
    Tokenizer,
    make_schema,
)

Progress: TypeAlias = Callable[[str, int, "int | None"], object]
"""Called with the stage, how much of it is done and, where known, how much there is."""

_COMMIT = 2_000_000
_REPORT = 1_000
_HEAP_BYTES_PER_BYTE = 4
_SINGLE_THREAD_HEAPS = 4
_MAX_THREADS = 8

# Hits fetched beyond `top_k`, so that a tie across the cut is seen whole without a second search.
_TIE_MARGIN = 8


# tantivy fixes k1 at 1.2, so that a term adds at most (k1 + 1) times its idf to the score of a field.
_MAX_TERM_FREQUENCY_FACTOR = 2.2

# Rare words are those with this share of a query's summed cubed idf. Both numbers were chosen on HotpotQA and
# Natural Questions: the least work at which no recall at 5 or 10 falls (docs/search.md).
_RARE_SHARE = 0.85
_IDF_POWER = 3


class TermIndex:
    """Ranks passages for one query at a time; threads may share it.

    Args:
        index: Their terms; the field `row` says where `passages` holds a passage.
        settings: Settings of the ranking.
        passages: The corpus.
    """

    releases_lock = True
    """Searches of two threads run at the same time."""

    def __init__(
        self, index: tantivy.Index, settings: BM25Settings, passages: Sequence[Passage] | StoredPassages
    ) -> None:
        self._searcher = index.searcher()
        self._settings = settings
        self._words = Tokenizer(settings).query
        self._schema = make_schema()
        self._size = len(passages)
        self._read = passages.stored_at if isinstance(passages, StoredPassages) else passages.__getitem__

    def search(self, text: str, top_k: int) -> list[Passage]:
        """Return the best passages with a word of `text`, best first, ties by id.

        Raises:
            ForeignFault: If tantivy panics, as it may where its files are not what was written.
        """
        with faults():
            return self._search(text, top_k)

    def _search(self, text: str, top_k: int) -> list[Passage]:
        query = self._query(text)
        if query is None:
            return []
        hits = self._best(query, top_k)
        rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        scored = zip((score for score, _ in hits), cast("list[int]", rows), strict=True)
        if len(hits) > top_k + _TIE_MARGIN:
            # A long tie is ordered without holding its texts.
            ordered = sorted((-score, self._read(row).id, row) for score, row in scored)
            scored = ((-negative, row) for negative, _, row in ordered[:top_k])  # type: ignore[assignment]
        passages = [(score, self._read(row)) for score, row in scored]
        passages.sort(key=lambda pair: (-pair[0], pair[1].id))
        return [
            Passage(passage.id, passage.title, passage.text, score) for score, passage in passages[:top_k]
        ]

    def _best(self, query: tantivy.Query, top_k: int) -> list[tuple[float, tantivy.DocAddress]]:
        """Return the first `top_k` hits and all that score as the last of them."""
        limit = min(top_k + _TIE_MARGIN, self._size)
        while True:
            hits = self._searcher.search(query, limit, count=False).hits
            complete = len(hits) < limit or limit == self._size
            if complete or hits[-1][0] < hits[top_k - 1][0]:
                break
            limit = min(4 * limit, self._size)
        tied = top_k
        while tied < len(hits) and hits[tied][0] == hits[top_k - 1][0]:
            tied += 1
        return hits[:tied]

    def _query(self, text: str) -> tantivy.Query | None:
        """Build the query from the distinct words of `text`, or None if there are none."""
        words = list(dict.fromkeys(self._words(text)))
        if not words:
            return None
        rare, common = self._split(words)
        clauses = [clause for word in rare for clause in self._either_field(word)]
        if self._settings.all_words_first and len(words) > 1:
            clauses.append(self._every_word(words))
        query = tantivy.Query.boolean_query(clauses)
        # One clause at a time: tantivy skips through the passages of one word, not through those of several.
        count = self._searcher.doc_freq
        terms = (self._term(field, word) for word in common for field in FIELDS if count(field, word))
        return reduce(_with_optional, terms, query)

    def _split(self, words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
        """Return the words of which a ranked passage has at least one, and those that only add to its score.

        All words are of the first kind unless scoring every passage with any of them takes too long. Then the
        rarest are, which is MaxScore (Turtle & Flood 1995, "Query evaluation: strategies and optimizations")
        with a guessed threshold.
        """
        limit = self._settings.prune_above
        if limit is None or self._size * len(FIELDS) * len(words) <= limit:
            return words, ()
        postings = {word: sum(self._searcher.doc_freq(field, word) for field in FIELDS) for word in words}
        if sum(postings.values()) <= limit:
            return words, ()
        known = sorted((word for word in words if postings[word]), key=postings.__getitem__)
        weights = [self._idf(postings[word]) ** _IDF_POWER for word in known]
        wanted = _RARE_SHARE * sum(weights)
        needed = sum(total < wanted for total in accumulate(weights)) + 1
        return known[:needed], known[needed:]

    def _idf(self, postings: int) -> float:
        return math.log1p(max(0.0, self._size - postings + 0.5) / (postings + 0.5))

    def _every_word(self, words: Sequence[str]) -> tuple[tantivy.Occur, tantivy.Query]:
        """Give passages with all words a bonus above the largest score without it."""
        each = [tantivy.Query.boolean_query(self._either_field(word)) for word in words]
        every = tantivy.Query.boolean_query([(tantivy.Occur.Must, query) for query in each])
        rarest_idf = math.log1p((self._size - 0.5) / 1.5)
        bonus = _MAX_TERM_FREQUENCY_FACTOR * rarest_idf * len(words) * len(FIELDS)
        bonus *= max(1.0, self._settings.title_boost)
        return tantivy.Occur.Should, tantivy.Query.const_score_query(every, bonus)

    def _either_field(self, word: str) -> list[tuple[tantivy.Occur, tantivy.Query]]:
        return [(tantivy.Occur.Should, self._term(field, word)) for field in FIELDS]

    def _term(self, field: str, word: str) -> tantivy.Query:
        query = tantivy.Query.term_query(self._schema, field, word, "freq")
        boost = self._settings.title_boost
        return query if field != "title" or boost == 1 else tantivy.Query.boost_query(query, boost)


def index_terms(passages: Sequence[Passage], settings: BM25Settings) -> tantivy.Index:
    """Return an index in memory of passages in the order of their ids."""
    index, tokenizer = tantivy.Index(make_schema()), Tokenizer(settings)
    index.register_tokenizer(TOKENIZER, tokenizer.analyzer)
    characters = sum(len(passage.title) + len(passage.text) for passage in passages)
    # One thread and a heap that holds the corpus give a single segment, the fastest to search.
    writer = index.writer(heap_size=min(max(MIN_HEAP_BYTES, 4 * characters), MAX_HEAP_BYTES), num_threads=1)
    for row, passage in enumerate(passages):
        writer.add_document(_document(passage, row, tokenizer))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return index


def open_terms(folder: Path) -> tantivy.Index:
    """Map the index of a folder into memory; DamagedIndexError if files are missing or none of tantivy's."""
    try:
        with faults():
            return tantivy.Index.open(str(folder))
    except (OSError, ValueError, ForeignFault) as error:
        raise DamagedIndexError(f"{folder}: cannot be opened: {error}") from error


def _with_optional(query: tantivy.Query, term: tantivy.Query) -> tantivy.Query:
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Should, term)])


def write_terms(
    terms: Path,
    files: PassageFiles,
    order: Path,
    settings: BM25Settings,
    progress: Progress,
    counter: BlockCounter | None = None,
) -> None:
    """Write the terms of all passages to a folder, and go on from what an earlier build committed there.

    Args:
        terms: The folder.
        files: The passages.
        order: File of their positions in the order of their ids.
        settings: Settings of the ranking.
        progress: Told how far the work is.
        counter: Counts the words if scores are computed; it may have begun.
    """
    terms.mkdir(exist_ok=True)
    stored = StoredPassages(files, order)
    if settings.is_eager(len(stored)):
        with counter or BlockCounter(files.paths, settings) as counting:
            scores = counting.scores(order, len(stored), lambda done: progress("Indexing", done, len(stored)))
        write_scores(terms, *scores)
    else:
        _write_postings(terms, files, stored, settings, progress)


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Raise tantivy's ValueError about a full or broken disk as an OSError."""
    try:
        yield
    except ValueError as error:
        if "IO error" in str(error):
            raise OSError(str(error)) from error
        raise


@_disk_errors()
def _write_postings(
    terms: Path, files: PassageFiles, stored: StoredPassages, settings: BM25Settings, progress: Progress
) -> None:
    index = tantivy.Index(make_schema(), path=str(terms))
    tokenizer = Tokenizer(settings)
    with _writer(index, tokenizer, _HEAP_BYTES_PER_BYTE * files.size) as writer:
        done = index.searcher().num_docs
        for rank in range(done, len(stored)):
            writer.add_document(_document(stored[rank], int(stored.order[rank]), tokenizer))
            if (rank + 1) % _COMMIT == 0:
                writer.commit()
            if (rank + 1) % _REPORT == 0:
                progress("Indexing", rank + 1, len(stored))


@_disk_errors()
def extend_terms(
    old: Path, new: Path, added: PassageFiles, base: int, settings: BM25Settings, progress: Progress
) -> None:
    """Write tantivy's index of folder `old` and further passages, from position `base`, to folder `new`."""
    shutil.copytree(old, new, copy_function=_link_or_copy)
    index = tantivy.Index.open(str(new))
    tokenizer = Tokenizer(settings)
    with _writer(index, tokenizer, _HEAP_BYTES_PER_BYTE * added.size) as writer:
        for done, (position, passage) in enumerate(added.scan(), start=1):
            writer.add_document(_document(passage, base + position, tokenizer))
            if done % _REPORT == 0:
                progress("Indexing", done, None)


@contextmanager
def _writer(index: tantivy.Index, tokenizer: Tokenizer, heap: int) -> Iterator[tantivy.IndexWriter]:
    """Open a writer, and commit and finish all merges at the end."""
    index.register_tokenizer(TOKENIZER, tokenizer.analyzer)
    # One thread and a heap that holds the corpus give a single segment, the fastest to search; what needs
    # many segments anyway is indexed by all cores.
    threads = 1 if heap <= _SINGLE_THREAD_HEAPS * MAX_HEAP_BYTES else min(os.cpu_count() or 1, _MAX_THREADS)
    heap = min(max(threads * MIN_HEAP_BYTES, heap), MAX_HEAP_BYTES)
    writer = index.writer(heap_size=heap, num_threads=threads)
    yield writer
    writer.commit()
    writer.wait_merging_threads()
    # Merged segments leave their sources behind until a writer collects them.
    index.reload()
    sweeper = index.writer(heap_size=MIN_HEAP_BYTES, num_threads=1)
    sweeper.garbage_collect_files()
    sweeper.wait_merging_threads()


def _document(passage: Passage, position: int, tokenizer: Tokenizer) -> tantivy.Document:
    title, text = map(tokenizer.prepare, tokenizer.fields(passage))
    return tantivy.Document(title=title, text=text, row=position)


def _link_or_copy(source: str, target: str) -> None:
    # tantivy never changes a file of a segment; its own lists it replaces, and locks are not data.
    name = Path(source).name
    if name.endswith(".lock"):
        return
    if name.endswith(".json"):
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
