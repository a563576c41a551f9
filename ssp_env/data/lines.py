"""Reading text files line by line, plain or gzipped, with errors that name the file and the line."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = "\ufeff"
_LINES_PER_REPORT = 256
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class DataFileError(ValueError):
    """A data file that cannot be used.

    Attributes:
        problem: What was expected and what came, without file and line.
        path: The file.
        line: Number of the offending line, from 1, or None if the file as a whole is at fault.
    """

    def __init__(self, problem: str, path: str | os.PathLike[str], line: int | None = None) -> None:
        self.problem = problem
        self.path = os.fspath(path)
        self.line = line
        super().__init__(f"{self.path}: {problem}" if line is None else f"{self.path}:{line}: {problem}")


def read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Stream the non-blank lines of a UTF-8 text file, gzipped or not, stripped, with their numbers from 1.

    Raises:
        DataFileError: If the file cannot be read, is not UTF-8, or is a damaged gzip file.
    """
    for number, line in read_byte_lines(path):
        text = decode_line(line, path, number)
        if text:
            yield number, text


def read_byte_lines(
    path: str | os.PathLike[str], on_bytes: Callable[[int], object] | None = None
) -> Iterator[tuple[int, bytes]]:
    """Stream all lines of a file, gzipped or not, as they are, with their numbers from 1.

    Args:
        path: The file.
        on_bytes: Called now and then with the number of bytes of the file that have been read.

    Raises:
        DataFileError: If the file cannot be read or is a damaged gzip file.
    """
    number = 0
    try:
        with open(path, "rb") as raw:
            zipped = raw.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
            lines = gzip.GzipFile(fileobj=raw) if zipped else raw
            for number, line in enumerate(lines, start=1):
                if on_bytes is not None and number % _LINES_PER_REPORT == 0:
                    on_bytes(raw.tell())
                yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataFileError(
            f"expected a whole gzip file, got a damaged one: {error}", path, number + 1
        ) from error
    except OSError as error:
        raise DataFileError(f"cannot be read: {error.strerror or error}", path) from error


def decode_line(line: bytes, path: str | os.PathLike[str], number: int) -> str:
    """Return a line as text, stripped.

    Raises:
        DataFileError: If it is not UTF-8.
    """
    try:
        return line.decode("utf-8").removeprefix(_BYTE_ORDER_MARK if number == 1 else "").strip()
    except UnicodeDecodeError as error:
        raise DataFileError(
            f"expected UTF-8 text, got byte 0x{error.object[error.start]:02x}", path, number
        ) from error


def parse_records(
    path: str | os.PathLike[str], parse: Callable[[dict[str, Any], int], Value]
) -> Iterator[tuple[int, Value]]:
    """Stream what the lines of a JSONL file hold, with their numbers from 1; blank lines are skipped.

    Args:
        path: The file.
        parse: Function from the JSON object of a line and the number of the line to what the line holds; it
            raises a ValueError if the object is malformed.

    Raises:
        DataFileError: If the file cannot be read, or a line is not one JSON object of valid Unicode or is
            malformed.
    """
    for number, line in read_lines(path):
        record = parse_record(line, path, number)
        try:
            yield number, parse(record, number)
        except ValueError as error:
            raise DataFileError(str(error), path, number) from error


def parse_record(line: str, path: str | os.PathLike[str], number: int) -> dict[str, Any]:
    """Return the JSON object that a line holds.

    Raises:
        DataFileError: If it is not one JSON object of valid Unicode.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataFileError(
            f"expected one JSON object a line, got invalid JSON: {error}", path, number
        ) from error
    if not isinstance(record, dict):
        raise DataFileError(f"expected one JSON object a line, got {shown(record)}", path, number)
    # JSON may escape a lone surrogate, which no UTF-8 file written later could hold.
    if _SURROGATE_ESCAPE.search(line) and not _is_encodable(json.dumps(record, ensure_ascii=False)):
        raise DataFileError("expected valid Unicode, got an escaped lone surrogate", path, number)
    return record


def parse_id(record: Mapping[str, Any]) -> str:
    """Return the `id` of a record as text.

    Raises:
        ValueError: If there is none, or it is neither a non-blank string nor an integer.
    """
    value = record.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError(f'expected a string or integer "id", got {shown(value)}')
    return str(value)


def parse_texts(record: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a non-empty list of non-blank strings, or one such string, as a tuple.

    Raises:
        ValueError: If the value is anything else.
    """
    value = record.get(key)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise ValueError(f'expected a non-empty list "{key}", got {shown(value)}')
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f'expected non-blank strings in "{key}", got {shown(text)}')
    return tuple(texts)


def shown(value: object) -> str:
    """Return a value as an error message names it: its type and the beginning of its text."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
