"""The embedded engine and others behind two functions: one builds from a file of passages, one searches."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.builder import build_index
from ssp_env.search.bm25.terms import BM25Settings, Tokenizer
from ssp_env.search.corpus import read_corpus

Search = Callable[[Sequence[str], int], list[list[str]]]
"""Returns the ids of the best passages for each query."""


def build_ours(corpus: Path, out: Path) -> None:
    """Build an index directory."""
    build_index(read_corpus(corpus), out, source=None)


def build_eager(corpus: Path, out: Path) -> None:
    """Build an index directory with scores computed beforehand, whatever the size."""
    build_index(read_corpus(corpus), out, source=None, eager_memory=10**15)


def build_postings(corpus: Path, out: Path) -> None:
    """Build an index directory with postings, whatever the size."""
    build_index(read_corpus(corpus), out, BM25Settings(eager_up_to=0), source=None, eager_memory=0)


def open_ours(corpus: Path, out: Path) -> Search:
    """Open the index directory."""
    engine = BM25Engine.open(out)
    return lambda queries, top_k: [[page.id for page in found] for found in engine.search(queries, top_k)]


def open_exact(corpus: Path, out: Path) -> Search:
    """Open the index directory to rank every passage with any word of a query."""
    engine = BM25Engine.open(out, exact=True)
    return lambda queries, top_k: [[page.id for page in found] for found in engine.search(queries, top_k)]


def open_without_numba(corpus: Path, out: Path) -> Search:
    """Open the index directory as if numba were not installed."""
    sys.modules["numba"] = None  # type: ignore[assignment]
    return open_ours(corpus, out)


def build_fts5(corpus: Path, out: Path) -> None:
    """Build a full-text table of SQLite, with its Porter stemmer."""
    with sqlite3.connect(out) as database:
        database.execute(
            "CREATE VIRTUAL TABLE pages USING fts5(id UNINDEXED, title, text, tokenize='porter')"
        )
        rows = ((page.id, page.title, page.text) for page in read_corpus(corpus))
        database.executemany("INSERT INTO pages VALUES (?, ?, ?)", rows)
    database.close()


def open_fts5(corpus: Path, out: Path) -> Search:
    """Open the table; a query matches any of its words, without stop words."""
    database = sqlite3.connect(out)
    words_of = Tokenizer(BM25Settings(stem=False)).query

    def search(queries: Sequence[str], top_k: int) -> list[list[str]]:
        found = []
        for query in queries:
            words = " OR ".join(f'"{word}"' for word in dict.fromkeys(words_of(query)))
            statement = "SELECT id FROM pages WHERE pages MATCH ? ORDER BY rank LIMIT ?"
            found.append([row[0] for row in database.execute(statement, (words, top_k))] if words else [])
        return found

    return search


def build_bm25s(corpus: Path, out: Path, library: str = "bm25s") -> None:
    """Build and save an index of bm25s or bm25q, over title and text as one field, with its own tokenizer."""
    module: Any = import_module(library)
    pages = list(read_corpus(corpus))
    tokens = module.tokenize(
        [f"{page.title} {page.text}" for page in pages], show_progress=False, **_tokens_of_bm25s()
    )
    # Its numba backend: bm25s sorts by it, bm25q counts by it too.
    engine = module.BM25(k1=1.2, b=0.75, backend="numba")
    engine.index(tokens, show_progress=False)
    kept = ({"id": page.id, "title": page.title, "text": page.text} for page in pages)
    engine.save(out, corpus=kept, show_progress=False)
    np.save(out / "ids.npy", np.array([page.id for page in pages]))


def _tokens_of_bm25s() -> dict[str, Any]:
    """Return what its documentation recommends: English stop words and stems."""
    stemmer: Any = import_module("Stemmer")
    return {"stopwords": "en", "stemmer": stemmer.Stemmer("english")}


def open_bm25s(corpus: Path, out: Path, library: str = "bm25s", **options: Any) -> Search:
    """Open the index memory-mapped, to return ids alone."""
    module = import_module(library)
    ids = np.load(out / "ids.npy", mmap_mode="r")
    engine = module.BM25.load(out, mmap=True)
    return _search_bm25s(module, engine, lambda row: str(ids[row]), options)


def open_bm25s_pages(corpus: Path, out: Path, library: str = "bm25s", **options: Any) -> Search:
    """Open the index and its own file of passages memory-mapped, to return them with their texts."""
    module = import_module(library)
    engine = module.BM25.load(out, mmap=True, load_corpus=True)
    return _search_bm25s(module, engine, lambda page: str(page["id"]), options)


def _search_bm25s(
    module: Any, engine: Any, identify: Callable[[Any], str], options: dict[str, Any]
) -> Search:
    using = _tokens_of_bm25s()

    def search(queries: Sequence[str], top_k: int) -> list[list[str]]:
        tokens = module.tokenize(list(queries), return_ids=False, show_progress=False, **using)
        threads = 0 if len(queries) == 1 else -1
        pages, scores = engine.retrieve(tokens, k=top_k, show_progress=False, n_threads=threads, **options)
        return [
            [identify(page) for page, score in zip(*pair, strict=True) if score > 0]
            for pair in zip(pages, scores, strict=True)
        ]

    return search


def build_rank_bm25(corpus: Path, out: Path) -> None:
    """rank_bm25 saves nothing: it is built when it is opened."""
    import rank_bm25  # noqa: F401 - says before the measurement that it is missing

    out.touch()


def open_rank_bm25(corpus: Path, out: Path) -> Search:
    """Build BM25Okapi over title and text as one field, with the tokens of the embedded engine."""
    import rank_bm25

    tokenizer = Tokenizer(BM25Settings())
    pages = list(read_corpus(corpus))
    engine = rank_bm25.BM25Okapi([tokenizer.passage(f"{page.title} {page.text}") for page in pages])

    def search(queries: Sequence[str], top_k: int) -> list[list[str]]:
        found = []
        for query in queries:
            scores = engine.get_scores(tokenizer.query(query))
            best = np.argsort(-scores, kind="stable")[:top_k]
            found.append([pages[row].id for row in best if scores[row] > 0])
        return found

    return search


def build_pyserini(corpus: Path, out: Path) -> None:
    """Build Lucene's index with pyserini's own analyzer, over title and text as one field."""
    from pyserini.index.lucene import LuceneIndexer

    indexer = LuceneIndexer(str(out), threads=os.cpu_count() or 1)
    pages = read_corpus(corpus)
    while batch := [
        {"id": page.id, "contents": f"{page.title}\n{page.text}"} for page in islice(pages, 10_000)
    ]:
        indexer.add_batch_dict(batch)
    indexer.close()


def open_pyserini(corpus: Path, out: Path) -> Search:
    """Open Lucene's index; more than one query at a time are searched by threads of its own."""
    from pyserini.search.lucene import LuceneSearcher

    searcher = LuceneSearcher(str(out))
    searcher.set_bm25(1.2, 0.75)

    def search(queries: Sequence[str], top_k: int) -> list[list[str]]:
        if len(queries) == 1:
            return [[hit.docid for hit in searcher.search(queries[0], top_k)]]
        names = list(map(str, range(len(queries))))
        found = searcher.batch_search(list(queries), names, top_k, threads=os.cpu_count() or 1)
        return [[hit.docid for hit in found[name]] for name in names]

    return search


build_bm25q = partial(build_bm25s, library="bm25q")


class Engine(NamedTuple):
    """How to build and open an engine.

    Attributes:
        folder: Name of what is built, shared by engines that are built in the same way.
        build: Builds it from a corpus.
        open: Opens it.
    """

    folder: str
    build: Callable[[Path, Path], None]
    open: Callable[[Path, Path], Search]


ENGINES = {
    "ssp-env": Engine("default", build_ours, open_ours),
    "ssp-env, no numba": Engine("default", build_ours, open_without_numba),
    "ssp-env, scores": Engine("scores", build_eager, open_ours),
    "ssp-env, postings": Engine("postings", build_postings, open_ours),
    "ssp-env, postings, exact": Engine("postings", build_postings, open_exact),
    "bm25s": Engine("bm25s", build_bm25s, open_bm25s_pages),
    "bm25s, ids alone": Engine("bm25s", build_bm25s, open_bm25s),
    "bm25q": Engine("bm25q", build_bm25q, partial(open_bm25s_pages, library="bm25q")),
    "bm25q, ids alone": Engine("bm25q", build_bm25q, partial(open_bm25s, library="bm25q")),
    "bm25q, quantized": Engine(
        "bm25q", build_bm25q, partial(open_bm25s_pages, library="bm25q", quantize="adaptive")
    ),
    "sqlite-fts5": Engine("fts5", build_fts5, open_fts5),
    "rank_bm25": Engine("rank_bm25", build_rank_bm25, open_rank_bm25),
    "pyserini": Engine("pyserini", build_pyserini, open_pyserini),
}

MOST_PASSAGES = {"rank_bm25": 100_000}
"""Sizes above which an engine is left out, because a single query takes seconds."""

DISTRIBUTIONS = {
    "ssp-env": "tantivy",
    "bm25s": "bm25s",
    "bm25q": "bm25q",
    "rank_bm25": "rank-bm25",
    "pyserini": "pyserini",
}


def disk_bytes(path: Path) -> int:
    """Return the size of a file or of everything in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
