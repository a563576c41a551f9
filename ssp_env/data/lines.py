"""Reading text files line by line, plain or gzipped, with errors that name the file and the line."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = "\ufeff"
_LINES_PER_REPORT = 256
_LONGEST_PROBLEM = 1500


class DataFileError(ValueError):
    """A data file that cannot be used.

    Attributes:
        problem: What was expected and what came, without file and line.
        path: The file.
        line: Number of the offending line, row or element, from 1; None if the file as a whole is at fault.
    """

    def __init__(self, problem: str, path: str | os.PathLike[str], line: int | None = None) -> None:
        # What came may be long: its beginning is shown, and what to do about it, which stands at the end.
        if len(problem) > _LONGEST_PROBLEM:
            problem = f"{problem[: _LONGEST_PROBLEM - 300]} ... {problem[-295:]}"
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
        text = decode_line(line, path, number).strip()
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
    """Return a line as text, as it is but for a byte order mark.

    Raises:
        DataFileError: If it is not UTF-8.
    """
    try:
        return line.decode("utf-8").removeprefix(_BYTE_ORDER_MARK if number == 1 else "")
    except UnicodeDecodeError as error:
        raise DataFileError(
            f"expected UTF-8 text, got byte 0x{error.object[error.start]:02x}", path, number
        ) from error


def shown(value: object) -> str:
    """Return a value as an error message names it: its type and the beginning of its text."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
