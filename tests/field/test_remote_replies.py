"""What the servers of Search-R1 send."""

import pytest

from ssp_env.game.passage import Passage
from ssp_env.search.remote import RemoteEngine
from tests.search.faulty_server import faulty, reply


def document(identifier, contents):
    return {"id": identifier, "contents": contents}


@pytest.mark.parametrize(
    ("top_k", "hits", "found"),
    [
        (3, [{"document": {"contents": '"Corun"\nA town.'}}], [("Corun", "A town.", 0.0)]),
        (
            1,
            [
                {"document": document("1", '"A"\nx'), "score": 2.0},
                {"document": document("2", '"B"\ny'), "score": 1.0},
            ],
            [("A", "x", 2.0)],
        ),
        (3, [{"document": '"Corun"\nA town.', "score": 1.2}], [("Corun", "A town.", 1.2)]),
        (
            3,
            [
                {
                    "document": {
                        "title": 'Heroes"" (song)',
                        "text": "By a singer.",
                        "contents": '"""Heroes"" (song)"\nBy a singer.',
                    },
                    "score": 9.1,
                }
            ],
            [('Heroes"" (song)', "By a singer.", 9.1)],
        ),
    ],
    ids=["without a score", "more than asked for", "document is text", "quotes lost in the title"],
)
def test_every_server_is_read(top_k, hits, found):
    with faulty(reply({"result": [hits]})) as server, RemoteEngine(server.address) as engine:
        (passages,) = engine.search(["corun"], top_k)
    assert all(isinstance(passage, Passage) for passage in passages)
    assert [(passage.title, passage.text, passage.score) for passage in passages] == found
