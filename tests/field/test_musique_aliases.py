"""Aliases under the name that MuSiQue gives them."""

from ssp_env.data import read_answers


def test_aliases_are_right_answers_too(tmp_path):
    (tmp_path / "answers.jsonl").write_text(
        '{"answer": "Fortalézia", "answer_aliases": ["Fortalezia"]}\n', "utf-8"
    )
    (task,) = read_answers(tmp_path / "answers.jsonl")
    assert task.golds == ("Fortalézia", "Fortalezia")
