"""Recall over real text, kept beside the repository and not in it."""

from pathlib import Path

import numpy as np
import pytest

from ssp_env.data import read_questions
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.corpus import read_corpus

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CORPUS = DATA / "wiki_31k.jsonl.gz"

pytestmark = pytest.mark.skipif(
    not CORPUS.exists(), reason="needs the Wikipedia passages ../shared/data/wiki_31k.jsonl.gz"
)


@pytest.fixture(scope="module")
def engine():
    return BM25Engine(read_corpus(CORPUS))


def test_the_whole_corpus_is_read(engine):
    assert len(engine) == 31_193


@pytest.mark.parametrize(
    ("name", "count", "at_5", "at_10"),
    [("hotpotqa_dev_200", 200, 0.795, 0.845), ("nq_dev_300", 300, 0.83, 0.877)],
)
def test_recall_of_supporting_pages(engine, name, count, at_5, at_10):
    questions = read_questions(DATA / f"{name}.jsonl")
    assert len(questions) == count
    results = engine.search([question.question for question in questions], 10)
    for cut, least in ((5, at_5), (10, at_10)):
        recalls = []
        for question, found in zip(questions, results, strict=True):
            support = set(question.provenance["supporting_titles"])
            recalls.append(len(support & {passage.title for passage in found[:cut]}) / len(support))
        assert np.mean(recalls) >= least
