"""The embedded search engine: BM25 over titles and texts of passages, in memory or in a directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
import tantivy

from ssp_env.passage import Passage
from ssp_env.search.bm25_query import QueryBuilder
from ssp_env.search.bm25_terms import (
    MAX_HEAP_BYTES,
    MIN_HEAP_BYTES,
    RANKING,
    TOKENIZER,
    BM25Settings,
    encodable,
    make_analyzer,
    make_schema,
)
from ssp_env.search.corpus_digest import CorpusDigest
from ssp_env.search.index_builder import build_index
from ssp_env.search.index_directory import IndexDirectoryError, read_manifest
from ssp_env.search.passage_file import DamagedIndexError, StoredPassages
from ssp_env.search.passages import check_corpus, sample_passages

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
        passages: The corpus; ids must be unique.
        path: Directory that holds index and passages, mapped into memory; both are held in memory when None.
            A directory that already holds the index of the same corpus and settings is opened, any other
            content is refused. `BM25Engine.open` opens one without the corpus at hand.
        stem: Reduce words to English stems, so that `rivers` finds `river`. Turn off for invented words.
        drop_stop_words: Ignore English stop words (`the`, `of`, ...) in queries; a query of nothing else
            finds nothing.
        all_words_first: Rank pages with every word of the query, in title or text, above all others.
        title_boost: Factor of the title's share of a score.
        prune_above: Most postings of a query's words (pages a word is in, counted for titles and texts) for
            which every page with any of the words is ranked. Above, only pages with one of its rare words
            are; their scores are the same. None ranks every page, however long it takes.

    Raises:
        ValueError: If the corpus is empty, two passages share an id, or `path` holds something else.

    Example:
        >>> belin = Passage("0", "belin", "belin home corun")
        >>> corun = Passage("1", "corun", "corun mayor tavor")
        >>> engine = BM25Engine([belin, corun])
        >>> [passage.title for passage in engine.search(["mayor of corun"], top_k=2)[0]]
        ['corun', 'belin']
    """

    _fingerprint: str | None

    def __init__(
        self,
        passages: Iterable[Passage],
        *,
        path: str | os.PathLike[str] | None = None,
        stem: bool = True,
        drop_stop_words: bool = True,
        all_words_first: bool = False,
        title_boost: float = 1.0,
        prune_above: int | None = 50_000,
    ) -> None:
        settings = BM25Settings(stem, drop_stop_words, all_words_first, title_boost, prune_above)
        if path is None:
            pages = sorted(passages, key=attrgetter("id"))
            check_corpus(pages)
            self._set_up(_filled_index(pages, stem), settings, None, pages, None)
        else:
            self._open(_directory_of(passages, Path(path), settings), exact=False)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, exact: bool = False) -> BM25Engine:
        """Open an index directory in milliseconds; any number of processes may.

        Args:
            path: What `ssp index build` or an engine with a `path` made.
            exact: Search as with `prune_above=None`, whatever the index was built with.

        Raises:
            IndexDirectoryError: If it is no index, or one of another format.
            DamagedIndexError: If files are missing or cut. Bytes of the terms that have changed are found by
                `check_index` alone, and may change rankings until then.
        """
        engine = cls.__new__(cls)
        engine._open(Path(path), exact)
        return engine

    def __reduce__(self) -> tuple[Callable[..., BM25Engine], tuple[Any, ...]]:
        # tantivy's index does not pickle: the copy builds its own, or opens the directory.
        if self._path is not None:
            return partial(BM25Engine.open, exact=self._settings.prune_above is None), (self._path,)
        return partial(BM25Engine, **asdict(self._settings)), (self._pages,)

    def __len__(self) -> int:
        """Return the number of passages."""
        return len(self._pages)

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
            self._fingerprint = _fingerprint(self._pages, self._settings)
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
        return sample_passages(self._pages, rng, count, exclude)

    def _search_one(self, text: str, top_k: int) -> list[Passage]:
        query = self._queries.build(text)
        if query is None:
            return []
        hits = self._best(query, top_k)
        rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        read = self._pages.stored_at if isinstance(self._pages, StoredPassages) else self._pages.__getitem__
        scored = zip((score for score, _ in hits), cast("list[int]", rows), strict=True)
        if len(hits) > top_k + _TIE_MARGIN:
            # A long tie is ordered without holding its texts.
            ordered = sorted((-score, read(row).id, row) for score, row in scored)
            scored = ((-negative, row) for negative, _, row in ordered[:top_k])  # type: ignore[assignment]
        pages = [(score, read(row)) for score, row in scored]
        pages.sort(key=lambda pair: (-pair[0], pair[1].id))
        return [Passage(page.id, page.title, page.text, score) for score, page in pages[:top_k]]

    def _best(self, query: tantivy.Query, top_k: int) -> list[tuple[float, tantivy.DocAddress]]:
        """Return the first `top_k` hits and all that score as the last of them."""
        limit = min(top_k + _TIE_MARGIN, len(self))
        while True:
            hits = self._searcher.search(query, limit, count=False).hits
            complete = len(hits) < limit or limit == len(self)
            if complete or hits[-1][0] < hits[top_k - 1][0]:
                break
            limit = min(4 * limit, len(self))
        tied = top_k
        while tied < len(hits) and hits[tied][0] == hits[top_k - 1][0]:
            tied += 1
        return hits[:tied]

    def _set_up(
        self,
        index: tantivy.Index,
        settings: BM25Settings,
        path: Path | None,
        pages: list[Passage] | StoredPassages,
        fingerprint: str | None,
    ) -> None:
        self._searcher = index.searcher()
        self._queries = QueryBuilder(self._searcher, settings)
        self._settings = settings
        self._path = path
        self._pages = pages
        self._fingerprint = fingerprint

    def _open(self, path: Path, exact: bool) -> None:
        manifest = read_manifest(path)
        if exact:
            manifest = replace(manifest, settings=replace(manifest.settings, prune_above=None))
        try:
            index = tantivy.Index.open(str(path / manifest.terms))
        except (OSError, ValueError) as error:
            raise DamagedIndexError(f"{path / manifest.terms}: cannot be opened: {error}") from error
        self._set_up(index, manifest.settings, path, manifest.open_passages(path), manifest.fingerprint)


def _filled_index(pages: Sequence[Passage], stem: bool) -> tantivy.Index:
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


def _fingerprint(passages: Iterable[Passage], settings: BM25Settings) -> str:
    return CorpusDigest(passages).fingerprint(f"{RANKING} {settings}")


def _directory_of(passages: Iterable[Passage], path: Path, settings: BM25Settings) -> Path:
    """Return a directory that holds the index of these passages, built if there is nothing yet."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"the index needs a directory, got the file {path}")
    if not path.exists() or not any(path.iterdir()):
        build_index(passages, path, settings, source=None)
        return path
    wanted = _fingerprint(passages, settings)
    try:
        same = read_manifest(path).fingerprint == wanted
    except IndexDirectoryError:
        same = False
    if not same:
        raise ValueError(
            f"{path} holds something other than the index of this corpus with these settings; "
            "choose another directory or delete it"
        )
    return path
