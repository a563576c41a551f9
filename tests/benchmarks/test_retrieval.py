"""The retrieval benchmark measures what it says; never how long anything takes."""

import json
import math
import subprocess
import sys
from contextlib import nullcontext
from unittest import mock

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import retrieval, retrieval_curve, retrieval_replicas, retrieval_speed
from benchmarks.exact_bm25 import ExactBM25
from benchmarks.process_memory import run_measured
from benchmarks.retrieval_engines import DISTRIBUTIONS, ENGINES
from benchmarks.retrieval_worlds import large_world
from ssp_env.game.passage import Passage
from ssp_env.search import ReplicatedEngine
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.terms import BM25Settings, Tokenizer
from ssp_env.search.corpus import read_corpus
from ssp_env.worlds import World, world_preset


def run(*arguments):
    result = CliRunner().invoke(retrieval.app, list(map(str, arguments)), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def pages():
    return list(World(world_preset("small")).passages())


def test_the_formula_is_the_textbooks():
    pages = [Passage("0", "", "a b b"), Passage("1", "", "a c"), Passage("2", "", "c")]
    scores = ExactBM25(pages, str.split).scores(["b", "b"])
    expected = math.log(1 + 2.5 / 1.5) * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2))
    assert scores == pytest.approx([expected, 0, 0])


def test_with_lengths_in_one_byte_the_engine_scores_exactly(pages):
    tokenizer = Tokenizer(BM25Settings())
    exact = ExactBM25(pages, tokenizer.passage, one_byte_lengths=True)
    rows = {page.id: row for row, page in enumerate(pages)}
    texts = retrieval.sample_queries(pages, 50)
    engine = BM25Engine(pages, eager_up_to=0)
    for text, hits in zip(texts, engine.search(texts, 20), strict=True):
        scores = exact.scores(tokenizer.query(text))
        assert [scores[rows[hit.id]] for hit in hits] == pytest.approx([hit.score for hit in hits], rel=1e-5)


def test_agreement_counts_ties_and_punishes_errors():
    scores = np.array([3.0, 2.0, 2.0, 1.0] + [0.5] * 8)
    assert retrieval.agreement([list(range(10))], [scores]) == (1, 1)
    assert retrieval.agreement([[0, 2, 1, 3, *range(6, 12)]], [scores]) == (1, 1)
    assert retrieval.agreement([[1, 0, 2, 3, *range(4, 10)]], [scores]) == (0, 1)
    assert retrieval.agreement([[0, 1, 2, 3, 4]], [scores]) == (1, 0.5)
    assert retrieval.agreement([[]], [scores]) == (0, 0)
    assert retrieval.agreement([[]], [np.zeros(3)]) == (1, 1)


def test_correctness_is_complete_with_the_lengths_that_an_index_keeps():
    shown = run("correctness", "--passages", 300, "--queries", 40)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines()]
    agreements = {(row[0], row[1]): row[2:] for row in rows if len(row) == 4}
    assert agreements["ssp-env", "lengths as they are"] == ["100.00%", "100.00%"]
    assert agreements["ssp-env, scored when asked", "lengths in one byte"] == ["100.00%", "100.00%"]
    assert agreements["ssp-env", "lengths in one byte"] != ["100.00%", "100.00%"]


@pytest.fixture(scope="module")
def curve(tmp_path_factory):
    """The folder of a curve whose worlds are kept, and what was printed."""
    folder = tmp_path_factory.mktemp("curve")
    arguments = ["curve", "--passages", 200, "--passages", 300, "--queries", 9, "--keep", folder]
    return folder, run(*arguments)


def test_a_curve_builds_worlds_and_searches_them_in_both_ways(curve):
    folder, shown = curve
    rows = [line.replace("│", " ").split() for line in shown.splitlines() if line.startswith("│")]
    assert [row[0] for row in rows] == ["200", "300", "200", "200", "300", "300"]
    assert [row[1] for row in rows[2:]] == ["default", "exact"] * 2
    assert all(row[-1] == "1.000" for row in rows[2:])
    assert len(BM25Engine.open(folder / "300" / "index")) == 300


def test_a_curve_that_is_kept_builds_nothing_again(curve):
    folder = curve[0] / "200"
    (folder / "corpus.jsonl").unlink()
    times = {path: path.stat().st_mtime_ns for path in (folder / "index").rglob("*")}
    run("curve", "--passages", 200, "--queries", 3, "--keep", curve[0])
    assert {path: path.stat().st_mtime_ns for path in (folder / "index").rglob("*")} == times


def test_processes_generate_the_world_in_its_order(tmp_path):
    measured = retrieval_curve.generate(tmp_path, 205, 3)
    pages = list(large_world(205).passages())
    assert list(read_corpus(tmp_path / "corpus.jsonl")) == pages
    words = sum(len(f"{page.title} {page.text}".split()) for page in pages)
    assert measured["words"] == pytest.approx(words / 205)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.jsonl"]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_several_servers_answer_every_question_of_one_client(curve, tmp_path):
    pytest.importorskip("uvicorn")
    asked = {}

    class Counting(ReplicatedEngine):
        async def asearch(self, queries, top_k):
            found = await super().asearch(queries, top_k)
            asked[queries[0]] = [hit.id for hit in found[0]]
            return found

    options = [
        "--passages",
        200,
        "--keep",
        curve[0],
        "--processes",
        2,
        "--queries",
        5,
        "--out",
        tmp_path / "out",
    ]
    with mock.patch.object(retrieval_replicas, "ReplicatedEngine", Counting):
        shown = run("replicas", *options)
    (row,) = json.loads((tmp_path / "out").read_text())["rows"]
    assert row["servers"] == 2 and "200 passages" in shown and "cpu ms" in shown
    questions = json.loads((curve[0] / "200" / "asked.json").read_text())
    assert {question: wanted in asked[question] for question, wanted in questions} == dict.fromkeys(
        asked, True
    )
    assert len(asked) == 5 and all(row[name] > 0 for name in row)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_of_another_process_is_seen_by_kind(tmp_path):
    mapped = tmp_path / "mapped"
    mapped.write_bytes(bytes(60_000_000))
    script = """if True:
        import mmap, sys, time
        allocated = bytes(range(256)) * 160_000
        with open(sys.argv[1], "rb") as file:
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        sum(pages[place] for place in range(0, len(pages), 4096))
        time.sleep(1)
    """
    found = run_measured([sys.executable, "-c", script, str(mapped)])
    assert 40e6 < found["allocated"] < 60e6 < found["mapped"] < 100e6 < found["peak"] < 160e6


def test_a_measured_command_that_fails_is_an_error():
    with pytest.raises(subprocess.CalledProcessError):
        run_measured([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_finds_a_page_by_its_title(tmp_path, pages, name):
    library = name.partition(",")[0]
    pytest.importorskip(library if library in DISTRIBUTIONS and library != "ssp-env" else "tantivy")
    corpus = tmp_path / "corpus.jsonl"
    records = [{"id": page.id, "title": page.title, "text": page.text} for page in pages[:200]]
    corpus.write_text("".join(json.dumps(record) + "\n" for record in records))
    _, build, open_engine = ENGINES[name]
    build(corpus, tmp_path / "out")
    with mock.patch.dict(sys.modules) if "no numba" in name else nullcontext():
        search = open_engine(corpus, tmp_path / "out")
        found = search([pages[5].title, 'AND " :( zzz'], 3)
    assert pages[5].id in found[0] and found[1] == []


def test_speed_measures_every_engine_asked_for(tmp_path):
    asked = ["--engine", "ssp-env", "--engine", "ssp-env, no numba", "--engine", "sqlite-fts5"]
    out = tmp_path / "figures.json"
    options = ["--passages", 200, "--queries", 6, "--keep", tmp_path / "kept", "--out", out, *asked]
    shown = run("speed", *options)
    figures = json.loads(out.read_text())
    assert [(row["passages"], row["engine"]) for row in figures["rows"]] == [
        (200, name) for name in asked[1::2]
    ]
    assert all(
        row["found@10"] > 0.9 and row["p95 cpu ms"] >= row["p50 cpu ms"] > 0 for row in figures["rows"]
    )
    assert figures["rows"][0]["build s"] == figures["rows"][1]["build s"]
    assert "sqlite-fts5" in shown and figures["versions"]["numpy"] == np.__version__
    built = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept" / "200" / "default").rglob("*")}
    run("speed", *options)
    assert {path: path.stat().st_mtime_ns for path in built} == built


def test_figures_far_behind_the_best_of_the_same_kind_are_marked():
    figures = dict.fromkeys([*retrieval_speed.COMPARED, "found@10", "disk MB"], 100.0)
    rows = [
        {"passages": 200, "engine": "one", **figures},
        {
            "passages": 200,
            "engine": "two",
            **figures,
            "p50 cpu ms": 109.0,
            "p95 cpu ms": 120.0,
            "batched per cpu s": 50.0,
        },
        {"passages": 200, "engine": "two, ids alone", **figures, "p50 cpu ms": 1.0},
        {
            "passages": 200,
            "engine": "rank_bm25",
            **figures,
            "p50 cpu ms": 1.0,
            "build cpu s": 0.1,
            "disk MB": 0.0,
        },
        {"passages": 300, "engine": "one", **figures, "p50 cpu ms": 1.0},
        {"passages": 200, "engine": "absent"},
    ]
    found = [retrieval_speed.behind(row, rows) for row in rows]
    assert found == [{}, {"p95 cpu ms": 1.2, "batched per cpu s": 2.0}, {}, {}, {}, {}]


def test_an_unknown_engine_is_named():
    result = CliRunner().invoke(retrieval.app, ["speed", "--passages", "200", "--engine", "lucene"])
    assert result.exit_code == 2 and "lucene" in result.output
