"""The sources of an index: a file or folder, whose format is detected, or a generated world."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ssp_env.game.passage import Passage
from ssp_env.search.corpus import (
    CorpusError,
    count_rows,
    document_paths,
    read_corpus,
    read_folder,
    read_parquet,
)
from ssp_env.worlds import World

OnBad: TypeAlias = Callable[[CorpusError], object]

_PARQUET_MAGIC = b"PAR1"
_BEIR_CORPUS = "corpus.jsonl"


@dataclass(frozen=True)
class CorpusSource:
    """A corpus that has not been read yet.

    Attributes:
        identity: Name of the source and its version, which changes when a file changes.
        total: Size of the source in the unit of the progress of `read`: bytes or passages.
        read: Streams the passages. Its arguments are a function that is called with the error of a malformed
            passage, which is raised if the function is None, and a function that is called with the progress.
    """

    identity: str
    total: int
    read: Callable[[OnBad | None, Callable[[int], object]], Iterator[Passage]]


def open_source(path: Path) -> CorpusSource:
    """Open a JSONL or Parquet file, a BEIR folder or a folder of documents.

    Raises:
        CorpusError: If it cannot be read.
    """
    if path.is_dir():
        beir = path / _BEIR_CORPUS
        return _json_lines(beir) if beir.is_file() else _folder(path)
    if path.is_fifo():
        # What is read from a pipe to tell what it holds would be missing afterwards.
        return _json_lines(path)
    try:
        with path.open("rb") as file:
            parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    except OSError as error:
        raise CorpusError(f"cannot be read: {error.strerror or error}", path) from error
    return _parquet(path) if parquet else _json_lines(path)


def world_source(world: World) -> CorpusSource:
    """The passages of a world; the progress is counted in passages."""
    return CorpusSource(
        f"world {world.id} {world.fingerprint()}",
        len(world),
        lambda on_bad, on_done: _counted(world.passages(), on_done),
    )


def _json_lines(path: Path) -> CorpusSource:
    return CorpusSource(
        _identity([path]),
        path.stat().st_size,
        lambda on_bad, on_done: read_corpus(path, on_bad=on_bad, on_bytes=on_done),
    )


def _parquet(path: Path) -> CorpusSource:
    return CorpusSource(
        _identity([path]),
        count_rows(path),
        lambda on_bad, on_done: _counted(read_parquet(path, on_bad=on_bad), on_done),
    )


def _folder(path: Path) -> CorpusSource:
    paths = document_paths(path)
    return CorpusSource(
        f"{path.resolve()} {_identity(paths)}",
        sum(document.stat().st_size for document in paths),
        lambda on_bad, on_done: read_folder(path, on_bad=on_bad, on_bytes=on_done),
    )


def _counted(passages: Iterable[Passage], on_done: Callable[[int], object]) -> Iterator[Passage]:
    for number, passage in enumerate(passages, start=1):
        on_done(number)
        yield passage


def _identity(paths: list[Path]) -> str:
    """Name files by path, size and time of the last change."""
    digest = hashlib.sha256()
    for path in paths:
        found = path.stat()
        digest.update(f"{path.resolve()!s} {found.st_size} {found.st_mtime_ns}\n".encode(errors="replace"))
    return f"{paths[0].resolve() if len(paths) == 1 else f'{len(paths)} files'} {digest.hexdigest()[:16]}"
