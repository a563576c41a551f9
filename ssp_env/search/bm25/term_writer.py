"""Writing the terms of an index directory: scores of a smaller corpus, tantivy's index of a larger one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import tantivy

from ssp_env.game.passage import Passage
from ssp_env.search.bm25.eager_index import compute_scores, write_scores
from ssp_env.search.bm25.passage_file import PassageFiles, StoredPassages
from ssp_env.search.bm25.terms import (
    MAX_HEAP_BYTES,
    MIN_HEAP_BYTES,
    TOKENIZER,
    BM25Settings,
    encodable,
    make_analyzer,
    make_schema,
)

Progress: TypeAlias = Callable[[str, int, "int | None"], object]
"""Called with the stage, how much of it is done and, where known, how much there is."""

_COMMIT = 2_000_000
_REPORT = 1_000
_HEAP_BYTES_PER_BYTE = 4
_SINGLE_THREAD_HEAPS = 4
_MAX_THREADS = 8


def write_terms(
    terms: Path, files: PassageFiles, order: Path, settings: BM25Settings, progress: Progress
) -> None:
    """Write the terms of all passages, and go on from what an earlier build committed to tantivy's index.

    Args:
        terms: The folder, new or left by an earlier build.
        files: The passages.
        order: File of their positions in the order of ids.
        settings: Settings of the ranking.
        progress: Told how far it is.

    Raises:
        OSError: If the disk is full, for example.
    """
    terms.mkdir(exist_ok=True)
    stored = StoredPassages(files, order)
    if settings.is_eager(len(stored)):
        write_scores(
            terms, *compute_scores(stored, settings, lambda done: progress("Indexing", done, len(stored)))
        )
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
    with _writer(index, settings, _HEAP_BYTES_PER_BYTE * files.size) as writer:
        done = index.searcher().num_docs
        for rank in range(done, len(stored)):
            writer.add_document(_document(stored[rank], int(stored.order[rank])))
            if (rank + 1) % _COMMIT == 0:
                writer.commit()
            if (rank + 1) % _REPORT == 0:
                progress("Indexing", rank + 1, len(stored))


@_disk_errors()
def extend_terms(
    old: Path, new: Path, added: PassageFiles, base: int, settings: BM25Settings, progress: Progress
) -> None:
    """Write tantivy's index of folder `old` and further passages, from position `base`, to folder `new`.

    Raises:
        OSError: If the disk is full, for example.
    """
    shutil.copytree(old, new, copy_function=_link_or_copy)
    index = tantivy.Index.open(str(new))
    with _writer(index, settings, _HEAP_BYTES_PER_BYTE * added.size) as writer:
        for done, (position, passage) in enumerate(added.scan(), start=1):
            writer.add_document(_document(passage, base + position))
            if done % _REPORT == 0:
                progress("Indexing", done, None)


@contextmanager
def _writer(index: tantivy.Index, settings: BM25Settings, heap: int) -> Iterator[tantivy.IndexWriter]:
    """Open a writer, and commit and finish all merges at the end."""
    index.register_tokenizer(TOKENIZER, make_analyzer(settings.stem))
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


def _document(passage: Passage, position: int) -> tantivy.Document:
    return tantivy.Document(title=encodable(passage.title), text=encodable(passage.text), row=position)


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
