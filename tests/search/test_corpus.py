import gzip
import json

import pytest

from ssp_env.data import DataFileError
from ssp_env.game.passage import Passage
from ssp_env.search.corpus import CorpusError, read_corpus

GOOD = '{"id": "0", "title": "Belin", "text": "A city."}'


@pytest.fixture
def write(tmp_path):
    def write(content, name="corpus.jsonl"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("line", "passage"),
    [
        ({"id": "0", "contents": '"Belin"\nA city.\nOld.'}, Passage("0", "Belin", "A city.\nOld.")),
        ({"id": "0", "contents": "Belin\nA city."}, Passage("0", "Belin", "A city.")),
        ({"id": "0", "contents": ' "Belin" \r\nA city.'}, Passage("0", "Belin", "A city.")),
        ({"id": "0", "contents": '""Weird" Belin"\nA city.'}, Passage("0", '"Weird" Belin', "A city.")),
        ({"id": "0", "contents": '"\nA quote.'}, Passage("0", '"', "A quote.")),
        ({"id": "0", "contents": "\nNo title."}, Passage("0", "", "No title.")),
        ({"id": "0", "contents": "A city."}, Passage("0", "", "A city.")),
        ({"id": "0", "contents": "A city.\n"}, Passage("0", "", "A city.\n")),
        ({"id": "0", "contents": '"A city."'}, Passage("0", "", '"A city."')),
        ({"id": "0", "contents": '"Belin"\n'}, Passage("0", "Belin", "")),
        ({"id": 1, "text": "hello world"}, Passage("1", "", "hello world")),
        ({"_id": "p1", "title": None, "text": "A city."}, Passage("p1", "", "A city.")),
        ({"docid": 3, "text": "A city.", "url": "x"}, Passage("3", "", "A city.")),
        ({"id": "0", "title": '"Belin"', "text": "A city."}, Passage("0", '"Belin"', "A city.")),
        ({"id": "0", "title": "Belin", "text": ""}, Passage("0", "Belin", "")),
        ({"id": 17, "title": "", "text": "A city.", "url": "x"}, Passage("17", "", "A city.")),
        ({"id": "0", "title": "𝄞 北京", "text": "\u2028line\x85"}, Passage("0", "𝄞 北京", "\u2028line\x85")),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_both_forms_are_read(write, line, passage, ascii_only):
    assert list(read_corpus(write(json.dumps(line, ensure_ascii=ascii_only)))) == [passage]


def test_lines_are_streamed_in_order_and_blank_ones_skipped(write):
    lines = [json.dumps({"id": str(number), "title": "t", "text": "x"}) for number in range(5)]
    path = write("\ufeff" + "\r\n\n  \n".join(lines) + "\n\n")
    assert [passage.id for passage in read_corpus(path)] == ["0", "1", "2", "3", "4"]
    assert next(read_corpus(write(GOOD + "\nbroken"))).title == "Belin"


@pytest.mark.parametrize("name", ["corpus.jsonl.gz", "corpus"])
def test_gzip_is_recognised_by_its_content(write, name):
    assert [passage.title for passage in read_corpus(write(gzip.compress(GOOD.encode()), name))] == ["Belin"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "expected one JSON object a line, got invalid JSON"),
        (GOOD + GOOD, "got invalid JSON: Extra data"),
        ("[1]", r"expected one JSON object a line, got list \[1\]"),
        ("null", "got NoneType None"),
        ("[" * 100_000, "invalid JSON"),
        ('{"id": ' + "9" * 5000 + "}", "invalid JSON"),
        ('{"title": "t", "text": "x"}', 'expected a string or integer "id", got NoneType None'),
        ('{"id": true, "title": "t", "text": "x"}', '"id", got bool True'),
        ('{"id": " ", "title": "t", "text": "x"}', '"id", got str'),
        ('{"id": "1"}', r"""expected the strings "title" and "text", or "contents", got the keys \['id'\]"""),
        ('{"id": "1", "title": "t"}', 'the strings "title" and "text"'),
        ('{"id": "1", "title": "t", "text": null}', 'the strings "title" and "text"'),
        ('{"id": "1", "contents": 5}', 'a title line and the text below it in "contents", got int 5'),
        ('{"id": "1", "contents": null}', 'in "contents", got NoneType None'),
        ('{"id": "1", "contents": " "}', "expected a passage with a title or text"),
        ('{"id": "1", "title": ["t"], "text": "x"}', 'the strings "title" and "text"'),
        (
            '{"id": "1", "body": "x"}',
            r"\['body', 'id'\]: rename the field that holds the passage to \"text\"",
        ),
        ('{"id": "1", "title": " ", "text": ""}', "expected a passage with a title or text"),
        ('{"id": "1", "contents": "\\"\\"\\n "}', "expected a passage with a title or text"),
        (r'{"id": "1", "title": "\ud83d", "text": "x"}', "lone surrogate"),
        (b'{"id": "1", "title": "caf\xe9", "text": "x"}', "expected UTF-8 text, got byte 0xe9"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_number(write, line, problem):
    line = line if isinstance(line, bytes) else line.encode()
    path = write(GOOD.encode() + b"\n\n" + line + b"\n")
    with pytest.raises(CorpusError, match=problem) as caught:
        list(read_corpus(path))
    assert str(caught.value).startswith(f"{path}:3: ")
    assert (caught.value.path, caught.value.line) == (str(path), 3)
    assert len(str(caught.value)) < len(str(path)) + 200
    assert isinstance(caught.value, DataFileError)


def test_a_long_value_is_cut_in_the_message(write):
    with pytest.raises(CorpusError) as caught:
        list(read_corpus(write(json.dumps({"id": "1", "contents": ["long " * 1000]}))))
    assert len(caught.value.problem) < 200


@pytest.mark.parametrize("content", ["", "\n \n", gzip.compress(b"", mtime=0)])
def test_an_empty_corpus_is_an_error(write, content):
    with pytest.raises(CorpusError, match="expected at least one passage, got an empty file"):
        list(read_corpus(write(content)))


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match=r"missing\.jsonl: cannot be read: No such file"):
        list(read_corpus(tmp_path / "missing.jsonl"))
    with pytest.raises(CorpusError, match="cannot be read: Is a directory"):
        list(read_corpus(tmp_path))


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:-20], lambda whole: whole[:12] + b"\xff" * 8 + whole[20:]]
)
def test_a_damaged_gzip_file_is_an_error(write, damage):
    whole = gzip.compress(("\n".join([GOOD] * 3)).encode())
    with pytest.raises(CorpusError, match="expected a whole gzip file, got a damaged one"):
        list(read_corpus(write(damage(whole))))
