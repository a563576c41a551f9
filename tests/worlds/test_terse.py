"""Terse worlds: grammar, truth of questions, and passages in the agreed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.worlds import (
    NAME_POOL,
    TERSE_RELATIONS,
    World,
    WorldConfig,
    parse_facts,
    parse_question,
    render_question,
    terse_vocabulary,
)

worlds = st.builds(
    lambda split, index, entities, links: World(WorldConfig(split, index, entities, links=links)),
    st.sampled_from(["train", "heldout"]),
    st.integers(0, 10**12),
    st.integers(12, len(NAME_POOL)),
    st.integers(2, 3),
)


@settings(max_examples=40, deadline=None)
@given(worlds, st.integers(1, 4), st.integers(0, 2**32))
def test_questions_resolve_to_their_one_answer_and_name_only_their_start(
    world: World, hops: int, seed: int
) -> None:
    for gold in world.questions(hops, 4, np.random.default_rng(seed)):
        assert world.resolve(gold.question) == gold.answer == gold.entities[-1]
        assert world.hops_of(gold.question) == gold.hops == hops
        assert len(set(gold.entities)) == hops + 1
        assert set(gold.question.split()) & set(NAME_POOL) == {gold.entities[0]}
        assert parse_question(gold.question) == (gold.relations, gold.entities[0])


@settings(max_examples=20, deadline=None)
@given(worlds)
def test_passages_state_the_facts_and_use_only_the_vocabulary(world: World) -> None:
    vocabulary = set(terse_vocabulary())
    for index, passage in enumerate(world.passages()):
        assert set(passage.text.split()) <= vocabulary
        read = [tuple(fact) for fact in parse_facts(passage.text)]
        assert read == [(f.subject, f.relation, f.value) for f in world.facts(index)]
        assert len(read) == world.config.links
        targets = [target for _, _, target in read]
        assert len({passage.title, *targets}) == len(targets) + 1


def test_the_gold_pages_state_the_path() -> None:
    world = World(WorldConfig(index=5))
    pages = {passage.id: passage for passage in world.passages()}
    for gold in world.questions(3, 20, np.random.default_rng(0)):
        facts = [fact for page in gold.passage_ids for fact in parse_facts(pages[page].text)]
        steps = zip(gold.entities, reversed(gold.relations), gold.entities[1:], strict=False)
        assert set(steps) <= {tuple(fact) for fact in facts}


def test_a_passage_in_full() -> None:
    passage = World(WorldConfig(index=17)).passage(3)
    assert (passage.id, passage.title) == ("tiny-train-17/03", "kufon")
    assert passage.text == "kufon birthplace sapab kufon school zudor kufon employer zobuk"


@pytest.mark.parametrize(
    "question",
    ["", "?", "mayor", "mayor of", "mayor of ?", "mayor of tavom", "tavom of tavom ?", "mayor mayor tavom ?",
     "mayor of of ?", "mayor of mayor ?", "king of tavom ?", "mayor of tavom ? ?", "mayor of tavom of ?",
     "who is mayor of tavom ?"],
)  # fmt: skip
def test_ill_formed_questions_are_not_understood(question: str) -> None:
    world = World(WorldConfig())
    assert world.resolve(question) is None
    assert world.hops_of(question) is None


def test_a_question_about_something_unknown_or_unstated_has_hops_but_no_answer() -> None:
    world = World(WorldConfig(index=17))
    absent = next(name for name in NAME_POOL if world.find(name) is None)
    assert "employer" not in world.passage(0).text
    assert world.resolve("employer of rimun ?") is None
    assert world.hops_of("employer of rimun ?") == 1
    assert world.resolve(f"mayor of birthplace of {absent} ?") is None
    assert world.hops_of(f"mayor of birthplace of {absent} ?") == 2


@given(st.lists(st.sampled_from(TERSE_RELATIONS), min_size=1, max_size=6), st.sampled_from(NAME_POOL))
def test_rendering_and_parsing_a_question_are_inverse(relations: list[str], entity: str) -> None:
    assert parse_question(render_question(relations, entity)) == (tuple(relations), entity)


@given(st.lists(st.sampled_from(terse_vocabulary()), max_size=12).map(" ".join))
def test_whatever_parses_is_a_question_word_for_word(text: str) -> None:
    parsed = parse_question(text)
    assert parsed is None or render_question(*parsed) == text


def test_names_cannot_be_confused() -> None:
    assert 160 <= len(NAME_POOL) <= 200
    assert len({name[:3] for name in NAME_POOL}) == len(NAME_POOL)
    assert not set(NAME_POOL) & set(TERSE_RELATIONS)
    for first in NAME_POOL:
        assert all(first == other or _differences(first, other) >= 2 for other in NAME_POOL)


def _differences(first: str, other: str) -> int:
    return sum(a != b for a, b in zip(first, other, strict=True))


def test_the_vocabulary_is_sorted_and_small() -> None:
    vocabulary = terse_vocabulary()
    assert list(vocabulary) == sorted(set(vocabulary))
    assert set(vocabulary) == {*NAME_POOL, *TERSE_RELATIONS, "of", "?", ";"}
    assert len(TERSE_RELATIONS) == 11


def test_most_tiny_entities_end_a_three_hop_path() -> None:
    shares = [len(World(WorldConfig(index=index)).answers(3)) / 24 for index in range(30)]
    assert min(shares) > 0.6
    assert sum(shares) / len(shares) > 0.8
