"""Tasks from files: answer sets, which proposers write questions for, and question sets, for evaluation."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import Any

from ssp_env.data.fields import (
    ANSWER_KEYS,
    QUESTION_ID_KEYS,
    QUESTION_KEYS,
    REWARD_KEYS,
    TASK_KEYS,
    parse_golds,
    parse_id,
    parse_metadata,
    parse_question,
)
from ssp_env.data.lines import DataFileError, read_lines, shown
from ssp_env.data.records import is_json_suffix, is_parquet, read_records, table_separator
from ssp_env.game.passage import Passage
from ssp_env.game.task import Task
from ssp_env.scoring.words import count_words

MAX_TITLE_WORDS = 3
MIN_TEXT_WORDS = 30
_GOLD_KEYS = (*ANSWER_KEYS, *REWARD_KEYS)


def read_answers(path: str | os.PathLike[str], *, hops: int = 1) -> list[Task]:
    """Read an answer set as tasks without a question; the id of each is the number of its line.

    Files named `*.jsonl`, `*.json`, `*.csv` and `*.tsv`, and Parquet files, hold records: the right answers
    as `parse_golds` reads them, and optionally `hops`; other keys are ignored. Any other file is plain text,
    one answer a line. All but Parquet may be gzipped. docs/formats.md has an example of each.

    Args:
        path: The file.
        hops: Number of hops of an answer for which the file gives none.

    Raises:
        DataFileError: If the file cannot be read or has no answer, or a record is malformed.
        ModuleNotFoundError: If the file is Parquet and pyarrow is not installed.
    """
    if is_json_suffix(path) or table_separator(path) or is_parquet(path):
        records = read_records(path, partial(_answer, hops), TASK_KEYS, [_GOLD_KEYS], text_key="answer")
        tasks: list[Task] = [task for _, task in records]
    else:
        tasks = _read_plain(path, hops)
    if not tasks:
        raise DataFileError("expected at least one answer, got an empty file", path)
    return tasks


def _read_plain(path: str | os.PathLike[str], hops: int) -> list[Task]:
    tasks: list[Task] = []
    for number, line in read_lines(path):
        if line.startswith(("{", "[{", '["')) or line == "[":
            raise DataFileError(
                "expected one plain answer a line, got JSON: name the file *.jsonl", path, number
            )
        if not tasks and _is_header(line):
            raise DataFileError(
                f"expected one plain answer a line, got the header of a table, {line!r}: name the file *.csv "
                "or *.tsv",
                path,
                number,
            )
        try:
            tasks.append(Task(line, hops=hops, id=str(number)))
        except ValueError as error:
            raise DataFileError(str(error), path, number) from error
    return tasks


def _is_header(line: str) -> bool:
    return any(
        len(names) > 1 and TASK_KEYS.issuperset(names)
        for names in ([name.strip().lower() for name in line.split(separator)] for separator in ",\t")
    )


def _answer(default_hops: int, record: dict[str, Any], number: int) -> Task:
    answer, *aliases = parse_golds(record)
    hops = record.get("hops")
    if hops is not None and (isinstance(hops, bool) or not isinstance(hops, int) or hops < 1):
        raise ValueError(f'expected an integer "hops" of at least 1, got {shown(hops)}')
    return Task(answer, tuple(aliases), default_hops if hops is None else hops, id=str(number))


def read_questions(path: str | os.PathLike[str]) -> list[Task]:
    """Read a question set as tasks with a question.

    A record is `{"id": ..., "question": ..., "golden_answers": [...]}`, as in FlashRAG and Search-R1, with an
    optional object `metadata`, which becomes the task's `provenance`. The id may be called `_id`, `qid` or
    `question_id`, and is the number of the record if there is none; the right answers are read by
    `parse_golds`, the first is the task's, the others are its aliases. Other keys are ignored. `read_records`
    says which files are read, docs/formats.md has an example of each.

    Raises:
        DataFileError: If the file cannot be read or has no question, a record is malformed, or two
            questions share an id.
        ModuleNotFoundError: If the file is Parquet and pyarrow is not installed.
    """
    tasks: list[Task] = []
    first_lines: dict[str, int] = {}
    for number, task in read_records(path, _question, TASK_KEYS, [QUESTION_KEYS, _GOLD_KEYS]):
        if task.id in first_lines:
            seen = first_lines[task.id]
            raise DataFileError(f"expected unique ids, got {task.id!r} again after line {seen}", path, number)
        first_lines[task.id] = number
        tasks.append(task)
    if not tasks:
        raise DataFileError("expected at least one question, got an empty file", path)
    return tasks


def _question(record: dict[str, Any], number: int) -> Task:
    question, metadata = parse_question(record), parse_metadata(record)
    answer, *aliases = parse_golds(record)
    has_id = any(key in record for key in QUESTION_ID_KEYS)
    id = parse_id(record, QUESTION_ID_KEYS) if has_id else str(number)
    return Task(answer, tuple(aliases), question=question, id=id, provenance=metadata)


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
            and count_words(passage.text) >= MIN_TEXT_WORDS
        }
    )
