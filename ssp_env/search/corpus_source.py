"""What an index can be built from: a file, a folder or a world, told apart by looking at it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from ssp_env.passage import Passage
from ssp_env.search.corpus import CorpusError, read_corpus
from ssp_env.search.document_folder import document_paths, read_folder
from ssp_env.search.parquet_corpus import count_rows, read_parquet

_PARQUET_MAGIC = b"PAR1"
_BEIR_CORPUS = "corpus.jsonl"


class PassageReader(Protocol):
    """Streams passages; malformed ones go to `on_bad` if it is given."""

    def __call__(self, *, on_bad: Callable[[CorpusError], object] | None) -> Iterator[Passage]: ...


@dataclass
class CorpusSource:
    """A corpus that has not been read yet.

    Attributes:
        identity: Names the source and its version: a file that has changed has another.
        total: How much there is: bytes, or passages for a Parquet file.
        done: How much has been read.
    """

    identity: str
    total: int
    read: Callable[[CorpusSource, Callable[[CorpusError], object] | None], Iterator[Passage]]
    done: int = 0

    def passages(self, on_bad: Callable[[CorpusError], object] | None = None) -> Iterator[Passage]:
        """Stream the passages; what is malformed goes to `on_bad` or, if that is None, is raised."""
        return self.read(self, on_bad)


def open_source(path: Path) -> CorpusSource:
    """Open a JSONL or Parquet file, a BEIR folder or a folder of documents.

    Raises:
        CorpusError: If there is no such file.
    """
    if path.is_dir():
        beir = path / _BEIR_CORPUS
        return _json_lines(beir) if beir.is_file() else _folder(path)
    try:
        with path.open("rb") as file:
            parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    except OSError as error:
        raise CorpusError(f"cannot be read: {error.strerror or error}", path) from error
    return _parquet(path) if parquet else _json_lines(path)
