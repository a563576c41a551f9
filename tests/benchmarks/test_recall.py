"""The recall benchmark measures recall as it says; the encoder here is a tiny one."""

import json

import pytest
from typer.testing import CliRunner

from benchmarks import recall, retrieval
from ssp_env.game import Task
from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from tests.search.hashed_words import HASHED_WORDS


def question(text, *titles):
    return Task("a", question=text, provenance={"supporting_titles": list(titles)})


class Fixed:
    def search(self, queries, top_k):
        return [[Passage(str(n), f"page {n}", "") for n in range(20)][:top_k] for _ in queries]


def test_recall_is_the_mean_share_of_supporting_titles_found():
    found_all = question("x", "page 0", "page 4")
    found_half_at_5 = question("x", "page 0", "page 9")
    found_none = question("x", "page 10")
    assert recall.recall(Fixed(), [found_all]) == [1, 1]
    assert recall.recall(Fixed(), [found_half_at_5]) == [0.5, 1]
    assert recall.recall(Fixed(), [found_all, found_half_at_5, found_none]) == pytest.approx([0.5, 2 / 3])


def test_a_subset_holds_every_supporting_passage_and_a_spread_of_the_others():
    corpus = [Passage(str(n), f"page {n}", "") for n in range(100)]
    chosen = recall.subset(corpus, [question("x", "page 50", "page 51")], 5)
    assert [passage.title for passage in chosen] == ["page 50", "page 51", "page 0", "page 48", "page 99"]
    assert recall.subset(corpus, [], 0) == recall.subset(corpus, [], 100) == corpus
    assert len(recall.subset(corpus, [question("x", "page 1", "page 2")], 1)) == 2


def test_a_question_without_supporting_titles_is_named():
    with pytest.raises(ValueError, match="supporting_titles in the metadata of question q"):
        recall.recall(Fixed(), [Task("a", question="x", id="q")])


def rows(tmp_path, *options):
    """The cells of the table over 30 pages, by engine."""
    pages = [{"id": str(n), "title": f"town{n}", "text": f"the town{n} lies on river{n}"} for n in range(30)]
    asked = [
        {"id": text, "question": text, "golden_answers": ["x"], "metadata": {"supporting_titles": titles}}
        for text, titles in (("what is the river7", ["town7"]), ("where is the river8", ["town8", "nowhere"]))
    ]
    (tmp_path / "pages.jsonl").write_text("\n".join(map(json.dumps, pages)))
    (tmp_path / "easy.jsonl").write_text("\n".join(map(json.dumps, asked)))
    files = ["--corpus", str(tmp_path / "pages.jsonl"), "--questions", str(tmp_path / "easy.jsonl")]
    result = CliRunner().invoke(retrieval.app, ["recall", *files, *options], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "over 30 passages" in result.output and "easy (2)" in result.output
    found = [line.split("│")[1:-1] for line in result.output.splitlines() if line.startswith("│")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in found}


def test_without_an_encoder_only_bm25_is_measured(tmp_path):
    assert rows(tmp_path) == {name: ["0.750 / 0.750", "yes"] for name in recall.VARIANTS}


def test_with_an_encoder_dense_and_hybrid_are_measured_too(tmp_path, monkeypatch):
    pytest.importorskip("faiss", reason="needs faiss: pip install 'ssp-env[dense]'")
    asked = []

    def model(folder, **settings):
        asked.append((folder, settings))
        return HASHED_WORDS

    monkeypatch.setattr(recall, "sentence_transformer", model)
    index = tmp_path / "vectors"
    shown = rows(tmp_path, "--encoder", "mine", "--dtype", "bfloat16", "--index", str(index))
    hybrids = {f"hybrid, BM25 {weight:g} : dense 1" for weight in recall.WEIGHTS}
    assert set(shown) == {*recall.VARIANTS, "dense", *hybrids}
    assert shown["dense"] == ["0.750 / 0.750", "yes"]
    assert asked == [("mine", {"query_prefix": "", "passage_prefix": "", "dtype": "bfloat16"})]
    assert (index / "vectors.npy").exists()


def test_an_engine_that_finds_less_than_the_default_is_marked(tmp_path, monkeypatch):
    monkeypatch.setattr(
        recall, "engines", lambda passages, dense: [("best", BM25Engine(passages)), ("worse", Fixed())]
    )
    assert rows(tmp_path) == {"best": ["0.750 / 0.750", "yes"], "worse": ["0.000 / 0.000", "no"]}
