"""Cutting pages: nothing is lost, no part is too long, ids say which part of which page one is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game.passage import Passage
from ssp_env.scoring.words import count_words
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.parts import PartId, PartSize, cut_pages

TEXTS = st.text(st.sampled_from("ab é.\n?北"), max_size=400)


def cut(text, words, overlap=0):
    return list(cut_pages([Passage("page", "Title", text)], PartSize(words, overlap)))


@given(TEXTS, st.integers(1, 30))
def test_parts_without_overlap_are_the_page_again(text, words):
    parts = cut(text, words)
    assert "".join("".join(part.text for part in parts).split()) == "".join(text.split())
    assert all(count_words(part.text) <= words for part in parts)
    assert all(part.title == "Title" for part in parts)


@given(TEXTS, st.integers(2, 30), st.data())
def test_parts_with_overlap_hold_every_word_in_order(text, words, data):
    parts = cut(text, words, data.draw(st.integers(1, words - 1)))
    place = 0
    for part in parts:
        # The last place without a gap: a short part may stand in several.
        starts = [
            start
            for start in range(len(text) + 1)
            if text.startswith(part.text, start) and not text[place:start].strip()
        ]
        assert starts
        place = max(place, starts[-1] + len(part.text))
    assert not text[place:].strip()


def test_ids_count_the_parts_and_are_read_back():
    parts = cut("One two three. " * 10, 3)
    assert [part.id for part in parts[:2]] == ["page#1/10", "page#2/10"]
    assert [PartId.parse(part.id) for part in parts] == [("page", number, 10) for number in range(1, 11)]


@pytest.mark.parametrize("identifier", ["page", "a#b", "a#0/3", "#1/2", "a#1/", "", "a#1/2 "])
def test_other_ids_are_those_of_whole_pages(identifier):
    assert PartId.parse(identifier) == (identifier, 1, 1)


def test_a_page_that_fits_stays_as_it_is():
    page = Passage("page", "Title", "  one two\nthree ")
    assert list(cut_pages([page], PartSize(3, 0))) == [page]


def test_parts_end_with_sentences_where_they_can():
    parts = cut("It is a harbour. Its mayor is Tavor. He was born in Belin.", 8)
    assert [part.text for part in parts] == ["It is a harbour. Its mayor is Tavor.", "He was born in Belin."]


@pytest.mark.parametrize("text", ["a" * 300_000, "a " * 300_000, "a. " * 200_000, "\n" * 60_000 + "a " * 300])
def test_huge_pages_are_cut_block_by_block(text):
    parts = cut(text, 200, 40)
    assert all(len(part.text) <= 200 * 40 for part in parts)
    assert len(parts) >= len(text.split()) / 200


def test_lone_surrogates_which_no_library_takes_are_replaced():
    assert [part.text for part in cut("a\ud800 b c", 2)] == ["a\ufffd b", "c"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"words": 0}, "at least 1 word, got 0"),
        ({"words": 5, "overlap": 5}, "parts of 5 words can repeat 0 to 4 of the part before, got 5"),
        ({"words": 5, "overlap": -1}, "got -1"),
    ],
)
def test_sizes_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PartSize(**arguments)


def test_scripts_without_spaces_are_cut_by_their_characters():
    parts = cut("北京是一座城市。它很大！" * 100, 200)
    assert len(parts) == 5
    assert all(150 <= count_words(part.text) <= 200 and part.text[-1] in "。！" for part in parts)


def test_a_search_finds_the_part_that_a_long_page_says_it_in():
    text = "Nothing of note happened. " * 300 + "The mayor of Corun is Tavor. " + "Nothing happened. " * 300
    engine = BM25Engine(cut_pages([Passage("book", "Book", text)]))
    [[found]] = engine.search(["mayor Corun"], top_k=1)
    assert "Tavor" in found.text and len(found.text) < 2_000
    assert PartId.parse(found.id).page == "book"
