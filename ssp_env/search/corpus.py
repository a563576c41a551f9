"""Reading a corpus of passages from a file of JSON Lines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ssp_env.data.lines import DataFileError, decode_line, parse_id, parse_record, read_byte_lines, shown
from ssp_env.passage import Passage


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
