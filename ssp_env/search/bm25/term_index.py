"""BM25 of a corpus of any size: its postings are in tantivy's index and are scored when a query comes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from pathlib import Path
from typing import cast

import tantivy

from ssp_env.game.passage import Passage
from ssp_env.search.bm25.passage_file import DamagedIndexError, StoredPassages
from ssp_env.search.bm25.terms import (
    FIELDS,
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
        self._queries = QueryBuilder(self._searcher, settings)
        self._size = len(passages)
        self._read = passages.stored_at if isinstance(passages, StoredPassages) else passages.__getitem__

    def search(self, text: str, top_k: int) -> list[Passage]:
        """Return the best passages with a word of `text`, best first, ties by id."""
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


def index_terms(passages: Sequence[Passage], stem: bool) -> tantivy.Index:
    """Return an index in memory of passages in the order of their ids."""
    index = tantivy.Index(make_schema())
    index.register_tokenizer(TOKENIZER, make_analyzer(stem))
    characters = sum(len(passage.title) + len(passage.text) for passage in passages)
    # One thread and a heap that holds the corpus give a single segment, the fastest to search.
    writer = index.writer(heap_size=min(max(MIN_HEAP_BYTES, 4 * characters), MAX_HEAP_BYTES), num_threads=1)
    for row, passage in enumerate(passages):
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


# tantivy fixes k1 at 1.2, so that a term adds at most (k1 + 1) times its idf to the score of a field.
_MAX_TERM_FREQUENCY_FACTOR = 2.2

# Rare words are those with this share of a query's summed cubed idf. Both numbers were chosen on HotpotQA and
# Natural Questions: the least work at which no recall at 5 or 10 falls (docs/search.md).
_RARE_SHARE = 0.85
_IDF_POWER = 3


class QueryBuilder:
    """Builds the queries of one searcher.

    Args:
        searcher: Where words are counted.
        settings: Settings of the ranking.
    """

    def __init__(self, searcher: tantivy.Searcher, settings: BM25Settings) -> None:
        self._searcher = searcher
        self._settings = settings
        self._corpus_size = searcher.num_docs
        self._analyzer = make_analyzer(settings.stem, settings.drop_stop_words)
        self._schema = make_schema()

    def build(self, text: str) -> tantivy.Query | None:
        """Build the query from the distinct words of `text`, or None if there are none."""
        words = list(dict.fromkeys(self._analyzer.analyze(encodable(text))))
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
        if limit is None or self._corpus_size * len(FIELDS) * len(words) <= limit:
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
        return math.log1p(max(0.0, self._corpus_size - postings + 0.5) / (postings + 0.5))

    def _every_word(self, words: Sequence[str]) -> tuple[tantivy.Occur, tantivy.Query]:
        """Give passages with all words a bonus above the largest score without it."""
        each = [tantivy.Query.boolean_query(self._either_field(word)) for word in words]
        every = tantivy.Query.boolean_query([(tantivy.Occur.Must, query) for query in each])
        rarest_idf = math.log1p((self._corpus_size - 0.5) / 1.5)
        bonus = _MAX_TERM_FREQUENCY_FACTOR * rarest_idf * len(words) * len(FIELDS)
        bonus *= max(1.0, self._settings.title_boost)
        return tantivy.Occur.Should, tantivy.Query.const_score_query(every, bonus)

    def _either_field(self, word: str) -> list[tuple[tantivy.Occur, tantivy.Query]]:
        return [(tantivy.Occur.Should, self._term(field, word)) for field in FIELDS]

    def _term(self, field: str, word: str) -> tantivy.Query:
        query = tantivy.Query.term_query(self._schema, field, word, "freq")
        boost = self._settings.title_boost
        return query if field != "title" or boost == 1 else tantivy.Query.boost_query(query, boost)


def _with_optional(query: tantivy.Query, term: tantivy.Query) -> tantivy.Query:
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Should, term)])
