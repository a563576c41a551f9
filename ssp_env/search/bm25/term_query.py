"""The query that ranks pages by the words of a text: all of them or, in a large corpus, the rare ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import accumulate

import tantivy

from ssp_env.search.bm25.terms import FIELDS, BM25Settings, encodable, make_analyzer, make_schema

# tantivy fixes the saturation k1 at 1.2: no field of a page scores a term above (k1 + 1) times its idf.
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
        self._pages = searcher.num_docs
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
        # One clause at a time: tantivy skips through the pages of one word, not through those of several.
        count = self._searcher.doc_freq
        terms = (self._term(field, word) for word in common for field in FIELDS if count(field, word))
        return reduce(_with_optional, terms, query)

    def _split(self, words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
        """Return the words of which a page needs one, and those that add to its score.

        All words are of the first kind unless scoring every page with any of them takes too long. Then the
        rarest are, which is MaxScore (Turtle & Flood 1995, "Query evaluation: strategies and optimizations")
        with a guessed threshold.
        """
        limit = self._settings.prune_above
        if limit is None or self._pages * len(FIELDS) * len(words) <= limit:
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
        return math.log1p(max(0.0, self._pages - postings + 0.5) / (postings + 0.5))

    def _every_word(self, words: Sequence[str]) -> tuple[tantivy.Occur, tantivy.Query]:
        """Score pages with all words above what all words together can score."""
        each = [tantivy.Query.boolean_query(self._either_field(word)) for word in words]
        every = tantivy.Query.boolean_query([(tantivy.Occur.Must, query) for query in each])
        rarest_idf = math.log1p((self._pages - 0.5) / 1.5)
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
