import gzip
import json

import pytest

from ssp_env.data import DataFileError, read_questions
from ssp_env.game import Task

GOOD = {"id": "q1", "question": "Who?", "golden_answers": ["Ada", "Ada Lovelace"]}


@pytest.fixture
def write(tmp_path):
    def write(*records, name="set.jsonl"):
        path = tmp_path / name
        lines = "\n".join(record if isinstance(record, str) else json.dumps(record) for record in records)
        path.write_bytes(gzip.compress(lines.encode()) if name.endswith(".gz") else lines.encode())
        return path

    return write


@pytest.mark.parametrize("name", ["set.jsonl", "set.jsonl.gz"])
def test_questions_are_read(write, name):
    other = {"id": 2, "question": "How many?", "golden_answers": "3", "metadata": {"hops": 2}, "extra": 0}
    questions = read_questions(write(GOOD, other, name=name))
    assert questions == [
        Task("Ada", ("Ada Lovelace",), question="Who?", id="q1"),
        Task("3", question="How many?", id="2", provenance={"hops": 2}),
    ]
    assert len({*questions}) == 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": None}, 'expected a string or integer "id", got NoneType None'),
        ({"question": " "}, 'expected a non-blank string "question", got str'),
        ({"question": ["Who?"]}, 'expected a non-blank string "question", got list'),
        ({"golden_answers": []}, r'expected a non-empty list "golden_answers", got list \[\]'),
        ({"golden_answers": None}, 'expected a non-empty list "golden_answers", got NoneType'),
        ({"golden_answers": ["Ada", 3]}, 'expected non-blank strings in "golden_answers", got int 3'),
        ({"golden_answers": [" "]}, 'expected non-blank strings in "golden_answers"'),
        ({"metadata": "none"}, 'expected an object "metadata", got str'),
        ({}, "expected unique ids, got 'q1' again after line 1"),
    ],
)
def test_a_malformed_line_is_named(write, change, problem):
    path = write(GOOD, {**GOOD, **change})
    with pytest.raises(DataFileError, match=problem) as caught:
        read_questions(path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_invalid_json_is_named(write):
    with pytest.raises(
        DataFileError, match=r"set\.jsonl:2: expected one JSON object a line, got invalid JSON"
    ):
        read_questions(write(GOOD, "{'id': 1}"))


def test_an_empty_set_and_a_missing_file_are_errors(write, tmp_path):
    with pytest.raises(DataFileError, match="expected at least one question, got an empty file"):
        read_questions(write(""))
    with pytest.raises(DataFileError, match="cannot be read: No such file"):
        read_questions(tmp_path / "nowhere.jsonl")
