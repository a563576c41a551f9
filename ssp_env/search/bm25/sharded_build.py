"""Building an index as shards for servers of their own, with the scores of one index of everything.

A score depends on the corpus by the number of passages, the number that have a word, and the mean length.
These are counted over all shards before any score is computed, and each shard keeps its words in the order
of the whole, in which scores are summed up, so that rankings can be merged exactly.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np

from ssp_env.game.passage import Passage
from ssp_env.objects import check_least
from ssp_env.search.bm25.builder import FIRST_FILE, Reading, building, ingest, seal, write_order
from ssp_env.search.bm25.directory import CorpusDigest, Manifest, Shard
from ssp_env.search.bm25.eager_scores import CorpusStatistics, weigh_words, write_scores
from ssp_env.search.bm25.passage_file import PassageFiles, PassageWriter, StoredPassages
from ssp_env.search.bm25.term_index import Progress
from ssp_env.search.bm25.terms import BM25Settings, Tokenizer
from ssp_env.search.bm25.word_counts import Postings, TermNumbers, count_blocks


def build_shards(
    passages: Iterable[Passage],
    path: str | os.PathLike[str],
    shards: int,
    settings: BM25Settings | None = None,
    *,
    source: str | None,
    progress: Progress = lambda stage, done, total: None,
) -> list[Manifest]:
    """Build the index directories `shard-1-of-4` and so on in the directory `path`.

    Scores are computed beforehand, whatever the size of the corpus: they are those of an index with
    `eager_up_to` of at least all passages. Memory is that of one shard, about 15 bytes per word, and of all
    distinct words; the disk holds the texts twice while this runs.

    Args:
        passages: The corpus; ids must be unique.
        path: The directory, absent or empty.
        shards: Number of shards, of equal size, each a range of ids.
        settings: Settings of the ranking.
        source: As for `build_index`; reading goes on where it was interrupted.
        progress: Told how far the build is.

    Raises:
        ValueError: If there are fewer passages than shards, two share an id, `path` holds something, or the
            settings have `all_words_first`, for which scores are not computed beforehand.
    """
    settings = settings or BM25Settings()
    check_least(1, shards=shards)
    if settings.all_words_first:
        raise ValueError("shards have scores computed beforehand, which all_words_first excludes")
    with building(path, source) as workshop:
        start = Reading(source, f"{settings} shards={shards}")
        read = ingest(passages, workshop, start, progress)
        if read.passages < shards:
            raise ValueError(f"expected a passage or more for each of {shards} shards, got {read.passages}")
        settings = replace(settings, eager_up_to=max(settings.eager_up_to or 0, read.passages))
        files, order = PassageFiles([workshop / FIRST_FILE]), workshop / "order.bin"
        write_order(files, order, workshop, read.passages, progress)
        build = _Build(workshop, StoredPassages(files, order), shards, settings, read, progress)
        manifests = build.write()
        order.unlink()
        (workshop / FIRST_FILE).unlink()
    return manifests


@dataclass(frozen=True)
class _Build:
    """The shards of a corpus that has been read and sorted."""

    workshop: Path
    stored: StoredPassages
    shards: int
    settings: BM25Settings
    read: Reading
    progress: Progress

    def write(self) -> list[Manifest]:
        """Write every shard."""
        numbers, statistics = TermNumbers(Tokenizer(self.settings)), CorpusStatistics()
        bounds = [len(self.stored) * number // self.shards for number in range(self.shards + 1)]
        with tempfile.TemporaryFile(dir=self.workshop) as counts:
            begun = []
            for number, (begin, end) in enumerate(pairwise(bounds), start=1):
                manifest, blocks = self._count(number, begin, end, numbers, statistics, counts)
                begun.append((manifest, blocks))
            counts.seek(0)
            return [
                self._weigh(manifest, _read_postings(counts, blocks), numbers, statistics)
                for manifest, blocks in begun
            ]

    def _count(
        self,
        number: int,
        begin: int,
        end: int,
        numbers: TermNumbers,
        statistics: CorpusStatistics,
        counts: IO[bytes],
    ) -> tuple[Manifest, int]:
        """Write the passages of a shard, and count their words into a file; return the number of blocks."""
        whole = CorpusDigest(total=int(self.read.corpus, 16), count=self.read.passages)
        ranking, digest = self.settings.ranking(whole.count), CorpusDigest()
        shard = Shard(number, self.shards, whole.fingerprint(ranking))
        folder = shard.folder(self.workshop)
        folder.mkdir(exist_ok=True)

        def copied() -> Iterator[Passage]:
            for rank in range(begin, end):
                passage = self.stored[rank]
                writer.append(passage)
                digest.add(passage)
                yield passage

        with PassageWriter(folder / FIRST_FILE) as writer:
            blocks = 0
            for postings in count_blocks(
                copied(), numbers, lambda done: self.progress("Indexing", begin + done, whole.count)
            ):
                statistics.add(postings)
                for array in postings:
                    np.save(counts, array)
                blocks += 1
            writer.sync()
        corpus, source = digest.hexdigest(), self.read.source or "passages"
        manifest = Manifest(1, ranking, self.settings, source, digest.count, corpus, {}, shard)
        files = PassageFiles([folder / FIRST_FILE])
        write_order(files, folder / manifest.order, folder, digest.count, lambda stage, done, total: None)
        return manifest, blocks

    def _weigh(
        self,
        manifest: Manifest,
        postings: deque[Postings],
        numbers: TermNumbers,
        statistics: CorpusStatistics,
    ) -> Manifest:
        """Write the scores of a shard and publish it."""
        assert manifest.shard is not None
        folder, number = manifest.shard.folder(self.workshop), manifest.shard.number
        terms = folder / manifest.terms
        terms.mkdir(exist_ok=True)
        write_scores(terms, *weigh_words(postings, list(numbers.terms), statistics, self.settings))
        return seal(
            manifest,
            folder,
            [FIRST_FILE],
            {},
            lambda stage, done, total: self.progress(f"{stage} shard {number}", done, total),
        )


def _read_postings(file: IO[bytes], blocks: int) -> deque[Postings]:
    return deque(Postings(*(np.load(file) for _ in Postings._fields)) for _ in range(blocks))
