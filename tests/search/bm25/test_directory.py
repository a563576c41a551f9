"""An index on disk ranks as the one in memory, survives being killed, and never hides damage."""

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine, builder, passage_file, term_index
from ssp_env.search.bm25.builder import add_passages, build_index, unfinished_build
from ssp_env.search.bm25.directory import IndexDirectoryError, check_index, read_manifest
from ssp_env.search.bm25.passage_file import (
    DuplicateIdError,
    sorted_positions,
)
from ssp_env.search.bm25.terms import BM25Settings
from ssp_env.testing.engines import check_engine
from ssp_env.worlds import World, world_preset
from tests.search.bm25.directories import (
    CORPORA,
    EAGER,
    ROOT,
    TEXTS,
    in_memory,
    questions,
    same_engine,
    world,
)
from tests.search.bm25.killed import Case, kill


@settings(max_examples=25)
@given(
    corpus=CORPORA,
    queries=st.lists(TEXTS, max_size=5),
    flags=st.tuples(*[st.booleans()] * 4),
    eager=EAGER,
    top_k=st.integers(1, 40),
)
def test_a_directory_ranks_as_memory_does(tmp_path_factory, corpus, queries, flags, eager, top_k):
    path = tmp_path_factory.mktemp("index") / "index"
    stem, drop, all_words, pruned = flags
    limit = 0 if pruned else None
    chosen = BM25Settings(stem, drop, all_words, prune_above=limit, eager_up_to=eager)
    build_index(corpus, path, chosen, source=None)
    memory = BM25Engine(corpus[::-1], **asdict(chosen))
    same_engine(BM25Engine.open(path), memory, queries, top_k)


@settings(max_examples=15)
@given(
    corpus=CORPORA,
    queries=st.lists(TEXTS, max_size=5),
    cuts=st.lists(st.integers(1, 29), max_size=3),
    eager=EAGER,
)
def test_added_passages_rank_as_if_they_had_always_been_there(tmp_path_factory, corpus, queries, cuts, eager):
    path = tmp_path_factory.mktemp("index") / "index"
    bounds = [0, *sorted({min(cut, len(corpus)) for cut in cuts}), len(corpus)]
    parts = [corpus[start:end] for start, end in pairwise(bounds)]
    build_index(parts[0], path, BM25Settings(eager_up_to=eager), source=None)
    for part in parts[1:]:
        add_passages(path, part)
    engine, memory = BM25Engine.open(path), BM25Engine(corpus, eager_up_to=eager)
    assert engine.fingerprint() == memory.fingerprint()
    for found, expected in zip(engine.search(queries, 99), memory.search(queries, 99), strict=True):
        assert {hit.id: hit.score for hit in found} == pytest.approx({hit.id: hit.score for hit in expected})
    assert engine.sample(np.random.default_rng(0), 9) == memory.sample(np.random.default_rng(0), 9)
    assert check_index(path).passages == len(corpus)


@pytest.mark.parametrize(("memory", "eager"), [(0, False), (10**5, False), (10**7, True)])
def test_scores_are_computed_beforehand_if_they_fit_into_the_memory_given(tmp_path, memory, eager):
    pages = world(1000)
    manifest = build_index(pages, tmp_path / "index", source=None, eager_memory=memory)
    assert manifest.settings.is_eager(manifest.passages) == eager
    size = sum((tmp_path / "index" / name).stat().st_size for name in manifest.passage_files)
    assert manifest.settings.eager_up_to == memory * len(pages) // (4 * size)
    found = BM25Engine.open(tmp_path / "index").search(questions(10), 5)
    assert found == in_memory(1000, 1000 * eager).search(questions(10), 5)


def test_a_build_for_another_memory_is_begun_anew(tmp_path, monkeypatch):
    path, pages = tmp_path / "index", world(1000)

    def full(*arguments):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(builder, "write_terms", full)
        with pytest.raises(OSError, match="full"):
            build_index(pages, path, source="the world", eager_memory=0)
    told = []
    build_index(
        pages, path, source="the world", eager_memory=10**7, progress=lambda *how: told.append(how[0])
    )
    assert "Reading" in told and read_manifest(path).settings.is_eager(1000)


@pytest.mark.parametrize("eager", [0, 600, 1000])
def test_questions_over_a_world_rank_equally_after_an_addition(tmp_path, eager):
    pages = world(1000)
    build_index(pages[::-2], tmp_path / "index", BM25Settings(eager_up_to=eager), source=None)
    add_passages(tmp_path / "index", pages[::2])
    same_engine(BM25Engine.open(tmp_path / "index"), in_memory(1000, eager), questions(30), 10)


def test_an_index_built_by_several_threads_ranks_as_one_built_by_one(tmp_path, monkeypatch):
    large = BM25Settings(eager_up_to=0)
    build_index(world(1000), tmp_path / "one", large, source=None)
    monkeypatch.setattr(term_index, "_SINGLE_THREAD_HEAPS", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 96)
    build_index(world(1000), tmp_path / "several", large, source=None)
    one, several = (BM25Engine.open(tmp_path / name) for name in ("one", "several"))
    for found, expected in zip(several.search(questions(30), 8), one.search(questions(30), 8), strict=True):
        assert [hit.id for hit in found] == [hit.id for hit in expected]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected])
    assert several.fingerprint() == one.fingerprint()


def test_an_engine_with_a_path_passes_the_checks_of_engines(tmp_path):
    numbers = iter(range(1000))
    check_engine(lambda passages: BM25Engine(passages, path=tmp_path / str(next(numbers))))


def test_the_fingerprint_does_not_depend_on_the_way_it_was_built(tmp_path):
    pages = world(30)
    build_index(pages, tmp_path / "one", source=None)
    build_index(pages[20:], tmp_path / "two", source=None)
    add_passages(tmp_path / "two", pages[:20][::-1])
    BM25Engine(pages, path=tmp_path / "three")
    assert {BM25Engine.open(tmp_path / name).fingerprint() for name in ("one", "two", "three")} == {
        BM25Engine(pages).fingerprint()
    }


def test_the_texts_are_not_held_in_memory(tmp_path):
    pages = [Passage(str(number), "t", "belin " * 2000) for number in range(500)]
    build_index(pages, tmp_path / "index", source=None)
    tracemalloc.start()
    engine = BM25Engine.open(tmp_path / "index")
    engine.search(["belin"], 3)
    engine.sample(np.random.default_rng(0), 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000 < 500 * 12_000


def test_building_takes_memory_that_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(passage_file, "_RUN_ENTRIES", 200)
    monkeypatch.setattr(passage_file, "_BATCH_ENTRIES", 20)

    def peak(count):
        stream = (Passage(f"{number:09}", "t", f"{number} " * 100) for number in range(count))
        tracemalloc.start()
        build_index(stream, tmp_path / str(count), BM25Settings(eager_up_to=0), source=None)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)
    assert peak(8000) < 1.5 * peak(2000)


# -- sorting by id -----------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=3), unique=True), st.integers(1, 5))
def test_ids_are_sorted_however_many_runs_it_takes(tmp_path_factory, names, run):
    folder = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passage_file, "_RUN_ENTRIES", run)
        patch.setattr(passage_file, "_BATCH_ENTRIES", 2)
        found = list(sorted_positions(zip(names, range(len(names))), folder))
    assert [names[position] for position in found] == sorted(names)


def test_an_id_used_twice_is_found_across_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(passage_file, "_RUN_ENTRIES", 2)
    with pytest.raises(DuplicateIdError, match="'a' twice") as caught:
        list(sorted_positions([(b"a", 5), (b"b", 6), (b"c", 7), (b"a", 8)], tmp_path))
    assert caught.value.positions == (5, 8)


# -- killed, interrupted, refused --------------------------------------------------------------------------

KILLS = [
    ("Reading", 10, 0, 0), ("Reading", 550, 500, 0), ("Sorting", 500, 1000, 0), ("Indexing", 20, 1000, 0),
    ("Indexing", 990, 1000, 0), ("Checking", 1, 1000, 0), ("Reading", 550, 500, 1000),
    ("Indexing", 500, 1000, 1000), ("Checking", 1, 1000, 1000),
]  # fmt: skip
"""Stage and passage at which a build is killed, how many passages are kept, and the setting `eager_up_to`."""


@pytest.fixture(scope="module")
def killed_builds(tmp_path_factory):
    """The paths of all builds that were killed, and the signals that ended them."""
    folders = [tmp_path_factory.mktemp("killed") for _ in KILLS]
    return kill(
        [
            Case(str(folder / "index"), stage, at, eager)
            for folder, (stage, at, _, eager) in zip(folders, KILLS, strict=True)
        ]
    )


@pytest.mark.parametrize("number", range(len(KILLS)), ids=["-".join(map(str, each)) for each in KILLS])
def test_a_killed_build_goes_on_and_ends_as_if_nothing_had_happened(killed_builds, number):
    _, _, kept, eager = KILLS[number]
    path, ended_by = killed_builds[number]
    assert ended_by == signal.SIGKILL
    assert not path.exists()
    skipped = []

    def pages():
        for number, page in enumerate(World(world_preset("small")).passages()):
            skipped.append(number)
            yield page

    reached = json.loads((unfinished_build(path) / "progress.json").read_text()) if kept else {"passages": 0}
    assert reached["passages"] == kept
    build_index(pages(), path, BM25Settings(eager_up_to=eager), source="the world")
    assert (not skipped) == (kept == 1000)  # what was read whole is not read again
    assert [entry.name for entry in path.parent.iterdir()] == ["index"]
    assert check_index(path).passages == 1000
    same_engine(BM25Engine.open(path), in_memory(1000, eager), questions(10))


def test_a_build_of_another_source_starts_anew(tmp_path):
    path = tmp_path / "index"

    def broken():
        yield from world(10)
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        build_index(broken(), path, source="one")
    build_index(world(5, index=1), path, source="two")
    assert BM25Engine.open(path).fingerprint() == BM25Engine(world(5, index=1)).fingerprint()


@pytest.mark.parametrize("size", [3_000, 200_000])
def test_a_full_disk_publishes_nothing_and_the_build_can_go_on(tmp_path, size):
    # A limit on the size of files stands in for a full disk: both fail where something is written.
    path = tmp_path / "index"
    script = """
import resource, sys
from ssp_env.search.bm25.builder import build_index
from ssp_env.worlds import World, world_preset
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
build_index(World(world_preset("small")).passages(), sys.argv[1], source="the world")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, path, str(size)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("OSError")
    assert not path.exists()
    build_index(World(world_preset("small")).passages(), path, source="the world")
    assert check_index(path).passages == 1000


@pytest.mark.skipif(
    subprocess.run(["sh", "-c", "unshare -rm true"], capture_output=True, check=False).returncode != 0,
    reason="needs a small disk of its own, which Linux gives without privileges if `unshare -rm` may be used",
)
def test_a_disk_that_is_really_full_is_an_os_error_while_terms_are_written_too(tmp_path):
    # 600 kB hold the passages of this world and not the terms beside them.
    script = """
import sys
from ssp_env.search.bm25.builder import build_index
from ssp_env.worlds import World, world_preset
try:
    build_index(World(world_preset("small")).passages(), sys.argv[1] + "/index", source="the world")
except OSError as error:
    sys.exit(f"full: {error}")
"""
    mount = 'mount -t tmpfs -o size=600k none "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", tmp_path, sys.executable, script],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("full:") and "No space left on device" in done.stderr


def test_a_second_builder_is_refused_while_the_first_is_at_work(tmp_path):
    path = tmp_path / "index"

    def meddling():
        yield from world(3)
        with pytest.raises(IndexDirectoryError, match="another process is writing"):
            build_index(world(3), path, source=None)
        yield Passage("last", "t", "x")

    build_index(meddling(), path, source="one")
    assert read_manifest(path).passages == 4


def test_a_directory_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(IndexDirectoryError, match="new or empty directory"):
            build_index(world(3), path, source=None)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_no_passages_and_ids_used_twice_are_refused(tmp_path):
    with pytest.raises(ValueError, match="empty corpus"):
        build_index([], tmp_path / "index", source=None)
    twice = [Passage("7", "one", "x"), Passage("8", "two", "x"), Passage("7", "three", "x")]
    with pytest.raises(ValueError, match="'7' twice: 'one' and 'three'"):
        build_index(twice, tmp_path / "index", source=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "added",
    [
        [Passage("new", "n", "x"), Passage("b", "mine", "x")],
        [Passage("new", "n", "x"), Passage("new", "m", "x")],
    ],
)
def test_an_addition_that_fails_changes_nothing(tmp_path, added):
    path = tmp_path / "index"
    build_index([Passage(name, name, "x") for name in "abc"], path, source=None)
    before = (path / "manifest.json").read_bytes()
    with pytest.raises(ValueError, match=f"{added[1].id!r} twice"):
        add_passages(path, added)
    assert (path / "manifest.json").read_bytes() == before
    assert check_index(path).passages == 3
    assert add_passages(path, [Passage("d", "d", "x")]).passages == 4
    assert check_index(path).generation == 2
    assert not [entry for entry in path.iterdir() if entry.name.endswith("-1") or entry.name == "order-1.bin"]


def test_adding_nothing_changes_nothing(tmp_path):
    build_index(world(3), tmp_path / "index", source=None)
    assert add_passages(tmp_path / "index", []).generation == 1
    assert check_index(tmp_path / "index").passages == 3


def test_an_open_engine_keeps_what_it_opened(tmp_path):
    pages = world(40)
    build_index(pages[:20], tmp_path / "index", source=None)
    engine = BM25Engine.open(tmp_path / "index")
    before = engine.search([page.title for page in pages], 5)
    add_passages(tmp_path / "index", pages[20:])
    assert engine.search([page.title for page in pages], 5) == before
    assert len(engine) == 20 and len(BM25Engine.open(tmp_path / "index")) == 40
