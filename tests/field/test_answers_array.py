"""Answers and questions as one JSON array whose records have `_id`."""

import json

import pytest

from ssp_env.data import read_answers, read_questions

RECORDS = [
    {"_id": "1", "answer": "Tavor", "question": "Who was mayor?"},
    {"_id": "2", "answer": "Yes", "question": "Is it a town?"},
]


@pytest.mark.parametrize("read", [read_answers, read_questions])
def test_every_element_is_a_task_with_its_id(tmp_path, read):
    (tmp_path / "tasks.json").write_text(json.dumps(RECORDS), "utf-8")
    assert [(task.id, task.answer) for task in read(tmp_path / "tasks.json")] == [
        ("1", "Tavor"),
        ("2", "Yes"),
    ]
