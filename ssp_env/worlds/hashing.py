"""Counter-based random numbers: every draw is a pure function of a key and of integer coordinates."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def mix64(value: int) -> int:
    """Scramble 64 bits with the finaliser of splitmix64 (Steele, Lea and Flood, 2014).

    >>> hex(mix64(0x9E3779B97F4A7C15))
    '0xe220a8397b1dcdaf'
    """
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def draw(key: int, *coordinates: int) -> int:
    """Return 64 uniform bits for a point in the space of `coordinates` under `key`.

    Args:
        key: A 64-bit key, usually from `text_key`.
        coordinates: Non-negative integers; their order matters.
    """
    state = key
    for coordinate in coordinates:
        state = mix64(((state ^ coordinate) + _GOLDEN) & _MASK)
    return state


def text_key(*parts: str | int) -> int:
    """Return a 64-bit key for a sequence of words and numbers, the same on every platform.

    >>> text_key("a", "bc") != text_key("ab", "c")
    True
    """
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def below(bits: int, count: int) -> int:
    """Map 64 uniform bits to an integer in `[0, count)` (multiply and shift, no division)."""
    return (bits * count) >> 64


def shuffled(key: int, items: Sequence[T]) -> list[T]:
    """Return `items` in an order that is a pure function of `key` (Fisher-Yates)."""
    result = list(items)
    for last in range(len(result) - 1, 0, -1):
        other = below(draw(key, last), last + 1)
        result[last], result[other] = result[other], result[last]
    return result


def permute(key: int, half_bits: int, value: int) -> int:
    """Map `value` one-to-one within `[0, 4 ** half_bits)`: a four-round Feistel network.

    There is no table, so that any value can be mapped at the same cost without mapping the others.
    """
    mask = (1 << half_bits) - 1
    left, right = value >> half_bits, value & mask
    for number in range(4):
        left, right = right, left ^ (draw(key, 4 * right + number) & mask)
    return (left << half_bits) | right
