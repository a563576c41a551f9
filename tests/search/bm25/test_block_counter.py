"""Indexes whose words several processes count are those of one process, whatever the order of the ids."""

import os
import signal

import numpy as np
import pytest

from ssp_env.search.bm25 import BM25Engine, block_counter
from ssp_env.search.bm25.block_counter import BlockCounter, EarlyCounts
from ssp_env.search.bm25.builder import build_index
from ssp_env.search.bm25.directory import read_manifest
from ssp_env.search.bm25.passage_file import PassageWriter
from ssp_env.search.bm25.terms import BM25Settings
from tests.search.bm25.directories import in_memory, questions, same_engine, world


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(block_counter, "BLOCK", 64)


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """The files of the index that one process makes."""
    return build_index(world(500), tmp_path_factory.mktemp("one") / "index", source=None)


@pytest.mark.parametrize("ends_out_of_order", [False, True])
def test_processes_make_the_index_that_one_makes(tmp_path, one_process, ends_out_of_order):
    pages, told = world(500), []
    if ends_out_of_order:
        pages = [*pages[:400], *pages[:399:-1]]
    made = build_index(
        pages, tmp_path / "index", source=None, processes=2, progress=lambda *done: told.append(done)
    )
    parts = {name: found for name, found in made.files.items() if name.startswith("terms")}
    assert parts == {name: found for name, found in one_process.files.items() if name.startswith("terms")}
    assert made.fingerprint == one_process.fingerprint
    assert any(stage == "Sorting" for stage, *_ in told) == ends_out_of_order
    assert ("Indexing", 500, 500) in told
    same_engine(BM25Engine.open(tmp_path / "index"), in_memory(500, 150_000), questions(10))


def test_what_turns_out_too_large_for_scores_becomes_postings(tmp_path):
    build_index(world(300), tmp_path / "index", BM25Settings(eager_up_to=200), source=None, processes=2)
    assert not read_manifest(tmp_path / "index").settings.is_eager(300)
    same_engine(BM25Engine.open(tmp_path / "index"), in_memory(300, 200), questions(10))


def test_a_build_that_goes_on_counts_what_an_earlier_one_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ssp_env.search.bm25.builder._CHECKPOINT", 100)

    def broken():
        yield from world(250)
        raise OSError("unplugged")

    path = tmp_path / "index"
    with pytest.raises(OSError, match="unplugged"):
        build_index(broken(), path, source="the world", processes=2)
    build_index(world(500), path, source="the world", processes=2)
    same_engine(BM25Engine.open(path), in_memory(500, 150_000), questions(10))


@pytest.fixture
def stored(tmp_path):
    """A file of passages, and one of their positions."""
    with PassageWriter(tmp_path / "passages-1.bin") as writer:
        positions = [writer.append(page) for page in world(200)]
        writer.flush()
    np.array(positions, "<u8").tofile(tmp_path / "order-1.bin")
    return tmp_path / "passages-1.bin", tmp_path / "order-1.bin"


def test_damage_that_a_process_meets_is_the_error_of_the_build(stored):
    passages, order = stored
    passages.write_bytes(passages.read_bytes()[:-10])
    counter = BlockCounter([passages], BM25Settings(), 2)
    with counter, pytest.raises(ValueError, match="expected a passage, got damaged bytes"):
        counter.scores(order, 200, lambda done: None)


def test_a_process_that_is_killed_ends_the_build_with_advice(stored):
    with BlockCounter([stored[0]], BM25Settings(), 2) as counter:
        counter.give(stored[1], 64)
        counter._given[0].result()
        os.kill(counter._workers[0]._process.pid, signal.SIGKILL)
        with pytest.raises(ChildProcessError, match="--processes 1"):
            counter.scores(stored[1], 200, lambda done: None)


@pytest.mark.parametrize("identifiers", [["b", "a"], ["a", "a"], ["", "a"], ["9", "10"]])
def test_ids_out_of_order_are_noticed(stored, tmp_path, identifiers):
    with BlockCounter([stored[0]], BM25Settings(), 2) as counter:
        early = EarlyCounts(counter, tmp_path / "order", lambda passages, size: True)
        for identifier in identifiers:
            early.add(identifier, 0, None)
        assert not early.finish(2)


@pytest.mark.parametrize("processes", [0, -1])
def test_there_must_be_a_process(tmp_path, processes):
    with pytest.raises(ValueError, match="processes must be at least 1"):
        build_index(world(3), tmp_path / "index", source=None, processes=processes)
    assert not list(tmp_path.iterdir())
