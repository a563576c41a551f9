"""Answer sets: the ground truths that proposers write questions for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ssp_env.data.lines import DataFileError, parse_texts, read_lines, read_records, shown

_JSONL_SUFFIXES = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True, slots=True)
class AnswerEntry:
    """A ground-truth answer to build a game on.

    Attributes:
        answer: The answer every question of the game must have.
        aliases: Other spellings that count as the answer.
        hops: Number of searches the question should need, at least 1; None leaves it to the game.
    """

    answer: str
    aliases: tuple[str, ...] = ()
    hops: int | None = None


def read_answers(path: str | os.PathLike[str]) -> list[AnswerEntry]:
    """Read an answer set.

    A file named `*.jsonl` or `*.jsonl.gz` has one object a line: either `answer`, optionally with a list
    `aliases`, or `golden_answers`, whose first is the answer and whose others are aliases; and optionally
    `hops`. Other keys are ignored. Any other file is plain text, one answer a line. Both may be gzipped.

    Raises:
        DataFileError: If the file cannot be read or has no answer, or a line is malformed.
    """
    structured = os.fspath(path).lower().endswith(_JSONL_SUFFIXES)
    entries = _read_structured(path) if structured else _read_plain(path)
    if not entries:
        raise DataFileError("expected at least one answer, got an empty file", path)
    return entries


def _read_structured(path: str | os.PathLike[str]) -> list[AnswerEntry]:
    entries = []
    for number, record in read_records(path):
        try:
            entries.append(_entry(record))
        except ValueError as error:
            raise DataFileError(str(error), path, number) from error
    return entries


def _read_plain(path: str | os.PathLike[str]) -> list[AnswerEntry]:
    entries = []
    for number, line in read_lines(path):
        if line.startswith("{"):
            raise DataFileError(
                "expected one plain answer a line, got JSON: name the file *.jsonl", path, number
            )
        entries.append(AnswerEntry(line))
    return entries


def _entry(record: dict[str, Any]) -> AnswerEntry:
    if ("answer" in record) == ("golden_answers" in record):
        raise ValueError(f'expected "answer" or "golden_answers", got the keys {sorted(record)}')
    if "answer" in record:
        answer = record["answer"]
        if not isinstance(answer, str) or not answer.strip():
            raise ValueError(f'expected a non-blank string "answer", got {shown(answer)}')
        aliases = parse_texts(record, "aliases") if record.get("aliases") else ()
    else:
        answer, *others = parse_texts(record, "golden_answers")
        aliases = tuple(others)
    hops = record.get("hops")
    if hops is not None and (isinstance(hops, bool) or not isinstance(hops, int) or hops < 1):
        raise ValueError(f'expected an integer "hops" of at least 1, got {shown(hops)}')
    return AnswerEntry(answer, aliases, hops)
