"""The embedded search engine: BM25 over titles and texts of passages, in memory or in a directory."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from itertools import chain, pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
import tantivy

from ssp_env.passage import Passage

_RANKING = f"bm25 tantivy={version('tantivy')}"
_FIELDS = ("title", "text")
_TOKENIZER = "ssp_words"
_MAX_TERM_BYTES = 255
_FINGERPRINT_FILE = "fingerprint.txt"

# tantivy fixes the saturation k1 at 1.2: no field of a page scores a term above (k1 + 1) times its idf.
_MAX_TERM_FREQUENCY_FACTOR = 2.2

# tantivy reserves the writer's heap in steps of pages but refuses less than this.
_MIN_HEAP_BYTES = 15_000_000
_MAX_HEAP_BYTES = 1_000_000_000

# Hits fetched beyond `top_k`, so that a tie across the cut is seen whole without a second search.
_TIE_MARGIN = 8

# Below this many query-passage pairs a batch is done before threads have started.
_THREADED_WORK = 2_000_000


class BM25Engine:
    """BM25 ranking of a fixed corpus, batched and deterministic.

    A query is a bag of words: any string is allowed, nothing in it is syntax, and a query without a
    single word finds nothing. Equal scores are ordered by passage id. Retrieval is lexical
    (Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond"), with k1 = 1.2
    and b = 0.75, summed over the title and text fields.

    Args:
        passages: The corpus; ids must be unique. Held in memory, so that passages come back whole.
        path: Directory for the index; in memory when None. A directory that already holds the index of
            the same corpus and settings is reopened, any other content is refused.
        stem: Reduce words to English stems, so that `rivers` finds `river`. Turn off for invented words.
        drop_stop_words: Ignore English stop words (`the`, `of`, ...) in queries; a query of nothing else
            finds nothing.
        all_words_first: Rank pages with every word of the query, in title or text, above all others.

    Raises:
        ValueError: If the corpus is empty, two passages share an id, or `path` holds something else.

    Example:
        >>> belin = Passage("0", "belin", "belin home corun")
        >>> corun = Passage("1", "corun", "corun mayor tavor")
        >>> engine = BM25Engine([belin, corun])
        >>> [passage.title for passage in engine.search(["mayor of corun"], top_k=2)[0]]
        ['corun', 'belin']
    """

    def __init__(
        self,
        passages: Iterable[Passage],
        *,
        path: str | os.PathLike[str] | None = None,
        stem: bool = True,
        drop_stop_words: bool = True,
        all_words_first: bool = False,
    ) -> None:
        self._arguments: dict[str, Any] = {
            "path": path, "stem": stem, "drop_stop_words": drop_stop_words, "all_words_first": all_words_first
        }  # fmt: skip
        self._passages = sorted(passages, key=attrgetter("id"))
        _check_corpus(self._passages)
        self._settings = f"stem={stem} drop_stop_words={drop_stop_words} all_words_first={all_words_first}"
        self._all_words_first = all_words_first
        self._fingerprint: str | None = None
        self._query_analyzer = _analyzer(stem, drop_stop_words)
        self._schema = _schema()
        self._index = self._open(None if path is None else Path(path), _analyzer(stem, drop_stop_words=False))
        self._searcher = self._index.searcher()

    def __reduce__(self) -> tuple[Callable[..., BM25Engine], tuple[list[Passage]]]:
        # tantivy's index does not pickle: the copy builds its own, or opens the directory.
        return partial(BM25Engine, **self._arguments), (self._passages,)

    def __len__(self) -> int:
        """Return the number of passages."""
        return len(self._passages)

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the best passages for each query, with their scores.

        Args:
            queries: Texts to search for; any string, empty ones included.
            top_k: Most passages to return per query, at least 1.

        Returns:
            One list per query: at most `top_k` passages with a word in common with it, best first.

        Raises:
            TypeError: If `queries` is a single string or holds something that is not one.
            ValueError: If `top_k` is below 1.
        """
        if isinstance(queries, str):
            raise TypeError("search expects a sequence of queries, got a single string: pass [query]")
        if not all(isinstance(query, str) for query in queries):
            kinds = sorted({type(query).__name__ for query in queries})
            raise TypeError(f"search expects queries that are strings, got {', '.join(kinds)}")
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        if len(queries) * len(self) < _THREADED_WORK:
            return [self._search_one(query, top_k) for query in queries]
        # tantivy releases the interpreter lock while it searches.
        workers = os.cpu_count() or 1
        share = -(-len(queries) // workers)
        shares = [queries[start : start + share] for start in range(0, len(queries), share)]
        with ThreadPoolExecutor(workers) as pool:
            return list(
                chain.from_iterable(pool.map(lambda part: [self._search_one(q, top_k) for q in part], shares))
            )

    def fingerprint(self) -> str:
        """Return the sha256 of the corpus, the settings and the version of the ranking library."""
        if self._fingerprint is None:
            digest = hashlib.sha256(f"{_RANKING} {self._settings}\n".encode())
            for passage in self._passages:
                for part in (passage.id, passage.title, passage.text):
                    encoded = part.encode("utf-8", "surrogatepass")
                    digest.update(b"%d:" % len(encoded))
                    digest.update(encoded)
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def sample(self, rng: np.random.Generator, count: int, exclude: Collection[str] = ()) -> list[Passage]:
        """Draw distinct passages uniformly.

        Args:
            rng: Source of randomness; the only one.
            count: Passages to draw, 0 or more.
            exclude: Ids that must not be drawn; ids outside the corpus are ignored.

        Returns:
            `count` passages in random order, or all that are left if there are fewer.

        Raises:
            ValueError: If `count` is negative.
        """
        if count < 0:
            raise ValueError(f"count must be 0 or more, got {count}")
        excluded = frozenset(exclude)
        # As many spares as could be excluded: dropping those leaves a uniform draw of the others.
        drawn = rng.choice(len(self), size=min(len(self), count + len(excluded)), replace=False)
        kept = (self._passages[row] for row in drawn.tolist())
        return [passage for passage in kept if passage.id not in excluded][:count]

    def _search_one(self, text: str, top_k: int) -> list[Passage]:
        query = self._query(text)
        if query is None:
            return []
        limit = min(top_k + _TIE_MARGIN, len(self))
        hits = self._searcher.search(query, limit, count=False).hits
        while len(hits) == limit < len(self) and hits[-1][0] == hits[top_k - 1][0]:
            limit = min(4 * limit, len(self))
            hits = self._searcher.search(query, limit, count=False).hits
        addresses = [address for _, address in hits]
        rows = cast("list[int]", self._searcher.fast_field_values("row", addresses))
        # Passages are numbered in the order of their ids.
        ranked = sorted(zip((-score for score, _ in hits), rows, strict=True))[:top_k]
        found = []
        for negative_score, row in ranked:
            passage = self._passages[row]
            found.append(Passage(passage.id, passage.title, passage.text, -negative_score))
        return found

    def _query(self, text: str) -> tantivy.Query | None:
        """Build the query from the distinct words of `text`, or None if there are none."""
        words = list(dict.fromkeys(self._query_analyzer.analyze(_encodable(text))))
        if not words:
            return None
        should, must = tantivy.Occur.Should, tantivy.Occur.Must
        per_word = [[(should, self._term(field, word)) for field in _FIELDS] for word in words]
        clauses = list(chain.from_iterable(per_word))
        if self._all_words_first and len(words) > 1:
            every_word = tantivy.Query.boolean_query(
                [(must, tantivy.Query.boolean_query(either)) for either in per_word]
            )
            # More than all words together can score, so that no page without one of them comes before.
            rarest_idf = float(np.log1p((len(self) - 0.5) / 1.5))
            bonus = _MAX_TERM_FREQUENCY_FACTOR * rarest_idf * len(clauses)
            clauses.append((should, tantivy.Query.const_score_query(every_word, bonus)))
        return tantivy.Query.boolean_query(clauses)

    def _term(self, field: str, word: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, field, word, "freq")

    def _open(self, path: Path | None, analyzer: tantivy.TextAnalyzer) -> tantivy.Index:
        if path is None:
            index = tantivy.Index(self._schema)
            self._fill(index, analyzer)
            return index
        if path.exists() and not path.is_dir():
            raise ValueError(f"the index needs a directory, got the file {path}")
        if not path.exists() or not any(path.iterdir()):
            self._build_directory(path, analyzer)
        fingerprint_file = path / _FINGERPRINT_FILE
        if not fingerprint_file.is_file() or fingerprint_file.read_text().strip() != self.fingerprint():
            raise ValueError(
                f"{path} holds something other than the index of this corpus with these settings; "
                "choose another directory or delete it"
            )
        index = tantivy.Index.open(str(path))
        index.register_tokenizer(_TOKENIZER, analyzer)
        return index

    def _build_directory(self, path: Path, analyzer: tantivy.TextAnalyzer) -> None:
        """Build the index aside and rename it, so that an interrupted build leaves nothing at `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as workshop:
            building = Path(workshop, "index")
            building.mkdir()
            self._fill(tantivy.Index(self._schema, path=str(building)), analyzer)
            (building / _FINGERPRINT_FILE).write_text(self.fingerprint() + "\n")
            os.replace(building, path)

    def _fill(self, index: tantivy.Index, analyzer: tantivy.TextAnalyzer) -> None:
        index.register_tokenizer(_TOKENIZER, analyzer)
        characters = sum(len(passage.title) + len(passage.text) for passage in self._passages)
        # One thread and a heap that holds the corpus give a single segment, the fastest to search.
        writer = index.writer(
            heap_size=min(max(_MIN_HEAP_BYTES, 4 * characters), _MAX_HEAP_BYTES), num_threads=1
        )
        for row, passage in enumerate(self._passages):
            document = tantivy.Document(
                title=_encodable(passage.title), text=_encodable(passage.text), row=row
            )
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        index.reload()


def _check_corpus(passages: Sequence[Passage]) -> None:
    """Raise ValueError unless the passages, sorted by id, are a corpus."""
    if not passages:
        raise ValueError("a search engine needs at least one passage, got an empty corpus")
    for first, second in pairwise(passages):
        if first.id == second.id:
            raise ValueError(
                f"passage ids must be unique, got {first.id!r} twice: {first.title!r} and {second.title!r}"
            )


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for field in _FIELDS:
        builder.add_text_field(field, tokenizer_name=_TOKENIZER, index_option="freq")
    builder.add_integer_field("row", fast=True)
    return builder.build()


def _analyzer(stem: bool, drop_stop_words: bool) -> tantivy.TextAnalyzer:
    """Return what turns text into index terms: runs of letters and digits, in lower case."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.remove_long(_MAX_TERM_BYTES)).filter(tantivy.Filter.lowercase())
    if drop_stop_words:
        builder = builder.filter(tantivy.Filter.stopword("english"))
    if stem:
        builder = builder.filter(tantivy.Filter.stemmer("english"))
    return builder.build()


def _encodable(text: str) -> str:
    """Replace lone surrogates, which a str may hold and UTF-8 may not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
