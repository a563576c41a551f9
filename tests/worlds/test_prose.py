"""Prose worlds: pages state their facts in 60 to 120 words, and questions can be read back."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.worlds import World, WorldConfig, world_preset
from ssp_env.worlds.graph import COMING_OF_AGE
from ssp_env.worlds.prose import (
    _LATEST_GOAL,
    MAX_WORDS,
    MIN_QUESTION_WORDS,
    MIN_WORDS,
    PHRASES,
    Template,
    _asked_phrases,
)
from ssp_env.worlds.schema import SCHEMAS

SMALL = World(world_preset("small"))
LARGE = World(world_preset("large"))

worlds = st.builds(
    lambda split, index, entities, schema: World(WorldConfig(split, index, entities, "prose", schema)),
    st.sampled_from(["train", "heldout"]),
    st.integers(0, 10**12),
    st.integers(96, 400),
    st.sampled_from(["core", "full"]),
)


@pytest.mark.parametrize("world", [SMALL, LARGE], ids=["small", "large"])
def test_pages_are_long_enough_and_state_every_fact(world: World) -> None:
    for index in range(0, len(world), len(world) // 500):
        passage = world.passage(index)
        assert MIN_WORDS <= len(passage.text.split()) <= MAX_WORDS
        assert not re.search(r"[\[\]{}|]|  |\.\.| ,| \.", passage.text), passage.text
        assert re.fullmatch(r"[A-Z].*\.", passage.text)
        facts = list(world.facts(index))
        assert 3 <= len(facts) <= 6
        for fact in facts:
            value = f"{int(fact.value):,}" if fact.value.isdigit() and int(fact.value) > 9999 else fact.value
            assert value.lower() in passage.text.replace(",", "").lower() or value in passage.text, fact
        assert passage.title == world.name(index) == facts[0].subject


def test_a_large_world_is_random_access() -> None:
    assert len(LARGE) == 100_000
    assert LARGE.passage(99_999).id == "large-train-0/99999"
    assert World(LARGE.config).passage(77_777) == LARGE.passage(77_777)


def test_the_wording_varies() -> None:
    openings = Counter(passage.text.split(".")[0].split()[2] for passage in SMALL.passages())
    assert len(openings) > 100
    sentences = Counter(s for passage in SMALL.passages() for s in passage.text.split(". "))
    assert sentences.most_common(1)[0][1] < 60


@settings(max_examples=25, deadline=None)
@given(worlds, st.integers(1, 4), st.integers(0, 2**32))
def test_questions_resolve_to_their_one_answer_and_hide_it(world: World, hops: int, seed: int) -> None:
    for gold in world.questions(hops, 5, np.random.default_rng(seed)):
        assert world.resolve(gold.question) == gold.answer
        assert world.hops_of(gold.question) == hops == len(gold.relations)
        assert len(gold.question.split()) >= MIN_QUESTION_WORDS
        assert gold.entities[0].lower() in gold.question.lower()
        for hidden in (*gold.entities[1:], *gold.aliases):
            assert not re.search(rf"\b{re.escape(hidden)}\b", gold.question)


@settings(max_examples=10, deadline=None)
@given(worlds)
def test_no_two_entities_share_a_name_or_alias(world: World) -> None:
    names = [name for entity in world.entities() for name in (entity.name, *entity.aliases)]
    assert len(set(names)) == len(names)


def test_no_invented_word_is_in_both_splits() -> None:
    words: list[set[str]] = []
    for split in ("train", "heldout"):
        entities = list(World(world_preset("small", split=split)).entities())
        words.append({e.name for e in entities if e.type in ("city", "country", "mineral")})
        words[-1] |= {
            e.name.split()[-1] for e in entities if e.type in ("person", "opera", "novel", "battle")
        }
        words[-1] |= {
            e.name.split()[0] for e in entities if e.type in ("river", "company", "bridge", "award")
        }
        assert len(words[-1]) > 600
    assert not words[0] & words[1]


def test_a_clause_with_where_is_about_the_named_entity() -> None:
    # Centre-embedded clauses would be grammatical and unreadable.
    questions = [gold.question for gold in SMALL.questions(3, 150, np.random.default_rng(1))]
    clauses = [question.split(" where ")[1] for question in questions if " where " in question]
    assert len(clauses) > 10
    assert all(re.match(r"(the )?[A-Z]|[a-z]+ite ", clause) for clause in clauses)


def test_surnames_are_shared_by_a_few() -> None:
    surnames = Counter(e.name.split()[1] for e in SMALL.entities() if e.type == "person")
    assert set(surnames.values()) <= {1, 2, 3}
    assert max(surnames.values()) > 1


def test_a_few_entities_are_famous() -> None:
    targets = Counter(fact.target for fact in SMALL.facts() if fact.target is not None)
    degrees = sorted(targets.values(), reverse=True)
    assert degrees[0] > 10 * degrees[len(degrees) // 2]


def test_chronology_holds() -> None:
    graph = LARGE.graph
    for index in range(0, 30_000, 7):
        year = graph.kind(index).year
        assert 900 <= graph.year(index).value <= 1905
        for link in graph.links(index):
            if link.relation in year.after:
                grown = COMING_OF_AGE if graph.kind(link.target).name == "person" else 0
                assert graph.year(index).value > graph.year(link.target).value + grown


def test_facts_do_not_depend_on_the_rendering() -> None:
    terse, prose = (World(WorldConfig(entities=100, rendering=r)) for r in ("terse", "prose"))
    for index in range(100):
        assert terse.graph.links(index) == prose.graph.links(index)


@pytest.mark.parametrize(
    "question",
    [
        "",
        "What is?",
        "What is the capital of Nowhere?",
        "Who was Kemund Galdoth?",
        "the author of The Winters of Breldolt?",
        "Who was the author of The Winters of Breldolt",
    ],
)
def test_other_questions_are_not_understood(question: str) -> None:
    assert SMALL.resolve(question) is None
    assert SMALL.hops_of(question) is None


def test_an_unknown_name_has_hops_but_no_answer() -> None:
    question = "Who was the author of the novel that inspired The Widow of Nowhere?"
    assert SMALL.hops_of(question) == 2
    assert SMALL.resolve(question) is None


def test_the_schema_is_worded_in_full() -> None:
    assert set(PHRASES) == {kind.name for kind in SCHEMAS["full"]}
    for kind in SCHEMAS["full"]:
        phrases, words = PHRASES[kind.name], {relation.word for relation in kind.relations}
        assert set(phrases.facts) == set(phrases.asked) == words
        assert all("{v}" in template.source for template in (*phrases.leads, *phrases.amounts))
        for relation, templates in phrases.facts.items():
            assert len(templates) >= 3
            assert all(re.search(r"\{[oO]\}", template.source) for template in templates), relation


def test_a_phrase_never_stands_for_two_relations() -> None:
    phrases = [(prefix, suffix) for prefix, suffix, _ in _asked_phrases()]
    assert len(set(phrases)) == len(phrases)


def _lengths(template: Template) -> tuple[int, int]:
    """Return the fewest and the most words of a template; a name has one to four, a reference one or two."""
    bounds = []
    for name, reference, choose in (("X", "it", min), ("the University of X", "the country", max)):
        text = re.sub(r"\{[oOnNa]\}", name, template.source)
        text = re.sub(r"\{[sS]\}", reference, text)
        text = re.sub(
            r"\[([^\]]+)\]", lambda m, c=choose: c(m[1].split("|"), key=lambda o: len(o.split())), text
        )
        bounds.append(len(text.split()))
    return bounds[0], bounds[1]


@pytest.mark.parametrize("name", sorted(PHRASES))
def test_no_page_can_be_too_long_or_too_short(name: str) -> None:
    phrases = PHRASES[name]
    lead, amount = (list(zip(*map(_lengths, ts))) for ts in (phrases.leads, phrases.amounts))
    facts = [list(zip(*map(_lengths, templates))) for templates in phrases.facts.values()]
    fillers = list(zip(*map(_lengths, (*phrases.alias, *phrases.fillers))))
    most = max(lead[1]) + sum(sorted(max(most) for _, most in facts)[-3:]) + max(amount[1])
    assert max(most, _LATEST_GOAL - 2 + max(fillers[1])) <= MAX_WORDS
    fewest = min(lead[0]) + sum(sorted(min(fewest) for fewest, _ in facts)[:3])
    assert fewest + sum(fillers[0][len(phrases.alias) :]) >= MIN_WORDS
