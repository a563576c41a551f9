"""Passages survive the wire, and what is no ranking is refused with a reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game.passage import Passage
from ssp_env.search.documents import from_reply, to_document

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCORES = st.floats(allow_nan=False, allow_infinity=False)


def scored(**document):
    return {"document": document, "score": 1.0}


def only(item):
    [[passage]] = from_reply({"result": [[item]]}, 1, 1)
    return passage


@given(st.builds(Passage, TEXTS, TEXTS, TEXTS, SCORES))
def test_a_passage_comes_back_as_it_was(passage):
    sent = json.dumps({"document": to_document(passage), "score": passage.score})
    assert only(json.loads(sent)) == passage


@pytest.mark.parametrize(
    ("contents", "title", "text"),
    [
        ('"Odense"\nA city.\nIn Denmark.', "Odense", "A city.\nIn Denmark."),
        ("Odense\nA city.", "Odense", "A city."),
        ('"\nA city.', '"', "A city."),
        ("A city.", "", "A city."),
        ("", "", ""),
    ],
)
def test_the_title_is_taken_off_the_contents(contents, title, text):
    passage = only(scored(contents=contents))
    assert (passage.title, passage.text) == (title, text)


def test_a_passage_without_id_gets_one_from_its_contents():
    first, again = only(scored(contents="a\nb")), only({"document": {"contents": "a\nb"}, "score": 2})
    assert first.id == again.id != only(scored(contents="a\nc")).id
    assert len(first.id) == 64
    assert only(scored(contents="a\nb", id=7)).id == "7"


def test_equal_scores_are_ordered_by_id_and_the_order_of_the_server_is_kept_otherwise():
    items = [
        {"document": {"id": i, "contents": "t\nx"}, "score": s} for i, s in [("b", 2), ("c", 1), ("a", 1)]
    ]
    assert [hit.id for hit in from_reply({"result": [items]}, 1, 3)[0]] == ["b", "a", "c"]


def test_documents_without_scores_keep_the_order_of_the_server():
    items = [{"document": {"id": id, "contents": "t\nx"}} for id in ("b", "c", "a")]
    found = from_reply({"result": [items]}, 1, 2)[0]
    assert [(hit.id, hit.score) for hit in found] == [("b", 0.0), ("c", 0.0)]


def test_more_documents_than_were_asked_for_are_left_out():
    items = [{"document": {"id": id, "contents": "t\nx"}, "score": s} for id, s in (("1", 2.0), ("2", 1.0))]
    assert [hit.id for hit in from_reply({"result": [items]}, 1, 1)[0]] == ["1"]


def test_a_document_may_be_its_contents_alone():
    passage = only({"document": '"Corun"\nA town.', "score": 1.2})
    assert (passage.title, passage.text, passage.score) == ("Corun", "A town.", 1.2)


@pytest.mark.parametrize(
    ("title", "contents", "text"),
    [
        ('Heroes"" (song)', '"""Heroes"" (song)"\nBy a singer.', "By a singer."),
        ("Corun", '""Corun""\nA town.', "A town."),
        ("Corun", '"Sarn"\nA town.', '"Sarn"\nA town.'),
        ("", '""""\nA town.', '""""\nA town.'),
    ],
)
def test_a_title_that_lost_its_quotes_is_taken_off_too(title, contents, text):
    passage = only(scored(contents=contents, title=title, text=text))
    assert (passage.title, passage.text) == (title, text)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ([], '"result"'),
        ({"results": []}, '"result"'),
        ({"result": None}, '"result"'),
        ({"result": []}, "expected 1 results, one per query, got 0"),
        ({"result": [[], []]}, "expected 1 results, one per query, got 2"),
        ({"result": [{}]}, "expected a list of documents"),
        ({"result": [[{"contents": "a\nb"}]]}, '"document" and "score"'),
        ({"result": [["a"]]}, '"document" and "score"'),
        ({"result": [[scored(text="a")]]}, '"contents"'),
        ({"result": [[scored(contents=7)]]}, '"contents"'),
        ({"result": [[scored(contents="a\nb", title=7)]]}, '"title"'),
        ({"result": [[scored(contents="a\nb", id=[])]]}, '"id"'),
        ({"result": [[{"document": {"contents": "a"}, "score": None}]]}, '"score", got NoneType'),
        ({"result": [[{"document": 7, "score": 1.0}]]}, '"document" and "score"'),
        ({"result": [[{"document": {"contents": "a"}, "score": "1"}]]}, '"score", got str'),
        ({"result": [[{"document": {"contents": "a"}, "score": True}]]}, '"score", got bool'),
        ({"result": [[{"document": {"contents": "a"}, "score": float("nan")}]]}, '"score", got float nan'),
    ],
)
def test_what_is_no_ranking_is_refused(reply, problem):
    with pytest.raises(ValueError) as refusal:
        from_reply(reply, 1, 2)
    assert problem in str(refusal.value)
