"""The retrieval benchmark measures what it says; never how long anything takes."""

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from baselines.benchmarks import retrieval
from baselines.benchmarks.exact_bm25 import ExactBM25
from baselines.benchmarks.retrieval_engines import ENGINES
from ssp_env.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25_terms import make_analyzer
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
    exact = ExactBM25(pages, make_analyzer(stem=True).analyze, one_byte_lengths=True)
    analyzer = make_analyzer(stem=True, drop_stop_words=True)
    rows = {page.id: row for row, page in enumerate(pages)}
    texts = retrieval.sample_queries(pages, 50)
    for text, hits in zip(texts, BM25Engine(pages).search(texts, 20), strict=True):
        scores = exact.scores(analyzer.analyze(text))
        assert [scores[rows[hit.id]] for hit in hits] == pytest.approx([hit.score for hit in hits], rel=1e-5)


def test_agreement_counts_ties_and_punishes_errors():
    scores = np.array([3.0, 2.0, 2.0, 1.0] + [0.5] * 8)
    assert retrieval.agreement([list(range(10))], [scores]) == (1, 1)
    assert retrieval.agreement([[0, 2, 1, 3, *range(6, 12)]], [scores]) == (1, 1)
    assert retrieval.agreement([[1, 0, 2, 3, *range(4, 10)]], [scores]) == (0, 1)
    assert retrieval.agreement([[0, 1, 2, 3, 4]], [scores]) == (1, 0.5)
    assert retrieval.agreement([[]], [scores]) == (0, 0)
    assert retrieval.agreement([[]], [np.zeros(3)]) == (1, 1)


def test_correctness_is_complete_with_lengths_in_one_byte():
    shown = run("correctness", "--passages", 300, "--queries", 40)
    (line,) = [line for line in shown.splitlines() if "in one byte" in line]
    assert line.count("100.00%") == 2


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_finds_a_page_by_its_title(tmp_path, pages, name):
    pytest.importorskip({"bm25s": "bm25s", "rank_bm25": "rank_bm25"}.get(name, "tantivy"))
    corpus = tmp_path / "corpus.jsonl"
    records = [{"id": page.id, "title": page.title, "text": page.text} for page in pages[:200]]
    corpus.write_text("".join(json.dumps(record) + "\n" for record in records))
    build, open_engine = ENGINES[name]
    build(corpus, tmp_path / "out")
    search = open_engine(corpus, tmp_path / "out")
    found = search([pages[5].title, 'AND " :( zzz'], 3)
    assert pages[5].id in found[0] and found[1] == []


def test_speed_measures_every_engine_asked_for():
    shown = run("speed", "--passages", 200, "--queries", 6, "--engine", "ssp-env", "--engine", "sqlite-fts5")
    rows = [line for line in shown.splitlines() if "200 " in line]
    assert ["ssp-env" in rows[0], "sqlite-fts5" in rows[1], len(rows)] == [True, True, 2]
    assert len(rows[0].replace("┃", "│").strip("│ ").split("│")) == 11


def test_an_unknown_engine_is_named():
    result = CliRunner().invoke(retrieval.app, ["speed", "--passages", "200", "--engine", "lucene"])
    assert result.exit_code == 2 and "lucene" in result.output
