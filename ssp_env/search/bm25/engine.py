"""The embedded search engine: BM25 over titles and texts of passages, in memory or in a directory."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from ssp_env.game.passage import Passage
from ssp_env.search.bm25.builder import build_index
from ssp_env.search.bm25.directory import CorpusDigest, IndexDirectoryError, read_manifest
from ssp_env.search.bm25.eager_index import EagerIndex
from ssp_env.search.bm25.eager_scores import compute_scores, open_scores
from ssp_env.search.bm25.integrity import RankingCheck
from ssp_env.search.bm25.passage_file import StoredPassages, stored_bytes
from ssp_env.search.bm25.term_index import TermIndex, index_terms, open_terms
from ssp_env.search.bm25.terms import TOKENIZATION, BM25Settings
from ssp_env.search.engine import check_corpus, check_search, passages_by_id, sample_passages

_log = logging.getLogger("ssp_env.search")

# Below this many query-passage pairs a batch is done before threads have started, and in smaller corpora
# threads mostly wait for the interpreter.
_THREADED_WORK = 2_000_000
_THREADED_PASSAGES = 50_000


class BM25Engine:
    """BM25 ranking of a fixed corpus, batched and deterministic.

    A query is a bag of words: any string is allowed, nothing in it is syntax, and a query without a
    single word finds nothing. Words are found whatever their case, accents and code points; in scripts
    without spaces overlapping pairs and triples of characters take the place of words, in Korean pairs.
    Equal scores are ordered by passage id. Retrieval is lexical (Robertson & Zaragoza 2009, "The
    Probabilistic Relevance Framework: BM25 and Beyond"), with k1 = 1.2 and b = 0.75, summed over the title
    and text fields.

    Args:
        passages: The corpus; ids must be unique.
        path: Directory that holds index and passages, mapped into memory; both are held in memory when None.
            A directory that already holds the index of the same corpus and settings is opened, any other
            content is refused. `BM25Engine.open` opens one without the corpus at hand.
        stem: Reduce words to English stems, so that `rivers` finds `river`. Turn off for invented words.
        drop_stop_words: Ignore English stop words (`the`, `of`, ...) in queries; a query of nothing else
            keeps them.
        all_words_first: Rank passages with every word of the query, in title or text, above all others.
        title_boost: Factor of the title's share of a score.
        prune_above: Most postings of the words of a query, counted for titles and texts, with which every
            passage with any of the words is ranked. With more postings, only passages with one of the rare
            words of the query are ranked, with the same scores. None always ranks every passage.
        eager_up_to: Most passages of a corpus whose scores are computed when it is indexed, which makes
            searches fast and ranks every passage; not with `all_words_first`. None, the default, stands for
            so many as take 1.5 GB to compute, about 680,000 passages of 550 bytes. The scores of larger
            corpora are computed when a query comes, with lengths of texts rounded to a byte.
        tokenization: How texts become words. 1 is that of earlier versions, which neither folded texts nor
            found words in scripts without spaces.
        one_field: Score title and text as one text instead of summing what each of them adds.

    Raises:
        ValueError: If the corpus is empty, two passages share an id, or `path` holds something else.

    Example:
        >>> belin = Passage("0", "belin", "belin home corun")
        >>> corun = Passage("1", "corun", "corun mayor tavor")
        >>> engine = BM25Engine([belin, corun])
        >>> [passage.title for passage in engine.search(["mayor of corun"], top_k=2)[0]]
        ['corun', 'belin']
    """

    _index: EagerIndex | TermIndex
    _passages: list[Passage] | StoredPassages
    _path: Path | None = None
    _fingerprint: str | None = None
    _check: RankingCheck | None = None

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
        eager_up_to: int | None = None,
        tokenization: int = TOKENIZATION,
        one_field: bool = False,
    ) -> None:
        settings = BM25Settings(
            stem,
            drop_stop_words,
            all_words_first,
            title_boost,
            prune_above,
            eager_up_to,
            tokenization,
            one_field,
        )
        if path is not None:
            self._open(_directory_of(passages, Path(path), settings), exact=False)
            return
        corpus = sorted(passages, key=attrgetter("id"))
        check_corpus(corpus)
        settings = settings.fitted(len(corpus), stored_bytes(corpus))
        self._settings, self._passages = settings, corpus
        if settings.is_eager(len(corpus)):
            self._index = EagerIndex(*compute_scores(corpus, settings), settings, corpus)
        else:
            self._index = TermIndex(index_terms(corpus, settings), settings, corpus)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, exact: bool = False) -> BM25Engine:
        """Open an index directory; any number of processes may.

        The order of ids and the terms are compared with their hashes: before the index opens if they have at
        most 64 MiB, and else in the background, so that it opens in milliseconds; a search after damage was
        found raises. The checksum of a text is compared when the text is read.

        Args:
            path: What `ssp index build` or an engine with a `path` made.
            exact: Search as with `prune_above=None`, whatever the index was built with.

        Raises:
            IndexDirectoryError: If it is no index, or one of another format.
            DamagedIndexError: If files are missing or cut, or bytes of a small index have changed.
        """
        engine = cls.__new__(cls)
        engine._open(Path(path), exact)
        return engine

    def __reduce__(self) -> tuple[Callable[..., BM25Engine], tuple[Any, ...]]:
        # tantivy's index does not pickle: the copy builds its own, or opens the directory.
        if self._path is not None:
            return partial(BM25Engine.open, exact=self._settings.prune_above is None), (self._path,)
        return partial(BM25Engine, **asdict(self._settings)), (self._passages,)

    def __len__(self) -> int:
        """Return the number of passages."""
        return len(self._passages)

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return, as `SearchEngine.search` says, passages with a word in common with a query, with scores."""
        check_search(queries, top_k)
        if self._check is not None:
            self._check.raise_problem()
        search = self._index.search
        small = len(self) < _THREADED_PASSAGES or len(queries) * len(self) < _THREADED_WORK
        if small or not self._index.releases_lock:
            return [search(query, top_k) for query in queries]
        workers = os.cpu_count() or 1
        share = -(-len(queries) // workers)
        shares = [queries[start : start + share] for start in range(0, len(queries), share)]
        with ThreadPoolExecutor(workers) as pool:
            return list(chain.from_iterable(pool.map(lambda part: [search(q, top_k) for q in part], shares)))

    def fingerprint(self) -> str:
        """Return the sha256 of the corpus, the settings and the version of the ranking library."""
        if self._fingerprint is None:
            self._fingerprint = _fingerprint(self._passages, self._settings)
        return self._fingerprint

    def sample(self, rng: np.random.Generator, count: int, exclude: Collection[str] = ()) -> list[Passage]:
        """Draw up to `count` distinct passages uniformly, as `PassageSampler.sample` says."""
        return sample_passages(self._passages, rng, count, exclude)

    def get_passages(self, ids: Sequence[str]) -> list[Passage | None]:
        """Return the passage of each id, as `PassageStore.get_passages` says."""
        return passages_by_id(self._passages, ids)

    def _open(self, path: Path, exact: bool) -> None:
        manifest = read_manifest(path)
        self._check = RankingCheck(path, manifest)
        if exact:
            manifest = replace(manifest, settings=replace(manifest.settings, prune_above=None))
        settings, passages, terms = manifest.settings, manifest.open_passages(path), path / manifest.terms
        if settings.tokenization < TOKENIZATION:
            _log.warning(
                "%s is searched with the words of the version that built it, which knew neither folding nor "
                "scripts without spaces; build it again to find them",
                path,
            )
        self._settings, self._passages = settings, passages
        self._path, self._fingerprint = path, manifest.fingerprint
        if settings.is_eager(len(passages)):
            self._index = EagerIndex(*open_scores(terms), settings, passages)
        else:
            self._index = TermIndex(open_terms(terms), settings, passages)


def _fingerprint(passages: Iterable[Passage], settings: BM25Settings) -> str:
    corpus = CorpusDigest(passages)
    return corpus.fingerprint(settings.ranking(corpus.count))


def _directory_of(passages: Iterable[Passage], path: Path, settings: BM25Settings) -> Path:
    """Return a directory that holds the index of these passages, built if there is nothing yet."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"the index needs a directory, got the file {path}")
    if not path.exists() or not any(path.iterdir()):
        build_index(passages, path, settings, source=None)
        return path
    try:
        found = read_manifest(path)
        # An index with words of an earlier version is opened as it is; `_open` says so.
        settings = replace(settings, tokenization=found.settings.tokenization)
        if settings.eager_up_to is None:
            settings = replace(settings, eager_up_to=found.settings.eager_up_to)
        same = found.fingerprint == _fingerprint(passages, settings)
    except IndexDirectoryError:
        same = False
    if not same:
        raise ValueError(
            f"{path} holds something other than the index of this corpus with these settings; "
            "choose another directory or delete it"
        )
    return path
