"""The cache keeps the results used last, apart by engine, query and top_k, and nobody can change it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game.passage import Passage
from ssp_env.search.tool import ResultCache

FOUND = [Passage("0", "", "text")]


@given(
    st.integers(0, 4),
    st.lists(st.tuples(st.sampled_from("ab"), st.text("xyz", max_size=1), st.integers(1, 2), st.booleans())),
)
def test_it_is_a_bounded_map_that_forgets_what_was_used_longest_ago(size, steps):
    cache, model = ResultCache(size), []
    for number, (engine, query, top_k, write) in enumerate(steps):
        key = (engine, query, top_k)
        entry = next((kept for kept in model if kept[0] == key), None)
        if write:
            passages = [Passage(str(number), "", query)]
            cache.keep(engine, {query: passages}, top_k)
            model = [kept for kept in model if kept[0] != key] + [(key, passages)]
            model = model[len(model) - min(size, len(model)) :]
        else:
            assert cache.known(engine, [query], top_k) == ({query: entry[1]} if entry else {})
            if entry:
                model = [kept for kept in model if kept[0] != key] + [entry]
        assert len(cache) == len(model) <= size


def test_hits_and_misses_are_counted():
    cache = ResultCache()
    cache.known("engine", ["a", "b"], 3)
    cache.keep("engine", {"a": FOUND}, 3)
    cache.known("engine", ["a", "b"], 3)
    assert (cache.hits, cache.misses) == (1, 3)


def test_what_comes_out_can_be_changed_without_harm():
    cache = ResultCache()
    cache.keep("engine", {"a": FOUND}, 3)
    cache.known("engine", ["a"], 3)["a"].clear()
    assert cache.known("engine", ["a"], 3) == {"a": FOUND}


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match="size must be 0 or more, got -1"):
        ResultCache(-1)


def test_a_result_that_is_read_stays_longer():
    cache = ResultCache(2)
    cache.keep("engine", {"a": FOUND, "b": FOUND}, 3)
    cache.known("engine", ["a"], 3)
    cache.keep("engine", {"c": FOUND}, 3)
    assert list(cache.known("engine", "abc", 3)) == ["a", "c"]
