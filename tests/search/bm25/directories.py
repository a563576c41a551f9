"""Corpora and questions for tests of index directories."""

from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.worlds import World, world_preset

ROOT = Path(__file__).resolve().parents[3]
WORDS = ["belin", "corun", "tavor", "river", "rivers", "the", "of", "é", "北京", "😀", "\ud800", "x" * 300]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
IDS = st.text(st.characters(exclude_categories=()), min_size=1, max_size=3)
EAGER = st.sampled_from([0, 10, 30])
CORPORA = st.lists(
    st.builds(Passage, IDS, TEXTS, TEXTS), min_size=1, max_size=30, unique_by=lambda passage: passage.id
)


@cache
def _whole_world(index):
    return list(World(world_preset("small", index=index)).passages())


def world(count, index=0):
    return _whole_world(index)[:count]


@cache
def in_memory(count, eager):
    """An engine over so many passages of the world, which no test may change."""
    return BM25Engine(world(count), eager_up_to=eager)


@cache
def _questions(count):
    made = World(world_preset("small"))
    rng = np.random.default_rng(0)
    return [gold.question for hops in (1, 2, 3) for gold in made.questions(hops, count, rng)]


def questions(count):
    return list(_questions(count))


def same_engine(one, two, queries, top_k=5):
    assert len(one) == len(two)
    assert one.fingerprint() == two.fingerprint()
    assert one.search(queries, top_k) == two.search(queries, top_k)
    for count, exclude in ((3, ()), (len(one), {one.sample(np.random.default_rng(1), 1)[0].id})):
        drawn = [engine.sample(np.random.default_rng(7), count, exclude) for engine in (one, two)]
        assert drawn[0] == drawn[1]
