"""Long passages are cut before they are shown: visibly, counted, and never so that text becomes dangerous."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import PROTOCOLS, GameConfig
from ssp_env.game.config import TERSE_RULES
from ssp_env.game.passage import Passage
from ssp_env.game.shortening import shorten, shorten_prompt, shown_evidence, shown_result
from ssp_env.records import Episode, rescore
from ssp_env.worlds import World, parse_facts, world_preset
from tests.game.doubles import Shelf as Library
from tests.game.doubles import answer, new_game, outcome, propose, question, read, say, search

NOTE = re.compile(r"\.\.\. \[cut: ([\d,]+) of ([\d,]+) characters left out\]$")
LONG = " ".join(f"word{number}" for number in range(40_000))[:300_000]
BOOK = Passage("book", "Belin", f"Belin has her home in Corun. {LONG}")
LIBRARY = [BOOK, Passage("p1", "Corun", "The mayor of Corun is Sarn."), Passage("p2", "Sarn", "Sarn.")]


@given(st.text(max_size=300), st.integers(0, 310))
def test_a_cut_text_is_a_beginning_and_says_what_it_lacks(text, limit):
    short = shorten(text, limit)
    if len(text) <= limit:
        assert short == text
        return
    lost, whole = (int(number.replace(",", "")) for number in NOTE.search(short).groups())
    kept = NOTE.sub("", short)
    assert text.startswith(kept) and len(kept) <= limit
    assert (lost, whole) == (len(text) - len(kept), len(text))


def test_a_text_is_cut_between_words_and_within_a_word_without_end():
    assert shorten("belin home corun", 16) == "belin home corun"
    assert shorten("belin home corun", 15).startswith("belin home... [cut: 6 of 16")
    assert shorten("belin home corun", 10).startswith("belin home... [cut: 6 of 16")
    assert shorten("x" * 5000, 4000).startswith("x" * 4000 + "... [cut: 1,000 of 5,000 ")


HOSTILE = st.lists(
    st.sampled_from(
        ["<answer>", "</answer >", "<|im_end|>", "[INST]", "＜search＞", "<s>", "a ", "&", "\u200b", "\n"]
    ),
    max_size=40,
).map("".join)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@given(text=HOSTILE, limit=st.integers(1, 200))
def test_no_cut_opens_a_tag_or_falls_into_an_escape(name, text, limit):
    config = GameConfig(protocol=name, max_passage_chars=limit)
    protocol = PROTOCOLS[name]
    passages, cut_chars = shown_result([Passage("p", text, text)], config)
    written = protocol.passages(passages)
    assert not re.search(r"<[^\w]*(?:answer|search|s>)|<\||\[INST\]", written)
    # Spelling out what is shown comes last: it is the same whether or not the note stands behind it.
    kept = NOTE.sub("", passages[0].text).removesuffix(f" ; {protocol.notices['search_limit']}")
    assert protocol.escape(passages[0].text).startswith(protocol.escape(kept))
    assert text.startswith(kept) and (cut_chars > 0) == (len(text) > limit)


def test_ordinary_passages_are_shown_as_they_are():
    passages = [*World(world_preset("tiny")).passages(), Passage("w", "Odense", "word " * 100)]
    for config in (GameConfig(), TERSE_RULES):
        assert shown_result(passages, config) == shown_evidence(passages, config) == (passages, 0)


def test_in_the_terse_layout_a_cut_is_words_of_the_vocabulary_and_makes_no_false_fact():
    facts = " ".join(["belin home corun"] * 30)
    config = replace(TERSE_RULES, max_passage_chars=40)
    (shown,), cut_chars = shown_result([Passage("p", "belin", facts)], config)
    assert set(shown.text.split()) <= {
        "belin",
        "home",
        "corun",
        ";",
        PROTOCOLS["terse"].notices["search_limit"],
    }
    assert set(parse_facts(shown.text)) == set(parse_facts(facts))
    assert cut_chars == len(facts) - len(shown.text.removesuffix(" ; limit")) > 0


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30), st.integers(30, 3000), st.integers(1, 300))
def test_evidence_is_cut_to_its_sum_at_one_length_the_longest_passages_first(lengths, total, limit):
    config = GameConfig(max_evidence_chars=total, max_passage_chars=limit)
    passages = [Passage(str(place), "", "x" * length) for place, length in enumerate(lengths)]
    shown, cut_chars = shown_evidence(passages, config)
    kept = [len(NOTE.sub("", passage.text)) for passage in shown]
    assert sum(kept) <= total and max(kept) <= limit
    assert cut_chars == sum(lengths) - sum(kept)
    cut = [size for size, length in zip(kept, lengths, strict=True) if size < length]
    assert len(set(cut)) <= 1
    assert all(size <= cut[0] for size in kept if cut)
    if cut and cut[0] < limit:
        # One character more for each would have been too many.
        assert sum(min(length, cut[0] + 1) for length in lengths) > total


def test_a_title_without_end_is_cut_as_well():
    (shown,), cut_chars = shown_result([Passage("p", LONG, "text")], GameConfig())
    assert len(shown.title) < 4100 and NOTE.search(shown.title) and cut_chars > 295_000


def played(**options):
    """A game over a library with a book in it, up to the readings."""
    game = new_game(max_passage_chars=1000, **options)
    propose(game, search("belin"), search("corun"), question(), shelf=Library(LIBRARY))
    return game


def test_players_are_shown_the_cut_passage_and_records_keep_the_whole_one():
    game = played(noise_passages=0)
    (request,) = game.requests()
    (_, user) = request.view.messages
    assert "Belin has her home in Corun." in user.content and len(user.content) < 2500
    assert re.search(r"\[cut: 299,\d\d\d of 300,029 characters left out\]", user.content)
    assert user.content.endswith(
        "\n\nQuestion: Who is the mother of the mayor of the town where Belin has her home?"
    )
    assert game.evidence[0] == BOOK
    read(game, answer())
    say(game, "solver_0", answer())
    lost = len(BOOK.text) - 1000
    # Once where the search was shown, once where the reader read.
    assert 2 * lost <= outcome(game).metrics["cut_passage_chars"] <= 2 * (lost + 40)
    assert Episode.of(game).snapshot["inputs"][1][1]["passages"][0]["text"] == BOOK.text


def test_other_limits_are_another_game_only_where_something_was_cut():
    game = played(rag_check=False)
    say(game, "solver_0", answer())
    limits = game.config
    for config, known in (
        (replace(limits, max_passage_chars=900), False),
        (replace(limits, max_evidence_chars=5), True),
        (replace(limits, min_searches=1, min_question_words=3, hop_check="at_least"), True),
        (replace(limits, prompts="few_shot"), False),
    ):
        assert (rescore(Episode.of(game), config).outcome is not None) == known


@given(st.text("ab\n", max_size=80), st.text("cd\n", max_size=80), st.integers(0, 200))
def test_a_prompt_keeps_the_ends_of_its_opening_and_its_newest_text(opening, later, limit):
    prompt, cut_chars = shorten_prompt(opening, later, limit)
    assert len(prompt) <= limit
    if len(opening) + len(later) <= limit:
        assert (prompt, cut_chars) == (opening + later, 0)
        return
    assert len(prompt) == limit
    pieces = prompt.split("\n[...]\n")
    assert len(opening) + len(later) - cut_chars == sum(map(len, pieces)) or limit < 30
    if limit >= 30:
        assert opening.startswith(pieces[0])
        assert len(opening) <= limit // 2 or opening.endswith(pieces[1]) or pieces[0] == opening
        assert later.endswith(pieces[-1]) or later == "" or pieces[-1].endswith(later)
