import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ssp_env.game.passage import Passage
from ssp_env.search import dense, dense_vectors
from ssp_env.search.dense import HNSW, IVFPQ, DenseEngine, Flat
from ssp_env.search.encoders import Encoder
from ssp_env.testing import check_engine
from tests.search.hashed_words import HASHED_WORDS, encode

pytest.importorskip("faiss", reason="needs faiss: pip install 'ssp-env[dense]'")

KINDS = [Flat(), HNSW(), IVFPQ()]
MAPS = Path("/proc/self/maps")
ROOT = Path(__file__).parents[2]
WORDS = [f"word{number}" for number in range(300)]


def corpus(count, seed=0):
    rng = np.random.default_rng(seed)
    return [Passage(f"{row:05}", f"page{row}", " ".join(rng.choice(WORDS, 12))) for row in range(count)]


def ids(found):
    return [passage.id for passage in found]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_index_passes_the_conformance_checks(kind):
    check_engine(lambda passages: DenseEngine(passages, HASHED_WORDS, index=kind))


def test_an_engine_on_disk_passes_the_conformance_checks(tmp_path):
    made = iter(range(100))
    check_engine(lambda passages: DenseEngine(passages, HASHED_WORDS, path=tmp_path / str(next(made))))


def test_flat_ranks_as_exact_inner_products_do():
    passages = corpus(400)
    queries = [" ".join(passage.text.split()[:5]) for passage in passages[:20]]
    found = DenseEngine(passages, HASHED_WORDS).search(queries, 10)
    vectors = HASHED_WORDS.passages(passages).astype(np.float64)
    for query, hits in zip(queries, found, strict=True):
        scores = vectors @ HASHED_WORDS.queries([query])[0].astype(np.float64)
        best = np.argsort(-scores, kind="stable")[:10]
        assert ids(hits) == [passages[row].id for row in best]
        assert [hit.score for hit in hits] == pytest.approx(scores[best], abs=1e-6)


@pytest.mark.parametrize(("kind", "least"), [(HNSW(), 0.95), (IVFPQ(probes=40), 0.85)], ids=str)
def test_approximate_indexes_find_most_of_what_flat_finds_with_the_same_scores(kind, least):
    passages = corpus(1500)
    queries = [" ".join(passage.text.split()[:6]) for passage in passages[:60]]
    exact = DenseEngine(passages, HASHED_WORDS).search(queries, 10)
    found = DenseEngine(passages, HASHED_WORDS, index=kind).search(queries, 10)
    overlap = np.mean([len(set(ids(a)) & set(ids(b))) / 10 for a, b in zip(exact, found, strict=True)])
    assert overlap >= least
    scores = {(row, hit.id): hit.score for row, hits in enumerate(exact) for hit in hits}
    for row, hits in enumerate(found):
        for hit in hits:
            assert hit.score == scores.get((row, hit.id), hit.score)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_building_twice_gives_the_same_results(kind):
    passages = corpus(1000)
    queries = WORDS[:20]
    first = DenseEngine(passages, HASHED_WORDS, index=kind).search(queries, 7)
    assert DenseEngine(passages[::-1], HASHED_WORDS, index=kind).search(queries, 7) == first


def test_lists_that_hold_fewer_than_asked_give_fewer_and_no_row_minus_one():
    passages = corpus(500)
    engine = DenseEngine(passages, HASHED_WORDS, index=IVFPQ(lists=50, probes=1))
    (found,) = engine.search(["word1 word2"], 10**6)
    assert 0 < len(found) < 500
    assert len(set(ids(found))) == len(found)
    # Row -1 would be the last passage, whatever it scores.
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True)


def test_a_tie_longer_than_any_margin_is_ordered_by_id():
    passages = [Passage(f"{row:03}", "t", "same words") for row in range(300)]
    engine = DenseEngine(passages[::-1], HASHED_WORDS)
    for top_k in (1, 3, 40, 299):
        assert ids(engine.search(["same words"], top_k)[0]) == [f"{row:03}" for row in range(top_k)]


def test_differences_below_the_last_digit_are_ties_however_many_there_are():
    def almost_equal(texts):
        # Pages with high numbers lead by what float32 can just tell apart.
        lead = np.array(["high" in text for text in texts])
        return np.column_stack([np.ones(len(texts)), lead * 2e-7]).astype(np.float32)

    encoder = Encoder("almost equal", almost_equal, normalize=False)
    low = [Passage(f"{row:03}", "t", f"low {row}") for row in range(40)]
    high = [Passage(f"{row:03}", "t", f"high {row}") for row in range(40, 80)]

    def ask(texts):
        return np.ones((len(texts), 2), np.float32)

    engine = DenseEngine(high + low, encoder)
    engine._encoder = dataclasses.replace(encoder, encode=ask)
    assert ids(engine.search(["x"], 3)[0]) == ["000", "001", "002"]


def test_blank_queries_find_nothing_and_are_not_encoded():
    seen = []

    def spy(texts):
        seen.extend(texts)
        return encode(texts)

    engine = DenseEngine(corpus(5), Encoder("spy", spy))
    seen.clear()
    assert engine.search(["", " \n\t"], 3) == [[], []]
    assert engine.search([], 3) == []
    assert seen == []


@pytest.mark.parametrize("query", ["?!…", "北京 首都", "😀", "\ud800", "\x00", "x" * 100_000])
def test_any_text_is_a_query(query):
    (found,) = DenseEngine(corpus(5), HASHED_WORDS).search([query], 3)
    assert len(found) == 3
    assert all(np.isfinite(hit.score) for hit in found)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_top_k_may_exceed_the_corpus_and_must_be_positive(kind):
    engine = DenseEngine(corpus(50), HASHED_WORDS, index=kind)
    assert len(engine.search(["word1"], 10**6)[0]) == 50
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        engine.search(["word1"], 0)


def test_queries_must_be_a_sequence_of_strings():
    engine = DenseEngine(corpus(5), HASHED_WORDS)
    for queries in ("word1", ["word1", None]):
        with pytest.raises(TypeError, match="sequence of strings"):
            engine.search(queries, 1)


def test_empty_corpora_and_duplicate_ids_are_refused():
    with pytest.raises(ValueError, match="empty corpus"):
        DenseEngine([], HASHED_WORDS)
    with pytest.raises(ValueError, match="'7' twice: 'one' and 'two'"):
        DenseEngine([Passage("7", "one", "x"), Passage("7", "two", "y")], HASHED_WORDS)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [(IVFPQ(code_bytes=7), "code_bytes must divide the dimension 96"), (IVFPQ(lists=99), "lists must not")],
)
def test_settings_that_do_not_fit_are_refused(kind, problem):
    with pytest.raises(ValueError, match=problem):
        DenseEngine(corpus(20), HASHED_WORDS, index=kind)


def test_queries_of_another_dimension_are_refused():
    dimensions = iter((4, 5))
    changing = Encoder("changing", lambda texts: np.ones((len(texts), next(dimensions)), np.float32))
    engine = DenseEngine(corpus(3), changing)
    with pytest.raises(ValueError, match="dimension 4, got 5"):
        engine.search(["x"], 1)


def test_fingerprint_depends_on_encoder_and_index():
    pages = corpus(20)
    engines = [
        DenseEngine(pages, HASHED_WORDS),
        DenseEngine(pages, dataclasses.replace(HASHED_WORDS, name="other")),
        DenseEngine(pages, dataclasses.replace(HASHED_WORDS, query_prefix="query: ")),
        DenseEngine(pages, HASHED_WORDS, index=HNSW()),
        DenseEngine(pages, HASHED_WORDS, index=HNSW(ef_search=64)),
        DenseEngine(pages, HASHED_WORDS, index=IVFPQ()),
    ]
    assert len({engine.fingerprint() for engine in engines}) == len(engines)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_directory_is_reopened_memory_mapped_and_without_encoding(tmp_path, kind):
    passages = corpus(200)
    path = tmp_path / "deep" / "index"
    built = DenseEngine(passages, HASHED_WORDS, index=kind, path=path)
    expected = built.search(["word1 word2"], 9)
    assert expected == DenseEngine(passages, HASHED_WORDS, index=kind).search(["word1 word2"], 9)
    assert [entry.name for entry in path.parent.iterdir()] == ["index"]
    encoded = []

    def spy(texts):
        encoded.extend(texts)
        return encode(texts)

    reopened = DenseEngine(
        passages[::-1], dataclasses.replace(HASHED_WORDS, encode=spy), index=kind, path=path
    )
    assert reopened.search(["word1 word2"], 9) == expected
    assert encoded == ["word1 word2"]
    assert isinstance(reopened._vectors, np.memmap)
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["passages"] == 200 and manifest["fingerprint"] == reopened.fingerprint()


@pytest.mark.skipif(not MAPS.exists(), reason="needs /proc/self/maps, which Linux has")
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_files_of_a_directory_are_mapped_and_not_read(tmp_path, kind):
    engine = DenseEngine(corpus(200), HASHED_WORDS, index=kind, path=tmp_path / "index")
    large = {"vectors.npy"} if kind == Flat() else {"vectors.npy", "index.faiss"}
    mapped = {Path(line.split()[-1]) for line in MAPS.read_text().splitlines()}
    assert {path.name for path in mapped if path.parent == tmp_path / "index"} == large
    assert engine.search(["word1"], 3)[0]


def test_a_directory_of_something_else_is_refused_and_kept(tmp_path):
    DenseEngine(corpus(20), HASHED_WORDS, path=tmp_path / "index")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    for pages, kind, name in (
        (corpus(19), Flat(), "index"),
        (corpus(20), HNSW(), "index"),
        (corpus(20), Flat(), "full"),
    ):
        with pytest.raises(ValueError, match="something other than the index of this corpus"):
            DenseEngine(pages, HASHED_WORDS, index=kind, path=tmp_path / name)
    with pytest.raises(ValueError, match="needs a directory, got the file"):
        DenseEngine(corpus(20), HASHED_WORDS, path=tmp_path / "full" / "thesis.txt")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "years of work"


def test_pickled_vectors_are_not_loaded(tmp_path):
    DenseEngine(corpus(3), HASHED_WORDS, path=tmp_path / "index")
    with (tmp_path / "index" / "vectors.npy").open("wb") as file:
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError):
        DenseEngine(corpus(3), HASHED_WORDS, path=tmp_path / "index")


def test_truncated_vectors_are_refused(tmp_path):
    DenseEngine(corpus(3), HASHED_WORDS, path=tmp_path / "index")
    np.save(tmp_path / "index" / "vectors.npy", np.ones((2, 96), np.float32))
    with pytest.raises(ValueError, match="damaged"):
        DenseEngine(corpus(3), HASHED_WORDS, path=tmp_path / "index")


def stopping(after, error=KeyboardInterrupt):
    """An encoder as HASHED_WORDS, interrupted after some texts, and the texts that it is given."""
    seen = []

    def stop(texts):
        if len(seen) >= after:
            raise error
        seen.extend(texts)
        return encode(texts)

    return dataclasses.replace(HASHED_WORDS, encode=stop), seen


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_an_interrupted_build_goes_on_where_it_was(tmp_path, monkeypatch, pieces, kind):
    monkeypatch.setattr(dense_vectors, "PIECE", 16)
    pages = [*corpus(60), Passage("same", "page7", corpus(60)[7].text)]
    path, whole = tmp_path / "index", tmp_path / "whole"
    DenseEngine(pages, HASHED_WORDS, index=kind, path=whole)
    with pytest.raises(KeyboardInterrupt):
        DenseEngine(pages, stopping(16 * pieces)[0], index=kind, path=path)
    assert not path.exists()
    assert (tmp_path / ".index.building").exists() == (pieces > 0)
    encoder, seen = stopping(1000)
    told = []
    engine = DenseEngine(pages, encoder, index=kind, path=path, progress=lambda *how: told.append(how))
    # The page that says what another one says is encoded once.
    assert len(seen) == 60 - 16 * pieces
    assert told[0] == ("Encoding", 16 * pieces, 60) and told[-1] == ("Encoding", 60, 60)
    assert {entry.name for entry in tmp_path.iterdir()} == {"index", "whole"}
    for file in whole.iterdir():
        assert (path / file.name).read_bytes() == file.read_bytes(), file.name
    assert engine.search(["word1 word2"], 9) == DenseEngine(pages, HASHED_WORDS, index=kind).search(
        ["word1 word2"], 9
    )


def test_what_was_saved_of_another_corpus_or_is_cut_short_is_done_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(dense_vectors, "PIECE", 8)
    workshop = tmp_path / ".index.building"
    for damage, pages in (
        (lambda: None, corpus(30, seed=1)),
        (lambda: (workshop / "encoded.bin").write_bytes(b"short"), corpus(30)),
        (lambda: (workshop / "encoded.json").write_text("{"), corpus(30)),
        (lambda: (workshop / "encoded.bin").unlink(), corpus(30)),
    ):
        with pytest.raises(KeyboardInterrupt):
            DenseEngine(corpus(30), stopping(16)[0], path=tmp_path / "index")
        damage()
        encoder, seen = stopping(1000)
        engine = DenseEngine(pages, encoder, path=tmp_path / "index")
        assert len(seen) == 30
        assert np.array_equal(engine._vectors, HASHED_WORDS.passages(pages))
        shutil.rmtree(tmp_path / "index")


KILLED = """
import os, sys
from pathlib import Path
from tests.search.hashed_words import HASHED_WORDS
from tests.search.test_dense import corpus
from ssp_env.search import dense_vectors
from ssp_env.search.dense import DenseEngine
dense_vectors.PIECE = 16
def progress(stage, done, total):
    if done == 48:
        os.kill(os.getpid(), 9)
DenseEngine(corpus(100), HASHED_WORDS, path=Path(sys.argv[1]), progress=progress)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_build_that_is_killed_gives_the_index_of_one_that_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(dense_vectors, "PIECE", 16)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "index")], cwd=ROOT, check=False)
    assert ended.returncode == -9 and not (tmp_path / "index").exists()
    encoder, seen = stopping(1000)
    DenseEngine(corpus(100), encoder, path=tmp_path / "index")
    assert len(seen) == 52
    DenseEngine(corpus(100), HASHED_WORDS, path=tmp_path / "whole")
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "index" / file.name).read_bytes() == file.read_bytes()


def test_a_second_process_does_not_build_where_one_is_building(tmp_path):
    building = dense_vectors.workshop(tmp_path / "index")
    with building, pytest.raises(ValueError, match="another process is building"):
        DenseEngine(corpus(3), HASHED_WORDS, path=tmp_path / "index")
    assert DenseEngine(corpus(3), HASHED_WORDS, path=tmp_path / "index").search(["word1"], 1)[0]


def test_an_encoder_that_changes_its_dimension_is_refused(monkeypatch):
    monkeypatch.setattr(dense_vectors, "PIECE", 2)
    dimensions = iter((4, 5))
    changing = Encoder("changing", lambda texts: np.ones((len(texts), next(dimensions)), np.float32))
    with pytest.raises(ValueError, match="changing: expected vectors of dimension 4 as before, got 5"):
        DenseEngine(corpus(4), changing)


def test_an_index_that_cannot_be_built_keeps_its_vectors(tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dense, "build_index", interrupted)
        with pytest.raises(KeyboardInterrupt):
            DenseEngine(corpus(3), HASHED_WORDS, path=tmp_path / "index")
    encoder, seen = stopping(1000)
    assert DenseEngine(corpus(3), encoder, path=tmp_path / "index").search(["word1"], 1)[0]
    assert seen == ["word1"]


def test_without_faiss_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ssp-env\[dense\]'"):
        DenseEngine(corpus(3), HASHED_WORDS)


def test_samples_are_distinct_and_leave_out_what_is_excluded():
    engine = DenseEngine(corpus(6), HASHED_WORDS)
    drawn = engine.sample(np.random.default_rng(0), 10, {"00001"})
    assert sorted(ids(drawn)) == ["00000", "00002", "00003", "00004", "00005"]
    with pytest.raises(ValueError, match="count must be 0 or more"):
        engine.sample(np.random.default_rng(0), -1)
