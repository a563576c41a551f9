"""BM25 of a corpus of any size: its postings in tantivy's index, scored when a query comes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import tantivy

from ssp_env.passage import Passage
from ssp_env.search.bm25.passage_file import DamagedIndexError, StoredPassages
from ssp_env.search.bm25.term_query import QueryBuilder
from ssp_env.search.bm25.terms import (
    MAX_HEAP_BYTES,
    MIN_HEAP_BYTES,
    TOKENIZER,
    BM25Settings,
    encodable,
    make_analyzer,
    make_schema,
)

# Hits fetched beyond `top_k`, so that a tie across the cut is seen whole without a second search.
_TIE_MARGIN = 8


class TermIndex:
    """Ranks pages for one query at a time; threads may share it.

    Args:
        index: Their terms; the field `row` says where `pages` holds a page.
        settings: Settings of the ranking.
        pages: The corpus.
    """

    releases_lock = True
    """Searches of two threads run at the same time."""

    def __init__(
        self, index: tantivy.Index, settings: BM25Settings, pages: Sequence[Passage] | StoredPassages
    ) -> None:
        self._searcher = index.searcher()
        self._queries = QueryBuilder(self._searcher, settings)
        self._size = len(pages)
        self._read = pages.stored_at if isinstance(pages, StoredPassages) else pages.__getitem__

    def search(self, text: str, top_k: int) -> list[Passage]:
        """Return the best pages with a word of `text`, best first, ties by id."""
        query = self._queries.build(text)
        if query is None:
            return []
        hits = self._best(query, top_k)
        rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        scored = zip((score for score, _ in hits), cast("list[int]", rows), strict=True)
        if len(hits) > top_k + _TIE_MARGIN:
            # A long tie is ordered without holding its texts.
            ordered = sorted((-score, self._read(row).id, row) for score, row in scored)
            scored = ((-negative, row) for negative, _, row in ordered[:top_k])  # type: ignore[assignment]
        pages = [(score, self._read(row)) for score, row in scored]
        pages.sort(key=lambda pair: (-pair[0], pair[1].id))
        return [Passage(page.id, page.title, page.text, score) for score, page in pages[:top_k]]

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


def index_terms(pages: Sequence[Passage], stem: bool) -> tantivy.Index:
    """Return an index in memory of pages in the order of their ids."""
    index = tantivy.Index(make_schema())
    index.register_tokenizer(TOKENIZER, make_analyzer(stem))
    characters = sum(len(passage.title) + len(passage.text) for passage in pages)
    # One thread and a heap that holds the corpus give a single segment, the fastest to search.
    writer = index.writer(heap_size=min(max(MIN_HEAP_BYTES, 4 * characters), MAX_HEAP_BYTES), num_threads=1)
    for row, passage in enumerate(pages):
        document = tantivy.Document(title=encodable(passage.title), text=encodable(passage.text), row=row)
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return index


def open_terms(folder: Path) -> tantivy.Index:
    """Map the index of a folder into memory.

    Raises:
        DamagedIndexError: If files are missing or are none of tantivy's.
    """
    try:
        return tantivy.Index.open(str(folder))
    except (OSError, ValueError) as error:
        raise DamagedIndexError(f"{folder}: cannot be opened: {error}") from error
