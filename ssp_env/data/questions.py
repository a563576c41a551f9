"""Question sets: questions with their golden answers, for evaluation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ssp_env.data.lines import DataFileError, parse_id, parse_texts, read_records, shown


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the answers that count as right.

    Attributes:
        id: Identifier, unique within its set.
        question: The question as a player reads it.
        golden_answers: At least one answer; any of them is right.
        metadata: Whatever else the set says of the question; never shown to a player.
    """

    id: str
    question: str
    golden_answers: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)


def read_questions(path: str | os.PathLike[str]) -> list[Question]:
    """Read a question set in the JSONL form of FlashRAG and Search-R1.

    A line is `{"id": ..., "question": ..., "golden_answers": [...]}` with an optional object `metadata`.
    Other keys are ignored. The file may be gzipped.

    Raises:
        DataFileError: If the file cannot be read or has no question, a line is malformed, or an id
            comes twice.
    """
    questions: list[Question] = []
    first_lines: dict[str, int] = {}
    for number, record in read_records(path):
        try:
            question = _question(record)
        except ValueError as error:
            raise DataFileError(str(error), path, number) from error
        if question.id in first_lines:
            seen = first_lines[question.id]
            raise DataFileError(
                f"expected unique ids, got {question.id!r} again after line {seen}", path, number
            )
        first_lines[question.id] = number
        questions.append(question)
    if not questions:
        raise DataFileError("expected at least one question, got an empty file", path)
    return questions


def _question(record: dict[str, Any]) -> Question:
    text = record.get("question")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f'expected a non-blank string "question", got {shown(text)}')
    metadata = record.get("metadata", {})
    if not isinstance(metadata, dict):
        raise ValueError(f'expected an object "metadata", got {shown(metadata)}')
    return Question(parse_id(record), text, parse_texts(record, "golden_answers"), metadata)
