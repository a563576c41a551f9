"""The forms of files: arrays, tables and Parquet are read as what they are, or refused with a cure."""

import gzip
import json

import pytest

from ssp_env.data import DataFileError, read_answers, read_questions
from ssp_env.game import Task
from ssp_env.game.passage import Passage
from ssp_env.search.corpus import CorpusError, open_source, read_corpus

QUESTIONS = [
    {"id": "1", "question": "Who flew?", "golden_answers": ["Ada", "Ada L."], "metadata": {"hops": 2}},
    {"id": "2", "question": "Which, of two?", "golden_answers": ["Rush"], "metadata": {"hops": 1}},
]
TASKS = [
    Task("Ada", ("Ada L.",), question="Who flew?", id="1", provenance={"hops": 2}),
    Task("Rush", question="Which, of two?", id="2", provenance={"hops": 1}),
]


def as_parquet(path, records):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(records), path)


def as_table(path, records, separator=","):
    """Write a table with JSON in the cells of lists and objects, all cells quoted."""
    rows = [[cell if isinstance(cell, str) else json.dumps(cell) for cell in r.values()] for r in records]
    lines = [separator.join(records[0])]
    lines += [separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    content = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("q.json", lambda path: path.write_text(json.dumps(QUESTIONS))),
        ("q.json", lambda path: path.write_text("\ufeff\n" + json.dumps(QUESTIONS, indent=2) + "\n")),
        ("q", lambda path: path.write_bytes(gzip.compress(json.dumps(QUESTIONS).encode()))),
        ("q.json", lambda path: path.write_text("\n".join(map(json.dumps, QUESTIONS)))),
        ("q.csv", lambda path: as_table(path, QUESTIONS)),
        ("q.TSV", lambda path: as_table(path, QUESTIONS, "\t")),
        ("q.csv.gz", lambda path: as_table(path, QUESTIONS)),
        ("q.parquet", lambda path: as_parquet(path, QUESTIONS)),
        ("q", lambda path: as_parquet(path, QUESTIONS)),
    ],
)
def test_questions_are_the_same_in_every_form(tmp_path, name, write):
    write(tmp_path / name)
    assert read_questions(tmp_path / name) == TASKS


@pytest.mark.parametrize(
    ("record", "golds"),
    [
        ({"answer": "Ceará", "answer_aliases": ["Ceara", "Ceará"]}, ("Ceará", "Ceara")),
        ({"answer": ["Ada", "Lovelace"]}, ("Ada", "Lovelace")),
        ({"answers": ["Ada"]}, ("Ada",)),
        ({"answers": {"text": ["Ada", "Ada"], "answer_start": [3, 9]}}, ("Ada",)),
        ({"answer": {"value": "Ada", "aliases": ["Lovelace", "Ada"]}}, ("Ada", "Lovelace")),
        ({"possible_answers": '["Ada", "Lovelace"]'}, ("Ada", "Lovelace")),
        ({"golden_answers": '["Ada"]', "aliases": "Lovelace"}, ("Ada", "Lovelace")),
        ({"ground_truth": {"target": ["Ada", "Lovelace"]}}, ("Ada", "Lovelace")),
        ({"reward_model": {"style": "rule", "ground_truth": {"target": ["Ada"]}}}, ("Ada",)),
        ({"target": ["Ada"]}, ("Ada",)),
        ({"target": '["Ada"]'}, ("Ada",)),
        ({"answer": None, "answers": ["Ada"]}, ("Ada",)),
        ({"answer": "Lovelace", "answers": ["Ada", "Lovelace"]}, ("Lovelace", "Ada")),
        ({"golden_answers": ["Ada"], "reward_model": {"ground_truth": "x"}, "target": 3}, ("Ada",)),
        ({"answer": "[sic] Ada"}, ("[sic] Ada",)),
        ({"answer": "Ada, [1815]"}, ("Ada, [1815]",)),
    ],
)
def test_right_answers_are_read_under_the_names_of_data_sets(tmp_path, record, golds):
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps({"qid": 7, "question": "Who?", **record}))
    (task,) = read_questions(path)
    assert (task.golds, task.id) == (golds, "7")
    (answer,) = read_answers(path)
    assert answer.golds == golds


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"answers": [["Ada"]]}, r"expected non-blank strings in \"answers\", got list \['Ada'\]"),
        ({"golden_answers": '[["Ada"]]'}, r"non-blank strings in \"golden_answers\", got list \['Ada'\]"),
        ({"golden_answers": "['Ada', 'Lovelace']"}, "as Python prints it: write it by json.dumps"),
        ({"golden_answers": [1815]}, 'expected non-blank strings in "golden_answers", got int 1815'),
        ({"answers": {"start": 3}}, r"expected a non-empty list \"answers\", .* with the keys \['start'\]"),
        ({"answer": "Ada", "answers": ["Sarn"]}, "expected right answers that agree"),
        ({"target": "Ada"}, r"got the keys \['question', 'target'\]: rename the field"),
        (
            {"gold": "Ada"},
            r"got the keys \['gold', 'question'\]: rename the field that holds the right answer",
        ),
        ({"answer": "Ada", "aliases": {"x": 1}}, 'expected a non-empty list "aliases", got dict'),
        ({"answer": "Ada", "id": ["7"]}, 'expected a string or integer "id", got list'),
        ({"answer": "Ada", "metadata": "{"}, 'expected an object "metadata", got str'),
    ],
)
def test_other_right_answers_are_refused_with_what_was_found(tmp_path, record, problem):
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps({"question": "Who?", **record}))
    with pytest.raises(DataFileError, match=rf"set\.jsonl:1: .*{problem}"):
        read_questions(path)


def test_questions_without_ids_are_numbered(tmp_path):
    path = tmp_path / "nq.jsonl"
    path.write_text('{"question": "Who?", "answer": ["Ada"]}\n\n{"query": "What?", "answer": ["Rush"]}\n')
    assert [(task.id, task.question) for task in read_questions(path)] == [("1", "Who?"), ("3", "What?")]


def test_an_array_of_texts_is_an_answer_set(tmp_path):
    path = tmp_path / "answers.json"
    path.write_text('["Paris", "City of Light"]')
    assert read_answers(path) == [Task("Paris", id="1"), Task("City of Light", id="2")]
    with pytest.raises(DataFileError, match=r"json:1: expected an array of objects, got str 'Paris'"):
        read_questions(path)
    path.write_text('[["Paris", "City of Light"]]')
    with pytest.raises(DataFileError, match=r"json:1: expected an array of objects, got list \['Paris'"):
        read_answers(path)


@pytest.mark.parametrize(
    ("cut", "problem"),
    [
        (-1, "got the end of the file after element 2"),
        (-2, "cut short or malformed in element 2"),
        (60, "cut short or malformed in element 1"),
        (1, "cut short or malformed in element 1"),
    ],
)
def test_an_array_that_was_cut_short_is_refused_even_if_bad_records_are_skipped(tmp_path, cut, problem):
    path = tmp_path / "set.json"
    path.write_text(json.dumps(QUESTIONS)[:cut])
    with pytest.raises(DataFileError, match=problem):
        read_questions(path)
    with pytest.raises(CorpusError, match=problem):
        list(read_corpus(path, on_bad=lambda error: None))


def test_an_array_with_something_behind_it_or_without_commas_is_refused(tmp_path):
    path = tmp_path / "set.json"
    path.write_text(json.dumps(QUESTIONS) + "[]")
    with pytest.raises(DataFileError, match=r"expected one JSON array and nothing else, got '\[\]'"):
        read_questions(path)
    path.write_text('[{"question": "Who?", "answer": "Ada"} {}]')
    with pytest.raises(DataFileError, match=r"set\.json:1: expected a whole JSON array, got '\{\}\]'"):
        read_questions(path)
    path.write_text("[]")
    with pytest.raises(DataFileError, match="expected at least one question, got an empty file"):
        read_questions(path)


def test_an_object_over_several_lines_is_refused_with_the_cure(tmp_path):
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"data": QUESTIONS}, indent=1))
    with pytest.raises(DataFileError, match="put each object on a line of its own, or all of them into one"):
        read_questions(path)


# -- tables ----------------------------------------------------------------------------------------------


def test_tables_without_a_header_are_refused_with_what_the_first_line_holds(tmp_path):
    path = tmp_path / "set.csv"
    path.write_text("1,Who?,Ada\n2,Which?,Rush\n")
    with pytest.raises(
        DataFileError,
        match=r"a column 'question' or 'query', got the columns list \['1', 'who\?', 'ada'\]: the",
    ):
        read_questions(path)
    with pytest.raises(DataFileError, match=r"expected a column 'answer' or .*: the first line must name"):
        read_answers(path)
    with pytest.raises(CorpusError, match="expected a column 'id' or '_id' or 'docid', got the columns"):
        list(read_corpus(path))


def test_answers_in_a_table_may_say_their_hops(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text('Answer,hops,aliases\r\n1889,2,\r\n"Paris, France",,"[""Paris""]"\r\n')
    assert read_answers(path, hops=3) == [
        Task("1889", hops=2, id="2"),
        Task("Paris, France", ("Paris",), 3, id="3"),
    ]
    path.write_text("answer,hops\nParis,two\n")
    with pytest.raises(
        DataFileError, match=r"csv:2: expected an integer \"hops\" of at least 1, got str 'two'"
    ):
        read_answers(path)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1\tBelin", r"tsv:3: expected 3 cells, one for each of id, title, text, got 2"),
        ("1\tBelin\ta\tb", "got 4"),
        ('1\tHeroes\t"Heroes" is a song', r"tsv:3: expected a table of cells, .*is written \"...\""),
        ('1\tHeroes\t"Heroes', "expected a table of cells"),
    ],
)
def test_rows_that_are_not_those_of_a_table_are_refused(tmp_path, row, problem):
    path = tmp_path / "corpus.tsv"
    path.write_text(f"id\ttitle\ttext\n0\tBelin\tA city.\n{row}\n2\tCorun\tA town.\n")
    with pytest.raises(CorpusError, match=problem):
        list(read_corpus(path))


def test_bad_rows_are_skipped_if_asked(tmp_path):
    path = tmp_path / "corpus.tsv"
    path.write_text('id\ttext\ttitle\n1\t"A ""city"".\nOld."\tBelin\nshort\n\n007\tA town.\t\n')
    bad = []
    passages = list(open_source(path).read(bad.append, lambda done: None))
    assert passages == [Passage("1", "Belin", 'A "city".\nOld.'), Passage("007", "", "A town.")]
    assert [error.line for error in bad] == [4]


def test_a_column_that_comes_twice_is_refused(tmp_path):
    path = tmp_path / "corpus.csv"
    path.write_text("id,text,Text\n1,a,b\n")
    with pytest.raises(CorpusError, match="expected columns of different names, got text twice"):
        list(read_corpus(path))


def test_a_header_among_plain_answers_is_refused(tmp_path):
    path = tmp_path / "answers.txt"
    path.write_text("question\tanswer\nWho?\tAda\n")
    with pytest.raises(
        DataFileError, match=r"got the header of a table, .*: name the file \*\.csv or \*\.tsv"
    ):
        read_answers(path)
    path.write_text('["Paris"]\n')
    with pytest.raises(DataFileError, match="got JSON"):
        read_answers(path)


def test_columns_of_parquet_are_named_if_none_is_known(tmp_path):
    as_parquet(tmp_path / "set.parquet", [{"prompt": "Who?", "solution": "Ada"}])
    with pytest.raises(
        DataFileError, match=r"'question' or 'query', got the columns list \['prompt', 'solution'\]"
    ):
        read_questions(tmp_path / "set.parquet")
    with pytest.raises(CorpusError, match=r"expected a column 'id'.*: rename a column"):
        list(read_corpus(tmp_path / "set.parquet"))


# -- corpora ---------------------------------------------------------------------------------------------


def test_a_corpus_may_be_half_with_titles_and_half_without(tmp_path):
    path = tmp_path / "corpus.jsonl"
    records = [
        {"id": "0", "contents": '"Belin"\nA city.'},
        {"id": "1", "contents": "A town without a title."},
        {"id": "2", "title": None, "text": "A hamlet."},
        {"id": "3", "title": "Corun", "text": "A port."},
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    assert list(read_corpus(path)) == [
        Passage("0", "Belin", "A city."),
        Passage("1", "", "A town without a title."),
        Passage("2", "", "A hamlet."),
        Passage("3", "Corun", "A port."),
    ]


def test_corpora_in_arrays_and_parquet_need_no_titles(tmp_path):
    records = [{"id": 1, "text": "hello world"}, {"id": 2, "text": "a passage"}]
    (tmp_path / "corpus.json").write_text(json.dumps(records))
    as_parquet(tmp_path / "corpus.parquet", records)
    for name in ("corpus.json", "corpus.parquet"):
        assert list(read_corpus(tmp_path / name)) == [
            Passage("1", "", "hello world"),
            Passage("2", "", "a passage"),
        ]
