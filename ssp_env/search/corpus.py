"""Reading a corpus of passages: JSON Lines, Parquet, or a folder of documents."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ssp_env.data.lines import DataFileError, decode_line, parse_id, parse_record, read_byte_lines, shown
from ssp_env.game.passage import Passage
from ssp_env.objects import missing_extra
from ssp_env.search.plain_text import page_text


class CorpusError(DataFileError):
    """A corpus file that cannot be used; the message names the file, the line and what was expected."""


def read_corpus(
    path: str | os.PathLike[str],
    *,
    on_bad: Callable[[CorpusError], object] | None = None,
    on_bytes: Callable[[int], object] | None = None,
) -> Iterator[Passage]:
    r"""Stream the passages of a JSONL file, gzipped or not, in constant memory.

    A line is `{"id": ..., "title": ..., "text": ...}`, with `_id` in place of `id` as in BEIR, or
    `{"id": ..., "contents": "\"Title\"\ntext"}` as in Search-R1, with the title on the first line, quoted or
    not. Other keys are ignored.

    Args:
        path: The file.
        on_bad: Called with what is wrong with a malformed line, which is then skipped; if None it is raised.
        on_bytes: Called now and then with the number of bytes of the file that have been read.

    Raises:
        CorpusError: While iterating, if the file cannot be read or has no passage, or a line is malformed.
    """
    empty = True
    try:
        for number, line in read_byte_lines(path, on_bytes):
            try:
                text = decode_line(line, path, number)
                if not text:
                    continue
                passage = parse_passage(parse_record(text, path, number), path, number)
            except DataFileError as error:
                if on_bad is None:
                    raise
                on_bad(CorpusError(error.problem, path, error.line))
                continue
            yield passage
            empty = False
    except DataFileError as error:
        raise CorpusError(error.problem, path, error.line) from error
    if empty:
        raise CorpusError("expected at least one passage, got an empty file", path)


def parse_passage(record: Mapping[str, Any], path: str | os.PathLike[str], number: int) -> Passage:
    """Return the passage that a record holds.

    Raises:
        DataFileError: If a field is missing or of another type, or the passage is blank.
    """
    try:
        identifier = parse_id({"id": record["_id"]} if "_id" in record and "id" not in record else record)
        title, text = _split_contents(record["contents"]) if "contents" in record else _title_and_text(record)
    except ValueError as error:
        raise DataFileError(str(error), path, number) from error
    if not title.strip() and not text.strip():
        raise DataFileError("expected a passage with a title or text, got a blank one", path, number)
    return Passage(identifier, title, text)


def _split_contents(contents: object) -> tuple[str, str]:
    if not isinstance(contents, str) or "\n" not in contents:
        raise ValueError(f'expected a title line and the text below it in "contents", got {shown(contents)}')
    title, _, text = contents.partition("\n")
    title = title.strip()
    if len(title) >= 2 and title[0] == title[-1] == '"':
        title = title[1:-1]
    return title, text


def _title_and_text(record: Mapping[str, Any]) -> tuple[str, str]:
    title, text = record.get("title"), record.get("text")
    if not isinstance(title, str) or not isinstance(text, str):
        raise ValueError(
            f'expected the strings "title" and "text", or "contents", got the keys {sorted(record)}'
        )
    return title, text


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
        ModuleNotFoundError: If pyarrow is not installed.
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
        raise missing_extra("pyarrow", "parquet") from error
    try:
        return ParquetFile(path)
    except ArrowInvalid as error:
        raise CorpusError(f"expected a whole Parquet file, got a damaged one: {error}", path) from error
    except OSError as error:
        raise CorpusError(f"cannot be read: {error.strerror or error}", path) from error


SUFFIXES = (".md", ".markdown", ".html", ".htm", ".txt")

_MARKDOWN_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)


def document_paths(folder: Path) -> list[Path]:
    """Return the documents below a folder, sorted; links that lead out of it are left out."""
    root = folder.resolve()
    found = []
    for parent, _, names in os.walk(root, followlinks=False):
        paths = (Path(parent, name) for name in names if name.lower().endswith(SUFFIXES))
        found += [path for path in paths if path.is_file() and path.resolve().is_relative_to(root)]
    return sorted(found)


def read_folder(
    folder: Path,
    *,
    on_bad: Callable[[CorpusError], object] | None = None,
    on_bytes: Callable[[int], object] | None = None,
) -> Iterator[Passage]:
    """Stream the documents below a folder as passages.

    The id is the path below the folder, with `/` on every system. The title is that of the HTML page, the
    first heading of Markdown or else the name of the file.

    Args:
        folder: The folder.
        on_bad: Called with what is wrong with a file, which is then skipped; if None it is raised.
        on_bytes: Called after every file with the number of bytes read so far.

    Raises:
        CorpusError: While iterating, if there is no document, or one cannot be read or is not UTF-8.
    """
    root, done = folder.resolve(), 0
    paths = document_paths(folder)
    if not paths:
        raise CorpusError(f"expected files that end in {', '.join(SUFFIXES)}, found none", folder)
    for path in paths:
        try:
            content = path.read_bytes()
            passage = _passage(content, path, path.relative_to(root).as_posix())
        except CorpusError as error:
            if on_bad is None:
                raise
            on_bad(error)
            continue
        except OSError as error:
            raise CorpusError(f"cannot be read: {error.strerror or error}", path) from error
        done += len(content)
        if on_bytes is not None:
            on_bytes(done)
        yield passage


def _passage(content: bytes, path: Path, identifier: str) -> Passage:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"expected UTF-8 text, got byte 0x{content[error.start]:02x}", path) from error
    title = ""
    if path.suffix.lower() in (".html", ".htm"):
        title, text = page_text(text)
    elif path.suffix.lower() in (".md", ".markdown"):
        heading = _MARKDOWN_HEADING.search(text)
        title = heading[1] if heading else ""
    if not text.strip():
        raise CorpusError("expected a document with text, got a blank one", path)
    # A name may hold bytes that are no text; an id may not.
    identifier = identifier.encode("utf-8", "backslashreplace").decode()
    return Passage(identifier, title or Path(identifier).stem, text.strip())
