"""Everything an index can be built from is read to the same passages, and what is wrong is named."""

import gzip
import json
import os
import threading
import time

import pytest

from ssp_env.game.passage import Passage
from ssp_env.search.corpus import CorpusError, open_source, read_corpus, read_folder, world_source
from ssp_env.worlds import World, world_preset

PAGES = [Passage("0", "Belin", "A city."), Passage("1", "Corun 北京", "A town.\nOld.")]
OURS = [{"id": page.id, "title": page.title, "text": page.text} for page in PAGES]
SEARCH_R1 = [{"id": page.id, "contents": f'"{page.title}"\n{page.text}'} for page in PAGES]
BEIR = [{"_id": page.id, "title": page.title, "text": page.text, "metadata": {}} for page in PAGES]
BAD = {"id": "2", "title": "t"}


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def read(path, on_bad=None):
    done = []
    passages = list(open_source(path).read(on_bad, done.append))
    return passages, done


@pytest.mark.parametrize("records", [OURS, SEARCH_R1, BEIR], ids=["ours", "search-r1", "beir"])
@pytest.mark.parametrize("form", ["jsonl", "gz", "parquet", "beir"])
def test_every_form_gives_the_same_passages(tmp_path, records, form):
    path = tmp_path / f"corpus.{form}"
    if form == "jsonl":
        path.write_text(lines(records))
    elif form == "gz":
        path.write_bytes(gzip.compress(lines(records).encode()))
    elif form == "parquet":
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(
            arrow.Table.from_pylist([{k: v for k, v in r.items() if v != {}} for r in records]), path
        )
    else:
        path.mkdir()
        (path / "corpus.jsonl").write_text(lines(records))
        (path / "queries.jsonl").write_text("not read")
    assert read(path)[0] == PAGES


def test_bad_lines_are_skipped_and_told_if_asked(tmp_path):
    path = tmp_path / "corpus.jsonl"
    content = [lines(OURS[:1]).encode(), b"{\n", b"\xff\n", lines([BAD]).encode(), lines(OURS[1:]).encode()]
    path.write_bytes(b"".join(content))
    with pytest.raises(CorpusError, match=r"corpus\.jsonl:2: .*invalid JSON"):
        read(path)
    bad = []
    assert read(path, bad.append)[0] == PAGES
    assert [error.line for error in bad] == [2, 3, 4]


def test_a_damaged_file_is_an_error_even_if_bad_lines_are_skipped(tmp_path):
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(gzip.compress(lines(OURS * 99).encode())[:-9])
    with pytest.raises(CorpusError, match="damaged"):
        read(path, lambda error: None)


def test_bad_rows_of_parquet_are_named_and_skipped_if_asked(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "corpus.parquet"
    parquet.write_table(arrow.Table.from_pylist([OURS[0], {**BAD, "text": None}, OURS[1]]), path)
    with pytest.raises(CorpusError, match=r'corpus\.parquet:2: expected the strings "title" and "text"'):
        read(path)
    bad = []
    assert read(path, bad.append)[0] == PAGES
    assert [error.line for error in bad] == [2]
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CorpusError, match="expected a whole Parquet file"):
        read(path)


def test_reading_reports_how_far_it_is(tmp_path):
    path = tmp_path / "corpus.jsonl"
    records = [{"id": str(number), "title": "t", "text": "x" * 100} for number in range(2000)]
    path.write_text(lines(records))
    source = open_source(path)
    _, done = read(path)
    assert done == sorted(done) and len(done) > 3
    assert 0 < done[0] < done[-1] <= source.total == path.stat().st_size


def test_a_changed_file_is_another_source(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text(lines(OURS))
    before = open_source(path).identity
    assert open_source(path).identity == before
    os.utime(path, ns=(1, 1))
    assert open_source(path).identity != before


def test_a_world_is_a_source():
    world = World(world_preset("tiny"))
    done = []
    source = world_source(world)
    assert list(source.read(None, done.append)) == list(world.passages())
    assert done[-1] == source.total == 24
    assert source.identity != world_source(World(world_preset("tiny", index=1))).identity


def test_a_missing_source_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match=r"missing: cannot be read: No such file"):
        open_source(tmp_path / "missing")


# -- folders -----------------------------------------------------------------------------------------------


def test_documents_become_passages_named_by_their_relative_path(tmp_path):
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "docs" / "b.md").write_text("intro\n\n## The *town* ##\n\nText.")
    (tmp_path / "docs" / "a.txt").write_text("\ufeffPlain text.\n")
    (tmp_path / "docs" / "deep" / "c.HTML").write_text("<title>A\n page</title><p>One<p>two")
    (tmp_path / "docs" / "image.png").write_bytes(b"\xff")
    assert read(tmp_path / "docs")[0] == [
        Passage("a.txt", "a", "Plain text."),
        Passage("b.md", "The *town*", "intro\n\n## The *town* ##\n\nText."),
        Passage("deep/c.HTML", "A page", "One\ntwo"),
    ]


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "more.txt").write_text("secret")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "open.txt").write_text("open")
    (docs / "file.txt").symlink_to(tmp_path / "secret.txt")
    (docs / "folder").symlink_to(tmp_path / "private")
    (docs / "dangling.txt").symlink_to(tmp_path / "nothing")
    (docs / "loop").symlink_to(docs)
    assert [page.id for page in read(docs)[0]] == ["open.txt"]


def test_documents_without_text_are_named_and_skipped_if_asked(tmp_path):
    (tmp_path / "blank.html").write_text("<p> ")
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(CorpusError, match=r"blank\.html: expected a document with text"):
        read(tmp_path)
    bad = []
    assert [page.id for page in read(tmp_path, bad.append)[0]] == ["good.txt"]
    assert "expected UTF-8 text, got byte 0xe9" in str(bad[1])


def test_a_folder_without_documents_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match=r"expected files that end in \.md"):
        read(tmp_path)


def test_an_id_under_either_name_is_read(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text(lines([{"id": "1", "_id": "2", "title": "t", "text": "x"}]))
    assert [page.id for page in read_corpus(path)] == ["1"]


def test_a_pipe_is_read_as_json_lines(tmp_path):
    pipe = tmp_path / "corpus.jsonl"
    os.mkfifo(pipe)
    line = '{"id": "1", "title": "Odense", "text": "A city on Funen."}\n'
    writer = threading.Thread(target=pipe.write_text, args=(line,))
    writer.start()
    passages = list(open_source(pipe).read(None, lambda done: None))
    writer.join()
    assert [passage.title for passage in passages] == ["Odense"]


def test_documents_are_read_in_linear_time_and_too_long_pages_are_named(tmp_path, monkeypatch):
    (tmp_path / "spaces.md").write_text("# a" + " " * 200_000 + "b")
    (tmp_path / "bare.md").write_text("# ##\n\ntext")
    started = time.thread_time()
    bare, spaces = read_folder(tmp_path)
    assert time.thread_time() - started < 2  # was a minute
    assert (bare.title, spaces.title[:1], spaces.title[-1]) == ("bare", "a", "b")
    (tmp_path / "long.html").write_text("<p>longer</p>")
    monkeypatch.setattr("ssp_env.search.plain_text.MAX_PAGE_CHARS", 10)
    with pytest.raises(CorpusError, match=r"long\.html: expected a page of at most 10 characters, got 13"):
        list(read_folder(tmp_path))
