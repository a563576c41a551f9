"""The ranking benchmark measures recall as it says; the encoder here is a tiny one."""

import json

import pytest
from typer import Typer
from typer.testing import CliRunner

from baselines.benchmarks import ranking
from ssp_env.data.questions import Question
from ssp_env.passage import Passage
from tests.search.hashed_words import HASHED_WORDS


def question(text, *titles):
    return Question("q", text, ("a",), {"supporting_titles": list(titles)})


class Fixed:
    def search(self, queries, top_k):
        return [[Passage(str(n), f"page {n}", "") for n in range(20)][:top_k] for _ in queries]


def test_recall_is_the_mean_share_of_supporting_titles_found():
    found_all = question("x", "page 0", "page 4")
    found_half_at_5 = question("x", "page 0", "page 9")
    found_none = question("x", "page 10")
    assert ranking.recall(Fixed(), [found_all]) == [1, 1]
    assert ranking.recall(Fixed(), [found_half_at_5]) == [0.5, 1]
    assert ranking.recall(Fixed(), [found_all, found_half_at_5, found_none]) == pytest.approx([0.5, 2 / 3])


def test_a_subset_holds_every_supporting_passage_and_a_spread_of_the_others():
    corpus = [Passage(str(n), f"page {n}", "") for n in range(100)]
    chosen = ranking.subset(corpus, [question("x", "page 50", "page 51")], 5)
    assert [passage.title for passage in chosen] == ["page 50", "page 51", "page 0", "page 48", "page 99"]
    assert ranking.subset(corpus, [], 0) == ranking.subset(corpus, [], 100) == corpus
    assert len(ranking.subset(corpus, [question("x", "page 1", "page 2")], 1)) == 2


def test_a_question_without_supporting_titles_is_named():
    with pytest.raises(ValueError, match="supporting_titles in the metadata of question q"):
        ranking.recall(Fixed(), [Question("q", "x", ("a",))])


def test_the_command_prints_a_row_per_engine(tmp_path, monkeypatch):
    pytest.importorskip("faiss", reason="needs faiss: pip install 'ssp-env[dense]'")
    monkeypatch.setattr(ranking, "sentence_transformer", lambda model, **settings: HASHED_WORDS)
    pages = [{"id": str(n), "title": f"town{n}", "text": f"town{n} lies on river{n}"} for n in range(30)]
    asked = {
        "id": "q", "question": "what lies on river7", "golden_answers": ["town7"],
        "metadata": {"supporting_titles": ["town7"]},
    }  # fmt: skip
    (tmp_path / "pages.jsonl").write_text("\n".join(map(json.dumps, pages)))
    (tmp_path / "easy.jsonl").write_text(json.dumps(asked))
    app = Typer()
    app.command()(ranking.main)
    result = CliRunner().invoke(app, [str(tmp_path / "pages.jsonl"), str(tmp_path / "easy.jsonl")])
    assert result.exit_code == 0, result.output
    rows = [line.split("│")[1:-1] for line in result.output.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["BM25", "1.000", "1.000"], ["dense", "1.000", "1.000"], ["hybrid", "1.000", "1.000"]
    ]  # fmt: skip
    assert "1 of easy" in result.output
