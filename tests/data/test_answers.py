import gzip
import json

import pytest

from ssp_env.data import DataFileError, read_answers
from ssp_env.game import Task


@pytest.fixture
def write(tmp_path):
    def write(*lines, name="answers.jsonl"):
        path = tmp_path / name
        content = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


@pytest.mark.parametrize(
    ("record", "task"),
    [
        ({"answer": "Paris"}, Task("Paris", hops=2, id="2")),
        (
            {"answer": "Paris", "aliases": ["City of Light"], "hops": 3},
            Task("Paris", ("City of Light",), 3, id="2"),
        ),
        ({"answer": "Paris", "aliases": [], "hops": None, "note": 1}, Task("Paris", hops=2, id="2")),
        ({"golden_answers": ["NYC", "New York"], "hops": 1}, Task("NYC", ("New York",), 1, id="2")),
        ({"golden_answers": "NYC"}, Task("NYC", hops=2, id="2")),
        ({"answer": "NYC", "golden_answers": ["New York", "NYC"]}, Task("NYC", ("New York",), 2, id="2")),
    ],
)
@pytest.mark.parametrize("name", ["answers.jsonl", "ANSWERS.JSONL", "answers.jsonl.gz"])
def test_structured_answers_are_read(write, record, task, name):
    tasks = read_answers(write({"answer": "first"}, record, name=name), hops=2)
    assert tasks == [Task("first", hops=2, id="1"), task]


@pytest.mark.parametrize("name", ["answers.txt", "answers", "answers.txt.gz"])
def test_plain_answers_are_read(write, name):
    path = write("  Paris ", "", '"quoted"', "1889, roughly", "Paris", name=name)
    tasks = read_answers(path)
    assert [task.answer for task in tasks] == ["Paris", '"quoted"', "1889, roughly", "Paris"]
    assert [(task.id, task.hops) for task in tasks] == [("1", 1), ("3", 1), ("4", 1), ("5", 1)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("Paris", "expected one JSON object a line, got invalid JSON"),
        ({"target": "Paris"}, r"""expected "answer" or "golden_answers", got the keys \['target'\]"""),
        ({"answer": "Paris", "golden_answers": ["London"]}, "expected right answers that agree"),
        ({"answer": ""}, 'expected a non-blank string "answer", got str'),
        ({"answer": 1889}, 'expected a non-blank string "answer", got int 1889'),
        ({"answer": "Paris", "aliases": [None]}, 'expected non-blank strings in "aliases", got NoneType'),
        ({"answer": "Paris", "aliases": {"x": 1}}, 'expected a non-empty list "aliases", got dict'),
        ({"golden_answers": []}, 'expected a non-empty list "golden_answers"'),
        ({"answer": "Paris", "hops": 0}, 'expected an integer "hops" of at least 1, got int 0'),
        ({"answer": "Paris", "hops": True}, 'expected an integer "hops" of at least 1, got bool'),
        ({"answer": "Paris", "hops": "2"}, 'expected an integer "hops" of at least 1, got str'),
        ({"answer": "Paris", "hops": 21}, "hops must be from 1 to 20, got 21"),
    ],
)
def test_a_malformed_line_is_named(write, line, problem):
    path = write({"answer": "first"}, line)
    with pytest.raises(DataFileError, match=problem) as caught:
        read_answers(path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_json_under_another_name_is_not_taken_for_plain_text(write):
    with pytest.raises(
        DataFileError, match=r"answers\.txt:1: expected one plain answer a line, got JSON: name the file"
    ):
        read_answers(write({"answer": "Paris"}, name="answers.txt"))


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.txt"])
def test_an_empty_set_is_an_error(write, name):
    with pytest.raises(DataFileError, match="expected at least one answer, got an empty file"):
        read_answers(write("", name=name))
