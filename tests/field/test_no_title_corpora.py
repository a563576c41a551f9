"""Corpora without titles, as pyserini, bm25s and BEIR have them."""

import pytest

from ssp_env.game.passage import Passage
from ssp_env.search.corpus import read_corpus


@pytest.mark.parametrize(
    ("line", "passage"),
    [
        ('{"id": "d1", "contents": "Corun is a town."}', Passage("d1", "", "Corun is a town.")),
        ('{"id": 1, "text": "on the river Aller"}', Passage("1", "", "on the river Aller")),
        ('{"_id": "p1", "title": null, "text": "no title here"}', Passage("p1", "", "no title here")),
    ],
)
def test_the_title_is_empty_and_the_text_is_whole(tmp_path, line, passage):
    path = tmp_path / "corpus.jsonl"
    path.write_text(line + "\n", "utf-8")
    assert list(read_corpus(path)) == [passage]
