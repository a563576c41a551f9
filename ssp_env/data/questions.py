"""Question sets: tasks whose question is known, for evaluation."""

from __future__ import annotations

import os
from typing import Any

from ssp_env.data.lines import DataFileError, parse_id, parse_texts, read_records, shown
from ssp_env.game.task import Task


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
    for number, record in read_records(path):
        try:
            task = _task(record)
        except ValueError as error:
            raise DataFileError(str(error), path, number) from error
        if task.id in first_lines:
            seen = first_lines[task.id]
            raise DataFileError(f"expected unique ids, got {task.id!r} again after line {seen}", path, number)
        first_lines[task.id] = number
        tasks.append(task)
    if not tasks:
        raise DataFileError("expected at least one question, got an empty file", path)
    return tasks


def _task(record: dict[str, Any]) -> Task:
    text = record.get("question")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f'expected a non-blank string "question", got {shown(text)}')
    metadata = record.get("metadata", {})
    if not isinstance(metadata, dict):
        raise ValueError(f'expected an object "metadata", got {shown(metadata)}')
    answer, *aliases = parse_texts(record, "golden_answers")
    return Task(answer, tuple(aliases), question=text, id=parse_id(record), provenance=metadata)
