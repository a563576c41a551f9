"""Question files as their publishers have them, the folder of the seven sets, and held-out worlds."""

import json

import pytest

from baselines.evaluation.question_sets import (
    AVERAGES,
    SEVEN_SETS,
    QuestionSet,
    known_set,
    read_question_sets,
    read_seven_sets,
    world_set,
)
from baselines.rollouts.tasks import heldout_games
from ssp_env.data import DataFileError
from ssp_env.game.config import TERSE_RULES
from tests.baselines.evaluation.sets import RECORDS, write_lines

CONTEXT = [["Oslo", ["Oslo is a city.", " It is in Norway."]], ["Bergen", ["Rain."]]]
PUBLISHED = {
    "FlashRAG": {
        "id": "dev_0",
        "question": "Where?",
        "golden_answers": ["Norway"],
        "metadata": {
            "type": "bridge",
            "level": "hard",
            "supporting_facts": {"title": ["Oslo", "Oslo"], "sent_id": [0, 1]},
            "context": {"title": ["Oslo", "Bergen"], "sentences": [CONTEXT[0][1], CONTEXT[1][1]]},
        },
    },
    "HotpotQA": {
        "_id": "5a7",
        "question": "Where?",
        "answer": "Norway",
        "type": "bridge",
        "level": "hard",
        "supporting_facts": [["Oslo", 0], ["Oslo", 1]],
        "context": CONTEXT,
    },
    "ours": {
        "id": 7,
        "question": "Where?",
        "golden_answers": ["Norway"],
        "metadata": {"type": "bridge", "level": "hard", "supporting_titles": ["Oslo"]},
        "context": CONTEXT,
    },
}


def only(path):
    (found,) = read_question_sets(path)
    (question,) = found.questions
    return found.name, question


@pytest.mark.parametrize("whose", PUBLISHED)
def test_supporting_passages_are_read_from_every_published_form(tmp_path, whose):
    name, question = only(write_lines(tmp_path / "mine.jsonl", [PUBLISHED[whose]]))
    assert (name, question.titles, question.task.answer) == ("mine", ("Oslo",), "Norway")
    assert question.fields["type"] == "bridge" and question.fields["level"] == "hard"
    (passage,) = question.passages
    assert (passage.title, passage.text) == ("Oslo", "Oslo is a city. It is in Norway.")


def test_paragraphs_of_musique_and_their_hops(tmp_path):
    paragraphs = [
        {"idx": n, "title": f"T{n}", "paragraph_text": f"text {n}", "is_supporting": n > 0} for n in range(3)
    ]
    record = {"id": "2hop__1_2", "question": "Q?", "answer": "A", "answer_aliases": ["B"]}
    _, question = only(write_lines(tmp_path / "m.jsonl", [{**record, "paragraphs": paragraphs}]))
    assert question.titles == ("T1", "T2") and question.task.golds == ("A", "B")
    assert [passage.text for passage in question.passages] == ["text 1", "text 2"]
    assert question.fields["hops"] == 2
    steps = {**record, "id": "x", "question_decomposition": [{}, {}, {}]}
    assert only(write_lines(tmp_path / "m.jsonl", [steps]))[1].fields["hops"] == 3


def test_one_file_of_several_sets_is_told_apart_by_data_source_and_ids_may_repeat(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        {
            "id": "test_0",
            "data_source": source,
            "golden_answers": ["x"],
            "extra_info": {"question": f"From {source}?", "index": 0},
            "reward_model": {"ground_truth": {"target": ["x"]}, "style": "rule"},
        }
        for source in ("nq", "searchR1_2wikimultihopqa", "mine")
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "test.parquet")
    sets = read_question_sets(tmp_path / "test.parquet")
    assert [one.name for one in sets] == ["NQ", "2Wiki", "mine"]
    assert sets[1].questions[0].task.question == "From searchR1_2wikimultihopqa?"
    found = read_seven_sets(tmp_path)
    assert [one.name for one in found.sets] == ["NQ", "2Wiki"]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"id": "1", "golden_answers": ["x"]}, 'expected a non-blank string "question", got the keys'),
        ({"id": "1", "question": "Q?"}, 'expected "answer" or "golden_answers", got the keys'),
        ({"id": "1", "question": "Q?", "golden_answers": []}, 'expected a non-empty list "golden_answers"'),
    ],
)
def test_a_missing_field_is_named_with_its_line(tmp_path, record, problem):
    path = write_lines(tmp_path / "bad.jsonl", [RECORDS[0], record])
    with pytest.raises(DataFileError, match=problem) as raised:
        read_question_sets(path)
    assert raised.value.line == 2


def test_an_empty_file_and_repeated_ids_are_refused(tmp_path):
    with pytest.raises(DataFileError, match="at least one question, got an empty file"):
        read_question_sets(write_lines(tmp_path / "empty.jsonl", []))
    with pytest.raises(DataFileError, match="expected unique ids, got 'q0' again"):
        read_question_sets(write_lines(tmp_path / "twice.jsonl", [RECORDS[0], RECORDS[0]]))


def test_a_draw_is_fixed_by_its_seed_and_the_digest_tells_sets_apart(tmp_path):
    (whole,) = read_question_sets(write_lines(tmp_path / "m.jsonl", RECORDS))
    drawn = whole.draw(3, 0)
    assert drawn == whole.draw(3, 0) != whole.draw(3, 1) and len(drawn.questions) == 3
    assert whole.draw(None, 0) is whole.draw(99, 0) is whole
    assert len({whole.digest(), drawn.digest(), whole.draw(3, 1).digest()}) == 3
    changed = [{**RECORDS[0], "golden_answers": ["other"]}, *RECORDS[1:]]
    (other,) = read_question_sets(write_lines(tmp_path / "m.jsonl", changed))
    assert other.digest() != whole.digest()


# -- the seven sets ----------------------------------------------------------------------------------------


def test_the_seven_sets_are_found_under_all_their_names_and_in_their_order(tmp_path):
    write_lines(tmp_path / "bamboogle.jsonl", RECORDS)
    write_lines(tmp_path / "2wiki_dev.json", RECORDS)
    for name in ("nq", "musique"):
        (tmp_path / name).mkdir()
    for file in ("nq/test.jsonl", "nq/train.jsonl", "musique/dev.jsonl"):
        write_lines(tmp_path / file, RECORDS)
    write_lines(tmp_path / "notes.jsonl", [{"anything": 1}])
    found = read_seven_sets(tmp_path)
    assert [one.name for one in found.sets] == ["NQ", "2Wiki", "MuSiQue", "Bamboogle"]
    assert found.missing == ("TriviaQA", "PopQA", "HotpotQA")
    said = found.complaint()
    assert "3 of the seven question sets are not in" in said
    for name in ("triviaqa", "popqa", "hotpotqa"):
        assert str(tmp_path / f"{name}.jsonl") in said and str(tmp_path / name / "test.jsonl") in said


def test_a_folder_without_any_set_says_where_each_is_expected(tmp_path):
    with pytest.raises(ValueError, match="7 of the seven question sets") as raised:
        read_seven_sets(tmp_path)
    assert all(str(tmp_path / names[0]) in str(raised.value) for names in SEVEN_SETS.values())
    with pytest.raises(ValueError, match="which is no folder"):
        read_seven_sets(tmp_path / "nowhere")


def test_two_files_of_one_set_are_refused(tmp_path):
    for name in ("nq.jsonl", "nq_open.jsonl"):
        write_lines(tmp_path / name, RECORDS)
    with pytest.raises(ValueError, match=r"nq\.jsonl and .*nq_open\.jsonl both hold NQ"):
        read_seven_sets(tmp_path)


def test_names_of_sets_are_not_guessed():
    named = {
        "nq": "NQ",
        "searchR1_triviaqa": "TriviaQA",
        "2wikimultihopqa": "2Wiki",
        "hotpotqa_dev_200": "HotpotQA",
    }
    assert {name: known_set(name) for name in named} == named
    assert known_set("nqopen") == known_set("webq") == known_set("") == ""
    assert set(AVERAGES["general"]) | set(AVERAGES["multi-hop"]) == set(AVERAGES["all seven"])


# -- worlds ------------------------------------------------------------------------------------------------


def test_questions_of_worlds_are_those_that_training_measures():
    one, scenarios = world_set("tiny", hops=(1, 3), count=6)
    for hops in (1, 3):
        games, opened = heldout_games("tiny", hops, 6, TERSE_RULES)
        assert [q.task.question for q in one.questions if q.fields["hops"] == hops] == [
            g.question for g in games
        ]
        assert set(opened) <= set(scenarios)
    assert isinstance(one, QuestionSet) and len({q.task.id for q in one.questions}) == 12
    first = one.questions[0]
    (passage,) = scenarios[first.task.corpus].engine.get_passages(list(first.ids))
    assert first.task.answer in passage.text
    assert json.dumps(one.digest())
