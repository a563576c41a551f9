"""Shards rank as one index of everything does, to the last bit, and nothing takes one for such an index."""

from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.builder import add_passages
from ssp_env.search.bm25.directory import IndexDirectoryError, Shard, check_index, read_manifest
from ssp_env.search.bm25.sharded_build import build_shards
from ssp_env.search.bm25.terms import BM25Settings
from ssp_env.search.shards import merge_rankings
from tests.search.bm25.directories import CORPORA, TEXTS, questions, world


def opened(path):
    return [BM25Engine.open(folder) for folder in sorted(path.glob("shard-*"))]


def merged(engines, queries, top_k):
    found = zip(*(engine.search(queries, top_k) for engine in engines), strict=True)
    return [merge_rankings(rankings, top_k) for rankings in found]


def check(path, corpus, shards, queries, top_k, **options):
    whole = BM25Engine(corpus, **options)
    manifests = build_shards(corpus, path, shards, BM25Settings(**options), source=None)
    engines = opened(path)
    assert merged(engines, queries, top_k) == whole.search(queries, top_k)
    assert [Shard.from_fingerprint(engine.fingerprint()) for engine in engines] == [
        Shard(number, shards, whole.fingerprint()) for number in range(1, shards + 1)
    ]
    assert sum(map(len, engines)) == len(corpus) == sum(manifest.passages for manifest in manifests)
    assert max(map(len, engines)) - min(map(len, engines)) <= 1
    return engines


@given(
    corpus=CORPORA,
    shards=st.integers(1, 5),
    queries=st.lists(TEXTS, min_size=1, max_size=5),
    top_k=st.integers(1, 12),
    boost=st.sampled_from([1.0, 2.5]),
)
@settings(max_examples=60, deadline=None)
def test_rankings_of_any_shards_merge_to_those_of_the_whole(
    tmp_path_factory, corpus, shards, queries, top_k, boost
):
    path = tmp_path_factory.mktemp("shards")
    check(path, corpus, min(shards, len(corpus)), queries, top_k, title_boost=boost)


def test_questions_of_a_world_find_the_same_to_the_last_bit(tmp_path):
    engines = check(tmp_path, world(3000), 3, questions(40), 20)
    alone = BM25Engine(world(3000)[:1000]).search(questions(40), 20)
    assert engines[0].search(questions(40), 20) != alone
    for folder in tmp_path.glob("shard-*"):
        check_index(folder)


def test_scores_are_computed_beforehand_whatever_the_size(tmp_path):
    build_shards(world(100), tmp_path, 2, BM25Settings(eager_up_to=10), source=None)
    whole = BM25Engine(world(100), eager_up_to=100)
    engines = opened(tmp_path)
    assert merged(engines, questions(5), 5) == whole.search(questions(5), 5)
    assert engines[0].fingerprint() == f"shard:1/2:{whole.fingerprint()}"


def test_a_shard_is_no_index_of_its_own(tmp_path):
    build_shards(world(20), tmp_path, 2, source=None)
    first = tmp_path / "shard-1-of-2"
    with pytest.raises(IndexDirectoryError, match="shard 1 of 2"):
        add_passages(first, world(21)[20:])
    with pytest.raises(ValueError, match="holds something other"):
        BM25Engine(sorted(world(20), key=lambda passage: passage.id)[:10], path=first)
    assert read_manifest(first).passages == 10


@pytest.mark.parametrize(
    ("shards", "options", "error"),
    [
        (0, {}, "shards must be at least 1"),
        (21, {}, "for each of 21 shards, got 20"),
        (2, {"all_words_first": True}, "all_words_first"),
    ],
)
def test_what_cannot_be_divided_leaves_nothing(tmp_path, shards, options, error):
    with pytest.raises(ValueError, match=error):
        build_shards(world(20), tmp_path / "out", shards, BM25Settings(**options), source=None)
    assert not [*tmp_path.iterdir()]


def test_an_id_in_two_shards_is_found(tmp_path):
    with pytest.raises(ValueError, match="unique"):
        build_shards(chain(world(20), world(1)), tmp_path / "out", 2, source=None)


def test_an_interrupted_build_goes_on(tmp_path):
    def interrupted(stage, done, total):
        if stage.startswith("Checking"):
            raise KeyboardInterrupt

    out, corpus = tmp_path / "out", world(1000)
    with pytest.raises(KeyboardInterrupt):
        build_shards(corpus, out, 2, source="a world", progress=interrupted)
    assert not out.exists()
    # The passages were read, and need not come again.
    build_shards(iter(()), out, 2, source="a world")
    assert merged(opened(out), questions(5), 5) == BM25Engine(corpus).search(questions(5), 5)
    assert sorted(entry.name for entry in out.iterdir()) == ["shard-1-of-2", "shard-2-of-2"]
