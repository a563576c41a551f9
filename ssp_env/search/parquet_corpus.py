"""A Parquet file as a corpus, read in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ssp_env.data.lines import DataFileError
from ssp_env.passage import Passage
from ssp_env.search.corpus import CorpusError, parse_passage

_COLUMNS = ("id", "_id", "title", "text", "contents")
_ROWS_PER_BATCH = 1_000


def read_parquet(path: Path, *, on_bad: Callable[[CorpusError], object] | None = None) -> Iterator[Passage]:
    """Stream the passages of a Parquet file with the columns that `read_corpus` expects as keys.

    Args:
        path: The file.
        on_bad: Called with what is wrong with a row, which is then skipped; if None it is raised. Rows are
            numbered from 1 in place of lines.

    Raises:
        CorpusError: While iterating, if the file cannot be read or has no row, or a row is malformed.
        ValueError: If pyarrow is not installed.
    """
    number = 0
    with _open(path) as file:
        columns = [name for name in file.schema_arrow.names if name in _COLUMNS]
        try:
            for batch in file.iter_batches(_ROWS_PER_BATCH, columns=columns):
                for record in batch.to_pylist():
                    number += 1
                    try:
                        passage = parse_passage(record, path, number)
                    except DataFileError as error:
                        bad = CorpusError(error.problem, path, number)
                        if on_bad is None:
                            raise bad from error
                        on_bad(bad)
                        continue
                    yield passage
        except OSError as error:
            raise CorpusError(f"expected a whole Parquet file, got a damaged one: {error}", path) from error
    if not number:
        raise CorpusError("expected at least one passage, got an empty file", path)


def count_rows(path: Path) -> int:
    """Return the number of rows, without reading them."""
    with _open(path) as file:
        rows: int = file.metadata.num_rows
    return rows


def _open(path: Path) -> Any:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise ValueError(
            "Parquet files need pyarrow. Install it with: pip install 'ssp-env[parquet]'"
        ) from error
    try:
        return ParquetFile(path)
    except ArrowInvalid as error:
        raise CorpusError(f"expected a whole Parquet file, got a damaged one: {error}", path) from error
    except OSError as error:
        raise CorpusError(f"cannot be read: {error.strerror or error}", path) from error
