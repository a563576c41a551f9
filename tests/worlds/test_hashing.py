"""The hash behind every world: known values and the shape of its mappings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ssp_env.worlds.hashing import below, draw, mix64, permute, shuffled, text_key

words = st.integers(0, 2**64 - 1)


def test_mix64_and_draw_are_splitmix64() -> None:
    golden = 0x9E3779B97F4A7C15
    # The first two outputs of the published generator seeded with 0.
    assert mix64(golden) == draw(0, 0) == 0xE220A8397B1DCDAF
    assert mix64(2 * golden % 2**64) == 0x6E789E6AA1B965F4


def test_keys_depend_on_every_part() -> None:
    assert text_key("graph", 1, "train") == 0x829A6D7274BE265C
    assert len({text_key("a", "bc"), text_key("ab", "c"), text_key("a", "b", "c"), text_key("abc")}) == 4


@given(words, st.lists(words, max_size=4))
def test_draws_are_64_bits_and_mind_the_order(key: int, coordinates: list[int]) -> None:
    bits = draw(key, *coordinates)
    assert 0 <= bits < 2**64
    if coordinates != coordinates[::-1]:
        assert bits != draw(key, *coordinates[::-1])


@given(words, st.integers(1, 10**9))
def test_below_stays_below(bits: int, count: int) -> None:
    assert 0 <= below(bits, count) < count


@given(words, st.integers(1, 4))
def test_permute_is_one_to_one(key: int, half_bits: int) -> None:
    size = 4**half_bits
    assert sorted(permute(key, half_bits, value) for value in range(size)) == list(range(size))


@given(words, st.lists(st.integers(), max_size=20))
def test_shuffled_keeps_the_items(key: int, items: list[int]) -> None:
    assert sorted(shuffled(key, items)) == sorted(items)
    assert shuffled(key, items) == shuffled(key, tuple(items))
