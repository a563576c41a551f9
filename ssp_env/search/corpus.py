"""Reading a corpus of passages from a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from ssp_env.data.lines import DataFileError, parse_id, read_records, shown
from ssp_env.passage import Passage


class CorpusError(DataFileError):
    """A corpus file that cannot be used; the message names the file, the line and what was expected."""


def read_corpus(path: str | os.PathLike[str]) -> Iterator[Passage]:
    r"""Stream the passages of a JSONL file, gzipped or not, in constant memory.

    A line is `{"id": ..., "title": ..., "text": ...}`, or `{"id": ..., "contents": "\"Title\"\ntext"}` as in
    Search-R1, with the title on the first line, quoted or not. Other keys are ignored.

    Raises:
        CorpusError: While iterating, if the file cannot be read or has no passage, or a line is malformed.
    """
    empty = True
    try:
        for number, record in read_records(path):
            yield _passage(record, path, number)
            empty = False
    except DataFileError as error:
        raise CorpusError(error.problem, path, error.line) from error
    if empty:
        raise CorpusError("expected at least one passage, got an empty file", path)


def _passage(record: dict[str, Any], path: str | os.PathLike[str], number: int) -> Passage:
    try:
        identifier = parse_id(record)
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


def _title_and_text(record: dict[str, Any]) -> tuple[str, str]:
    title, text = record.get("title"), record.get("text")
    if not isinstance(title, str) or not isinstance(text, str):
        raise ValueError(
            f'expected the strings "title" and "text", or "contents", got the keys {sorted(record)}'
        )
    return title, text
