"""Records in the files that data sets come in: JSON Lines, a JSON array, CSV or TSV, Parquet."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from ssp_env.data.lines import DataFileError, decode_line, read_byte_lines, shown
from ssp_env.objects import missing_extra

Value = TypeVar("Value")
Record: TypeAlias = dict[str, Any]
Rows: TypeAlias = Iterator[tuple[int, Record | DataFileError]]
OnBad: TypeAlias = Callable[[DataFileError], object]

TABLE_SUFFIXES: Mapping[str, str] = {".csv": ",", ".tsv": "\t"}
"""Suffixes of tables, before an optional `.gz`, and what separates their cells."""
_PARQUET_MAGIC = b"PAR1"
_ROWS_PER_BATCH = 1_000
_MAX_CELL_CHARS = 2**27
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
# Cells are text, and these are numbers; ids and answers of digits stay text.
_NUMBER_COLUMNS = ("hops",)


def read_records(
    path: str | os.PathLike[str],
    parse: Callable[[Record, int], Value],
    keys: Collection[str],
    needed: Sequence[Sequence[str]],
    *,
    text_key: str = "",
    on_bad: OnBad | None = None,
    on_bytes: Callable[[int], object] | None = None,
) -> Iterator[tuple[int, Value]]:
    """Stream what the records of a file hold, with the numbers of their lines, rows or elements from 1.

    A file named `*.csv` or `*.tsv` is a table whose first line names the columns. Other files are told by
    what is in them: Parquet, a JSON array of objects, else one JSON object a line. All but Parquet may be
    gzipped. An array is read whole, the others in constant memory.

    Args:
        path: The file.
        parse: Function from a record and its number to what it holds; it raises a ValueError if the record is
            malformed.
        keys: Every key that `parse` reads; other columns of a table or of Parquet are left out.
        needed: Groups of keys, of each of which a table or Parquet file must have one as a column.
        text_key: Key under which a plain string in an array stands; empty if strings are malformed.
        on_bad: Called with what is wrong with a malformed record, which is then skipped; raised if None.
        on_bytes: Called now and then with the number of bytes of a text file that have been read.

    Raises:
        DataFileError: While iterating, if the file cannot be read or is cut short, or a record is malformed.
        ModuleNotFoundError: If the file is Parquet and pyarrow is not installed.
    """
    for number, record in _rows(path, keys, needed, text_key, on_bytes):
        try:
            if isinstance(record, DataFileError):
                raise record
            value = parse(record, number)
        except ValueError as error:
            bad = error if isinstance(error, DataFileError) else DataFileError(str(error), path, number)
            if on_bad is None:
                raise bad from error
            on_bad(bad)
        else:
            yield number, value


def _rows(
    path: str | os.PathLike[str],
    keys: Collection[str],
    needed: Sequence[Sequence[str]],
    text_key: str,
    on_bytes: Callable[[int], object] | None,
) -> Rows:
    if is_parquet(path):
        return _parquet(path, keys, needed)
    lines = read_byte_lines(path, on_bytes)
    separator = table_separator(path)
    if separator:
        return _table(path, separator, lines, keys, needed)
    first, lines = _first_line(lines)
    return _array(path, lines, text_key) if first.startswith(b"[") else _json_lines(path, lines)


def is_json_suffix(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a JSON file: `*.json` or `*.jsonl`, gzipped or not.

    >>> is_json_suffix("answers.JSONL.gz"), is_json_suffix("answers.txt")
    (True, False)
    """
    return _suffix(path) in (".json", ".jsonl")


def table_separator(path: str | os.PathLike[str]) -> str:
    r"""Return what separates the cells of a table by its name; empty if it is none.

    >>> table_separator("answers.tsv.gz"), table_separator("answers.txt")
    ('\t', '')
    """
    return TABLE_SUFFIXES.get(_suffix(path), "")


def _suffix(path: str | os.PathLike[str]) -> str:
    return Path(os.fspath(path).lower().removesuffix(".gz")).suffix


def _first_line(lines: Iterator[tuple[int, bytes]]) -> tuple[bytes, Iterator[tuple[int, bytes]]]:
    """Return the first line that is not blank, and all lines."""
    read = []
    for number, line in lines:
        read.append((number, line))
        if text := line.removeprefix(b"\xef\xbb\xbf").strip():
            return text, chain(read, lines)
    return b"", iter(read)


# -- JSON ------------------------------------------------------------------------------------------------


def _json_lines(path: str | os.PathLike[str], lines: Iterable[tuple[int, bytes]]) -> Rows:
    for number, line in lines:
        try:
            if text := decode_line(line, path, number).strip():
                yield number, _json_object(text, path, number)
        except DataFileError as error:
            yield number, error


def _json_object(line: str, path: str | os.PathLike[str], number: int) -> Record:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        cure = ": put each object on a line of its own, or all of them into one array" * (line == "{")
        raise DataFileError(
            f"expected one JSON object a line, got invalid JSON: {error}{cure}", path, number
        ) from error
    if not isinstance(value, dict):
        raise DataFileError(f"expected one JSON object a line, got {shown(value)}", path, number)
    return _checked(value, path, number, line)


def _array(path: str | os.PathLike[str], lines: Iterable[tuple[int, bytes]], text_key: str) -> Rows:
    text = "".join(decode_line(line, path, number) for number, line in lines)
    decoder = json.JSONDecoder()
    place, number = _past_space(text, text.index("[") + 1), 0
    while not (text.startswith("]", place) and not number):
        number += 1
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            raise DataFileError(
                f"expected a whole JSON array, got one that is cut short or malformed in element {number}: "
                f"{error}",
                path,
                number,
            ) from error
        if text_key and isinstance(value, str):
            value = {text_key: value}
        if isinstance(value, dict):
            try:
                yield number, _checked(value, path, number, text)
            except DataFileError as error:
                yield number, error
        else:
            yield number, DataFileError(f"expected an array of objects, got {shown(value)}", path, number)
        place = _past_space(text, place)
        if text.startswith("]", place):
            break
        if not text.startswith(",", place):
            got = repr(text[place : place + 20]) if place < len(text) else "the end of the file"
            raise DataFileError(
                f"expected a whole JSON array, got {got} after element {number}", path, number
            )
        place = _past_space(text, place + 1)
    if rest := text[place + 1 :].strip():
        raise DataFileError(f"expected one JSON array and nothing else, got {rest[:20]!r} after it", path)


def _past_space(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _checked(record: Record, path: str | os.PathLike[str], number: int, text: str) -> Record:
    # JSON may escape a lone surrogate, which no UTF-8 file written later could hold.
    if _SURROGATE_ESCAPE.search(text) and not _is_encodable(json.dumps(record, ensure_ascii=False)):
        raise DataFileError("expected valid Unicode, got an escaped lone surrogate", path, number)
    return record


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


# -- tables ----------------------------------------------------------------------------------------------


def _table(
    path: str | os.PathLike[str],
    separator: str,
    lines: Iterable[tuple[int, bytes]],
    keys: Collection[str],
    needed: Sequence[Sequence[str]],
) -> Rows:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL_CHARS))
    # Strict: a cell that begins with a quotation mark and goes on after the closing one would lose both.
    rows = csv.reader(
        (decode_line(line, path, number) for number, line in lines), delimiter=separator, strict=True
    )
    header: list[str] = []
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            advice = 'a cell with a quotation mark, separator or line break is written "..." with "" for "'
            raise DataFileError(f"expected a table of cells, got {error}: {advice}", path, number) from error
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if not header:
            header = [cell.strip().lower() for cell in row]
            _check_columns(path, header, keys, needed, "the first line must name the columns")
        elif len(row) != len(header):
            problem = f"expected {len(header)} cells, one for each of {', '.join(header)}, got {len(row)}"
            yield number, DataFileError(problem, path, number)
        else:
            yield number, {name: _cell(name, cell) for name, cell in zip(header, row) if name in keys}


def _cell(name: str, cell: str) -> Any:
    if name in _NUMBER_COLUMNS:
        return int(cell) if cell.strip().isdecimal() else cell.strip() or None
    return cell


def _check_columns(
    path: str | os.PathLike[str],
    names: list[str],
    keys: Collection[str],
    needed: Sequence[Sequence[str]],
    cure: str,
) -> None:
    for group in needed:
        if not any(name in group for name in names):
            raise DataFileError(
                f"expected a column {' or '.join(map(repr, group))}, got the columns {shown(names)}: {cure}",
                path,
            )
    if twice := sorted({name for name in names if name in keys and names.count(name) > 1}):
        raise DataFileError(f"expected columns of different names, got {', '.join(twice)} twice", path)


# -- Parquet ---------------------------------------------------------------------------------------------


def is_parquet(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as Parquet does; a pipe is none, for what is read from it would be missing.

    Raises:
        DataFileError: If the file cannot be read.
    """
    if Path(path).is_fifo():
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    except OSError as error:
        raise DataFileError(f"cannot be read: {error.strerror or error}", path) from error


def count_rows(path: str | os.PathLike[str]) -> int:
    """Return the number of rows of a Parquet file, without reading them.

    Raises:
        DataFileError: If the file cannot be read.
        ModuleNotFoundError: If pyarrow is not installed.
    """
    with _open_parquet(path) as file:
        rows: int = file.metadata.num_rows
    return rows


def _parquet(path: str | os.PathLike[str], keys: Collection[str], needed: Sequence[Sequence[str]]) -> Rows:
    number = 0
    with _open_parquet(path) as file:
        names = list(file.schema_arrow.names)
        _check_columns(path, names, keys, needed, "rename a column")
        columns = [name for name in names if name in keys]
        try:
            for batch in file.iter_batches(_ROWS_PER_BATCH, columns=columns):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
        except _damage() as error:
            raise _damaged(path, error) from error


def _damage() -> tuple[type[Exception], ...]:
    """What pyarrow raises at damaged files: its own errors, and those of values that cannot be converted."""
    from pyarrow import ArrowException

    return (OSError, ValueError, OverflowError, ArrowException)


def _damaged(path: str | os.PathLike[str], error: Exception) -> DataFileError:
    return DataFileError(f"expected a whole Parquet file, got a damaged one: {error!s:.300}", path)


def _open_parquet(path: str | os.PathLike[str]) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise missing_extra("pyarrow", "parquet") from error
    try:
        return ParquetFile(path)
    except OSError as error:
        if error.errno is None:  # pyarrow's own, which is no error of the system
            raise _damaged(path, error) from error
        raise DataFileError(f"cannot be read: {error.strerror or error}", path) from error
    except (ArrowException, ValueError, OverflowError) as error:
        raise _damaged(path, error) from error
