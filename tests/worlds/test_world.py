"""What holds of every world: same bytes, disjoint splits, paths, compositions, clear errors."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.worlds import (
    WORLD_PRESETS,
    Path,
    World,
    WorldConfig,
    is_heldout_composition,
    terse_vocabulary,
    world_preset,
)
from ssp_env.worlds.schema import SCHEMAS, Layout

TINY = World(WorldConfig(index=17))


@pytest.mark.parametrize(
    ("world_id", "fingerprint"),
    [
        ("tiny-train-17", "8d6781e25a8e97f79b0da4e78449f7a1f71f23afea945620ebae49c16958ff44"),
        ("tiny-heldout-17", "625e99e5dc2607af39454c59b4ca398253977126f9de688df7c405c0d1a00b74"),
        ("small-train-0", "dad82130c595bab401538012d4ef475670af0c28d208d67481046a757416477b"),
        ("terse_core_60x2-train-3", "9da8962acea953d3da0671cdb073009d9ab2f1b56ea0e84249ae66c0c5343ecb"),
    ],
)
def test_the_bytes_of_a_world_never_change(world_id: str, fingerprint: str) -> None:
    # A change here is a change of every published world: raise WORLD_VERSION with it.
    assert World(WorldConfig.from_id(world_id)).fingerprint() == fingerprint


def test_fingerprints_tell_worlds_apart() -> None:
    base = WorldConfig()
    others = [
        base,
        replace(base, index=1),
        replace(base, split="heldout"),
        replace(base, entities=25),
        replace(base, links=2),
        replace(base, rendering="prose"),
    ]
    assert len({World(config).fingerprint() for config in others}) == len(others)


@given(st.integers(0, 10**9))
@settings(max_examples=30, deadline=None)
def test_train_and_heldout_worlds_differ(index: int) -> None:
    train, heldout = (World(WorldConfig(split, index)) for split in ("train", "heldout"))
    stated = [{(f.subject, f.relation, f.value) for f in world.facts()} for world in (train, heldout)]
    assert len(stated[0] & stated[1]) < 6
    assert train.id != heldout.id


def test_pages_come_in_any_order() -> None:
    forwards = list(World(TINY.config).passages())
    world = World(TINY.config)
    backwards = [world.passage(index) for index in reversed(range(len(world)))]
    assert forwards == backwards[::-1]
    assert [p.id for p in forwards] == sorted({p.id for p in forwards})


def test_huge_worlds_stream() -> None:
    world = World(WorldConfig(entities=21_000_000, rendering="prose", schema="full"))
    first = [passage.id for passage in islice(world.passages(), 2)]
    assert first == [f"{world.id}/00000000", f"{world.id}/00000001"]
    assert world.passage(20_999_999).id.endswith("/20999999")
    assert all(
        world.resolve is not None and q.hops == 4 for q in world.questions(4, 3, np.random.default_rng(0))
    )


@given(st.sampled_from(["core", "full"]), st.integers(96, 5000), st.integers(0, 10**6))
def test_the_layout_is_a_bijection(schema: str, entities: int, place: int) -> None:
    layout = Layout(schema, entities)  # type: ignore[arg-type]
    index = place % entities
    kind, rank = layout.locate(index)
    assert 0 <= rank < layout.count(kind.name)
    assert layout.index(kind.name, rank) == index
    assert sum(layout.count(t.name) for t in SCHEMAS[schema]) == entities


def _every_path(world: World, hops: int) -> set[Path]:
    paths = {Path((index,), ()) for index in range(len(world))}
    for _ in range(hops):
        paths = {
            Path((*path.entities, link.target), (link.relation, *path.relations))
            for path in paths
            for link in world.graph.links(path.entities[-1])
            if link.target not in path.entities
        }
    return paths


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_backward_paths_are_the_forward_paths(hops: int) -> None:
    forwards = _every_path(TINY, hops)
    backwards = [path for name in TINY.names() for path in TINY.backward_paths(name, hops)]
    assert len(backwards) == len(set(backwards))
    assert set(backwards) == forwards
    ends = {path.entities[-1] for path in forwards}
    assert TINY.answers(hops) == [TINY.name(index) for index in sorted(ends)]
    for path in backwards[:50]:
        assert TINY.resolve(TINY.question(path).question) == TINY.name(path.entities[-1])


def test_a_path_the_world_does_not_state_is_refused() -> None:
    with pytest.raises(ValueError, match="does not say that 5 is the mayor of 0"):
        TINY.question(Path((0, 5), ("mayor",)))


@pytest.mark.parametrize("rendering", ["terse", "prose"])
def test_held_out_compositions(rendering: str) -> None:
    world = World(WorldConfig(entities=100, rendering=rendering))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for hops in (2, 3):
        train = world.questions(hops, 20, rng, compositions="train")
        heldout = world.questions(hops, 20, rng, compositions="heldout")
        assert not any(is_heldout_composition(gold.relations) for gold in train)
        assert all(is_heldout_composition(gold.relations) for gold in heldout)
        pairs = {pair for gold in train for pair in pairwise(gold.relations)}
        assert not any(map(is_heldout_composition, pairs))
    assert not is_heldout_composition(("mayor",))


def test_about_a_fifth_of_the_pairs_is_held_out() -> None:
    words = sorted({relation.word for kind in SCHEMAS["core"] for relation in kind.relations})
    pairs = [(first, second) for first in words for second in words]
    assert 0.1 < sum(map(is_heldout_composition, pairs)) / len(pairs) < 0.3


def test_questions_are_different_and_repeatable() -> None:
    drawn = [TINY.questions(2, 60, np.random.default_rng(3)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len({gold.question for gold in drawn[0]}) == 60


def test_facts_of_all_pages_are_the_facts_of_each() -> None:
    assert list(TINY.facts()) == [fact for index in range(24) for fact in TINY.facts(index)]
    assert all(TINY.find(fact.value) == fact.target for fact in TINY.facts())


def test_presets() -> None:
    assert {name: (c.rendering, c.entities) for name, c in WORLD_PRESETS.items()} == {
        "tiny": ("terse", 24),
        "small": ("prose", 1_000),
        "large": ("prose", 100_000),
    }
    assert world_preset("small", split="heldout", index=4).id == "small-heldout-4"
    assert set(terse_vocabulary()) >= {word for p in TINY.passages() for word in p.text.split()}


@given(
    st.sampled_from(["train", "heldout"]),
    st.integers(0, 10**12),
    st.integers(96, 177),
    st.sampled_from([("terse", "core"), ("prose", "core"), ("prose", "full")]),
    st.integers(1, 3),
)
def test_an_id_names_its_configuration(split, index, entities, kind, links) -> None:
    config = WorldConfig(split, index, entities, *kind, links)
    assert WorldConfig.from_id(config.id) == config


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"split": "test"}, ValueError, "split must be 'train' or 'heldout', not 'test'"),
        ({"rendering": "verse"}, ValueError, "rendering must be 'terse' or 'prose', not 'verse'"),
        ({"schema": "wide"}, ValueError, "schema must be 'core' or 'full', not 'wide'"),
        ({"index": -1}, ValueError, "index must be 0 or more, not -1"),
        ({"index": "7"}, TypeError, "index must be an int, not '7'"),
        ({"links": 4}, ValueError, "links must be 1, 2 or 3, not 4"),
        ({"entities": 3}, ValueError, "a core world needs at least 12 entities, not 3"),
        ({"entities": 178}, ValueError, "at most 177 entities .* not 178; choose rendering='prose'"),
        ({"schema": "full", "entities": 100}, ValueError, "the terse rendering needs schema 'core'"),
        (
            {"schema": "full", "rendering": "prose", "entities": 95},
            ValueError,
            "at least 96 entities, not 95",
        ),
    ],
)
def test_bad_configurations(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        WorldConfig(**change)


@pytest.mark.parametrize(
    ("world_id", "message"),
    [
        ("huge-train-0", "unknown world preset 'huge'; known presets: large, small, tiny"),
        ("tiny-train", "a world id looks like 'tiny-train-17', not 'tiny-train'"),
        ("tiny-train-x", "a world id looks like"),
        ("tiny-train-017", "a world id looks like"),
        ("tiny-test-1", "split must be 'train' or 'heldout', not 'test'"),
        ("", "a world id looks like"),
    ],
)
def test_bad_ids(world_id: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WorldConfig.from_id(world_id)


def test_bad_requests() -> None:
    rng = np.random.default_rng(0)
    for hops in (0, 5):
        with pytest.raises(ValueError, match=f"hops must be 1 to 4, not {hops}"):
            TINY.questions(hops, 1, rng)
        with pytest.raises(ValueError, match="hops must be 1 to 4"):
            TINY.answers(hops)
    with pytest.raises(ValueError, match="compositions must be"):
        TINY.questions(2, 1, rng, compositions="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"too few 1-hop questions .* 80 wanted, 72 found"):
        TINY.questions(1, 80, rng)
    with pytest.raises(ValueError, match="too few 1-hop questions"):
        TINY.questions(1, 1, rng, compositions="heldout")
    with pytest.raises(IndexError, match="entities 0 to 23, not 24"):
        TINY.passage(24)
    with pytest.raises(IndexError):
        TINY.passage(-1)
    with pytest.raises(ValueError, match="no entity called 'nobody'"):
        TINY.backward_paths("nobody", 2)


def test_an_oracle_gives_every_answer_and_tells_none_from_unknown():
    gold = TINY.questions(2, 1, np.random.default_rng(3))[0]
    assert TINY.answers_to(gold.question) == {gold.answer}
    assert TINY.answers_to("mayor of nobody ?") == frozenset()
    assert TINY.answers_to("no question at all") == frozenset()
    prose = World(world_preset("small"))
    assert prose.answers_to("Is this understood by anybody?") is None
    gold = prose.questions(2, 1, np.random.default_rng(3))[0]
    assert prose.answers_to(gold.question) == {gold.answer}
