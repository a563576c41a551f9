"""A passage of one line that ends in a line break has no title."""

import pytest

from ssp_env.game.passage import Passage
from ssp_env.search.corpus import read_corpus


@pytest.mark.parametrize(
    ("line", "passage"),
    [
        ('{"id": "d1", "contents": "A town on the Aller.\\n"}', Passage("d1", "", "A town on the Aller.\n")),
    ],
)
def test_the_title_is_empty_and_the_text_is_whole(tmp_path, line, passage):
    path = tmp_path / "corpus.jsonl"
    path.write_text(line + "\n", "utf-8")
    assert list(read_corpus(path)) == [passage]
