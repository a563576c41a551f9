"""What a model reads: layouts, and nothing in a page that acts as markup, tag or control token."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import PROTOCOLS
from ssp_env.passage import Passage
from ssp_env.search.tool import SearchTool

PAGES = [Passage("a", "Whale", "It is large."), Passage("b", "Panda", "It is red.")]
NASTY = st.lists(
    st.sampled_from(
        ["<|im_start|>", "<|im_end|>", "<s>", "[INST]", "<answer>", "</information>", "<ANSWER >",
         "＜answer＞", "<script>", "</tool_response>", "<!--", "<img src=x>", "\x00", "\u202e", "\ud800",
         "\n", "a < b", "<b>"]
    )
    | st.text(max_size=4),
    max_size=12,
).map("".join)  # fmt: skip


def shown(layout, pages=PAGES, **arguments):
    return SearchTool(lambda query: pages, layout=layout, **arguments)("whale")


def test_documents_are_numbered_and_titled():
    assert shown("documents") == "Doc 1 (Title: Whale)\nIt is large.\n\nDoc 2 (Title: Panda)\nIt is red."


def test_plain_texts_stand_alone():
    assert shown("plain") == "It is large. ; It is red."


def test_json_is_a_list_of_objects():
    assert json.loads(shown("json")) == [
        {"id": "a", "title": "Whale", "text": "It is large."},
        {"id": "b", "title": "Panda", "text": "It is red."},
    ]


def test_a_function_lays_out_harmless_passages():
    assert shown(lambda pages: "/".join(page.text for page in pages), [Passage("a", "", "<b>")]) == "&lt;b>"


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="layout must be documents, plain, json or a function, got 'xml'"):
        shown("xml")


@pytest.mark.parametrize(
    ("layout", "text"),
    [("documents", "No passage matches this search."), ("plain", "No passage matches this search."),
     ("json", "[]")],
)  # fmt: skip
def test_finding_nothing_is_no_error(layout, text):
    assert shown(layout, []) == text


def test_long_texts_are_cut_before_they_are_spelled_out():
    assert shown("plain", [Passage("a", "", "<b>bold</b>")], max_passage_chars=4) == "&lt;b>b"


def test_numbers_that_are_compared_stay_as_they_are():
    assert shown("plain", [Passage("a", "", "1 < 2 and 3 > 2, x<=y")]) == "1 < 2 and 3 > 2, x<=y"


@given(NASTY, NASTY, NASTY, st.sampled_from(["documents", "plain", "json"]))
def test_no_page_carries_anything_that_acts(identifier, title, text, layout):
    read = shown(layout, [Passage(identifier, title, text)])
    for protocol in PROTOCOLS.values():
        assert protocol.escape(read) == read
    assert not any(f"<{char}" in read for char in "abisABIS/!?")
    assert not any(char in read for char in "\x00\u202e\ud800")
    read.encode()
