"""Tasks from files: answer sets, which proposers write questions for, and question sets, for evaluation."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import Any

from ssp_env.data.lines import DataFileError, parse_id, parse_records, parse_texts, read_lines, shown
from ssp_env.game.passage import Passage
from ssp_env.game.task import Task

MAX_TITLE_WORDS = 3
MIN_TEXT_WORDS = 30
_JSONL_SUFFIXES = (".jsonl", ".jsonl.gz")


def read_answers(path: str | os.PathLike[str], *, hops: int = 1) -> list[Task]:
    """Read an answer set as tasks without a question; the id of each is the number of its line.

    A file named `*.jsonl` or `*.jsonl.gz` has one object a line: either `answer`, optionally with a list
    `aliases`, or `golden_answers`, whose first is the answer and whose others are aliases; and optionally
    `hops`. Other keys are ignored. Any other file is plain text, one answer a line. Both may be gzipped.

    Args:
        path: The file.
        hops: Number of hops of an answer for which the file gives none.

    Raises:
        DataFileError: If the file cannot be read or has no answer, or a line is malformed.
    """
    if os.fspath(path).lower().endswith(_JSONL_SUFFIXES):
        tasks = [task for _, task in parse_records(path, partial(_answer, hops))]
    else:
        tasks = _read_plain(path, hops)
    if not tasks:
        raise DataFileError("expected at least one answer, got an empty file", path)
    return tasks


def _read_plain(path: str | os.PathLike[str], hops: int) -> list[Task]:
    tasks = []
    for number, line in read_lines(path):
        if line.startswith("{"):
            raise DataFileError(
                "expected one plain answer a line, got JSON: name the file *.jsonl", path, number
            )
        tasks.append(Task(line, hops=hops, id=str(number)))
    return tasks


def _answer(default_hops: int, record: dict[str, Any], number: int) -> Task:
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
    return Task(answer, aliases, default_hops if hops is None else hops, id=str(number))


def read_questions(path: str | os.PathLike[str]) -> list[Task]:
    """Read a question set in the JSONL form of FlashRAG and Search-R1 as tasks with a question.

    A line is `{"id": ..., "question": ..., "golden_answers": [...]}` with an optional object `metadata`,
    which becomes the task's `provenance`. The first answer is the task's, the others are its aliases. Other
    keys are ignored. The file may be gzipped.

    Raises:
        DataFileError: If the file cannot be read or has no question, a line is malformed, or two
            questions share an id.
    """
    tasks: list[Task] = []
    first_lines: dict[str, int] = {}
    for number, task in parse_records(path, _question):
        if task.id in first_lines:
            seen = first_lines[task.id]
            raise DataFileError(f"expected unique ids, got {task.id!r} again after line {seen}", path, number)
        first_lines[task.id] = number
        tasks.append(task)
    if not tasks:
        raise DataFileError("expected at least one question, got an empty file", path)
    return tasks


def _question(record: dict[str, Any], number: int) -> Task:
    text = record.get("question")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f'expected a non-blank string "question", got {shown(text)}')
    metadata = record.get("metadata", {})
    if not isinstance(metadata, dict):
        raise ValueError(f'expected an object "metadata", got {shown(metadata)}')
    answer, *aliases = parse_texts(record, "golden_answers")
    return Task(answer, tuple(aliases), question=text, id=parse_id(record), provenance=metadata)


def short_titles(passages: Iterable[Passage]) -> list[str]:
    """Return the titles that make good answers, sorted: short names of passages with a proper text.

    >>> passages = [Passage("0", "Odense", "word " * 40), Passage("1", "Odense (ship)", "word " * 40)]
    >>> short_titles([*passages, Passage("2", "Funen", "A stub.")])
    ['Odense']
    """
    return sorted(
        {
            passage.title
            for passage in passages
            if 1 <= len(passage.title.split()) <= MAX_TITLE_WORDS
            and "(" not in passage.title
            and len(passage.text.split()) >= MIN_TEXT_WORDS
        }
    )
