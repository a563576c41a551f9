"""Index directories that are open: many readers, damaged files and strange queries."""

import json
import multiprocessing
import os
import pickle
import re
import signal
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.builder import add_passages, build_index
from ssp_env.search.bm25.directory import IndexDirectoryError, _rendered, check_index, read_manifest
from ssp_env.search.bm25.passage_file import (
    DamagedIndexError,
    PassageFiles,
    PassageWriter,
)
from ssp_env.search.bm25.terms import BM25Settings
from tests.search.bm25.directories import CORPORA, ROOT, in_memory, questions, same_engine, world
from tests.search.bm25.killed import Case, kill

# -- many readers ------------------------------------------------------------------------------------------


def _search_elsewhere(path):
    return BM25Engine.open(path).search(questions(3), 3)


def test_many_processes_open_it_at_once(tmp_path):
    build_index(world(1000), tmp_path / "index", source=None)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(_search_elsewhere, [tmp_path / "index"] * 6)
    expected = BM25Engine(world(1000)).search(questions(3), 3)
    assert found == [expected] * 6


def _search_pickled(engine):
    return engine.search(questions(3), 3)


@pytest.mark.parametrize("exact", [False, True])
def test_an_open_directory_pickles_as_its_path(tmp_path, exact):
    build_index(world(50), tmp_path / "index", source=None)
    engine = BM25Engine.open(tmp_path / "index", exact=exact)
    pickled = pickle.dumps(engine)
    assert len(pickled) < 1000
    same_engine(pickle.loads(pickled), engine, ["river"])
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_search_pickled, [engine] * 3) == [engine.search(questions(3), 3)] * 3


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_are_as_readable_as_the_umask_says(tmp_path, umask, mode):
    pages, before = world(40), os.umask(umask)
    try:
        build_index(pages[:20], tmp_path / "index", source=None)
        add_passages(tmp_path / "index", pages[20:])
    finally:
        os.umask(before)
    files = [
        tmp_path / "index" / name for name in [*read_manifest(tmp_path / "index").files, "manifest.json"]
    ]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {mode}


def test_a_platform_without_fcntl_builds_and_opens(tmp_path):
    script = """if True:
        import sys, warnings
        sys.modules["fcntl"] = None
        warnings.simplefilter("ignore")
        from ssp_env.game.passage import Passage
        from ssp_env.search.bm25 import BM25Engine
        BM25Engine([Passage("7", "belin", "x")], path=sys.argv[1])
        print(BM25Engine.open(sys.argv[1]).search(["belin"], 1)[0][0].id)
    """
    command = [sys.executable, "-c", script, str(tmp_path / "index")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("7\n", "")


# -- damage ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[0, 20], ids=["postings", "scores"])
def whole(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("whole") / "index"
    build_index(world(20), path, BM25Settings(eager_up_to=request.param), source=None)
    return path, sorted([*read_manifest(path).files, "manifest.json"])


@settings(max_examples=150)
@given(data=st.data())
def test_any_flipped_or_missing_byte_is_found(whole, data):
    folder, names = whole
    path = folder / data.draw(st.sampled_from(names))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = bytes([content[place] ^ data.draw(st.integers(1, 255))])
    for damaged in (content[:place] + flipped + content[place + 1 :], content[:place], content + b"\0"):
        path.write_bytes(damaged)
        try:
            with pytest.raises((DamagedIndexError, IndexDirectoryError)):
                check_index(folder)
        finally:
            path.write_bytes(content)
    check_index(folder)


def test_files_that_are_cut_or_missing_are_found_when_the_index_is_opened(whole):
    folder, names = whole
    for name in names:
        path = folder / name
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        with pytest.raises(DamagedIndexError, match=path.name):
            BM25Engine.open(folder)
        path.unlink()
        with pytest.raises((DamagedIndexError, IndexDirectoryError)):
            BM25Engine.open(folder)
        path.write_bytes(content)
    assert BM25Engine.open(folder).search(["river"], 1)


def overwrite(path, content):
    """Write a file of the same length in place: engines that still map it would crash if it were cut."""
    with path.open("r+b") as file:
        file.write(content)


def test_a_damaged_text_is_an_error_and_never_a_result(whole):
    folder, _ = whole
    path = folder / "passages-1.bin"
    content = path.read_bytes()
    page = world(20)[7]
    place = content.index(page.text.encode()) + 5
    overwrite(path, content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    try:
        engine = BM25Engine.open(folder)
        with pytest.raises(DamagedIndexError, match=r"passages-1\.bin, byte"):
            engine.search([page.title], 20)
        with pytest.raises(DamagedIndexError):
            engine.sample(np.random.default_rng(0), 20)
    finally:
        overwrite(path, content)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_index_with_a_changed_byte_never_ranks_otherwise(whole, data):
    folder, names = whole
    queries = ["river of belin", "mayor", "who lives in corun"]
    expected = BM25Engine.open(folder).search(queries, 5)
    path = folder / data.draw(st.sampled_from(names))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    overwrite(path, content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    try:
        assert BM25Engine.open(folder).search(queries, 5) == expected
    except (DamagedIndexError, IndexDirectoryError):
        pass
    finally:
        overwrite(path, content)


def test_damage_to_a_large_index_is_found_in_the_background(whole, monkeypatch):
    folder, names = whole
    monkeypatch.setattr("ssp_env.search.bm25.integrity.CHECKED_AT_ONCE", 0)
    path = folder / next(name for name in names if name.startswith("order-"))
    content = path.read_bytes()
    overwrite(path, content[8:16] + content[:8] + content[16:])
    try:
        engine = BM25Engine.open(folder)
        for thread in threading.enumerate():
            if thread.name == "index check":
                thread.join(30)
        with pytest.raises(DamagedIndexError, match=r"order-1\.bin: expected the bytes that were written"):
            engine.search(["river"], 1)
    finally:
        overwrite(path, content)


def rewrite_manifest(folder, change):
    data = json.loads((folder / "manifest.json").read_text())
    del data["sha256"]
    change(data)
    (folder / "manifest.json").write_bytes(_rendered(data))


def test_an_index_of_the_format_before_is_read_with_its_words_and_says_so(tmp_path, caplog):
    pages = [Passage("a", "", "上海是城市"), Passage("b", "", "Köln")]
    engine = BM25Engine(pages, path=tmp_path / "index", tokenization=1)

    def as_before(data):
        data["format"] = 2
        del data["settings"]["tokenization"]

    rewrite_manifest(tmp_path / "index", as_before)
    caplog.clear()
    opened = BM25Engine.open(tmp_path / "index")
    assert "build it again" in caplog.text
    assert opened.search(["koln", "köln"], 1) == engine.search(["koln", "köln"], 1) != [[], []]
    assert opened.fingerprint() == engine.fingerprint()
    # With the corpus at hand it is opened too, and what is added gets words of the same kind.
    assert BM25Engine(pages, path=tmp_path / "index").fingerprint() == engine.fingerprint()
    add_passages(tmp_path / "index", [Passage("c", "", "Malmö")])
    assert BM25Engine.open(tmp_path / "index").search(["malmo"], 1) == [[]]


def test_an_index_with_words_of_a_later_version_is_refused(tmp_path):
    BM25Engine([Passage("a", "", "Köln")], path=tmp_path / "index")
    rewrite_manifest(tmp_path / "index", lambda data: data["settings"].update(tokenization=9))
    with pytest.raises(IndexDirectoryError, match="tokenization must be from 1 to 2, got 9"):
        BM25Engine.open(tmp_path / "index")


def test_an_index_of_another_format_says_so(whole, monkeypatch):
    monkeypatch.setattr("ssp_env.search.bm25.directory.FORMAT", 99)
    with pytest.raises(IndexDirectoryError, match="format 99, got format 3: build it again"):
        BM25Engine.open(whole[0])


def test_what_is_no_index_says_so(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(IndexDirectoryError, match="expected an index made by ssp index build"):
            BM25Engine.open(path)
        with pytest.raises(IndexDirectoryError, match="expected an index"):
            add_passages(path, world(1))


@given(CORPORA)
def test_passages_come_back_from_a_file_as_they_were(tmp_path_factory, corpus):
    path = tmp_path_factory.getbasetemp() / "passages.bin"
    with PassageWriter(path) as writer:
        for passage in corpus:
            writer.append(passage)
    files = PassageFiles([path, path])
    scanned = list(files.scan())
    assert [passage for _, passage in scanned] == corpus * 2
    assert all(files.read(position) == passage for position, passage in scanned)
    with pytest.raises(DamagedIndexError):
        files.read(files.size)


# -- strange queries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", " \n", "?!…", "😀", "\ud800", '" : (', "x" * 10_000])
def test_a_query_without_a_known_word_finds_nothing(whole, query):
    assert BM25Engine.open(whole[0]).search([query], 10**6) == [[]]


@pytest.mark.parametrize("query", ["the of and", 'AND " : ('])
def test_a_query_of_stop_words_alone_finds_pages_with_them(whole, query):
    found = BM25Engine.open(whole[0]).search([query], 10)[0]
    words = set(re.findall("[a-z]+", query.lower()))
    assert len(found) == 10
    assert all(words & set(re.findall("[a-z]+", f"{page.title} {page.text}".lower())) for page in found)


def test_top_k_is_checked_and_may_exceed_the_corpus(whole):
    engine = BM25Engine.open(whole[0])
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        engine.search(["river"], 0)
    word = world(1)[0].title
    assert engine.search([word], 10**6) == engine.search([word], 20)


ADDITIONS = [(stage, eager) for stage in ("Indexing", "Checking") for eager in (0, 900, 1000)]


@pytest.fixture(scope="module")
def killed_additions(tmp_path_factory):
    """The paths of all indexes whose additions were killed, and the signals that ended these."""
    cases = []
    for stage, eager in ADDITIONS:
        path = tmp_path_factory.mktemp("killed") / "index"
        build_index(world(900), path, BM25Settings(eager_up_to=eager), source=None)
        cases.append(Case(str(path), stage, at=0, first=900))
    return kill(cases)


@pytest.mark.parametrize("number", range(len(ADDITIONS)), ids=[f"{one}-{two}" for one, two in ADDITIONS])
def test_a_killed_addition_leaves_the_index_as_it_was(killed_additions, number):
    (path, ended_by), eager = killed_additions[number], ADDITIONS[number][1]
    assert ended_by == signal.SIGKILL
    assert check_index(path).passages == 900
    add_passages(path, world(1000)[900:])
    assert check_index(path).passages == 1000
    same_engine(BM25Engine.open(path), in_memory(1000, eager), questions(10))
