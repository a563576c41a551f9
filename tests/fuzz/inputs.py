"""Inputs that fuzz targets are tried on: valid ones with a few bytes or values changed, and nonsense."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from hypothesis import strategies as st

from tests.records.tampering import tampered

_PIECES = (
    b"",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
    b"\r\n",
    b'"',
    b'""',
    b"'",
    b",",
    b";",
    b"\t",
    b"{",
    b"}",
    b"[",
    b"]",
    b"{}",
    b"[]",
    b"null",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"9" * 400,
    b"true",
    b'"\\ud800"',
    b"\\u0000",
    b"\\",
    b"//",
    b"#",
    b"=",
    b"<",
    b">",
    b"</",
    b"<!--",
    b"<a href='",
    b"&#0;",
    b"&amp;",
    b"\xe2\x80\xae",
    b"\xe2\x80\x8b",
    b"\xf0\x9f\x87\xa9",
    b"[" * 2000,
    b'{"a":' * 2000,
    b"a" * 5000,
    b"\x1f\x8b",
    b"PAR1",
    b"..",
    b"/",
    b"sys:exit",
    b"os:getcwd",
    b"2026-01-01",
    b"inf",
)


@st.composite
def changed(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Draw a valid input with up to five changes: bytes put in, taken out, doubled, replaced, or cut off."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 5))):
        place = draw(st.integers(0, len(data)))
        end = min(len(data), place + draw(st.sampled_from([0, 0, 1, 1, 2, 7, 60, 10**6])))
        kind = draw(st.sampled_from(["put", "put", "put", "draw", "double", "flip", "cut"]))
        if kind == "put":
            data = data[:place] + draw(st.sampled_from(_PIECES)) + data[end:]
        elif kind == "draw":
            data = data[:place] + draw(st.binary(max_size=8)) + data[end:]
        elif kind == "double":
            data = data[:end] + data[place : place + 4000] + data[end:]
        elif kind == "flip" and place < len(data):
            data = data[:place] + bytes([data[place] ^ 1 << draw(st.integers(0, 7))]) + data[place + 1 :]
        elif kind == "cut":
            data = data[:place]
    return data


def changed_json(seeds: Sequence[object]) -> st.SearchStrategy[bytes]:
    """Draw valid JSON with values replaced, removed, doubled or nested."""

    def one(choice: int) -> bytes:
        rng = random.Random(choice)
        return json.dumps(tampered(rng, rng.choice(seeds))).encode()

    return st.integers(0, 2**32 - 1).map(one)


def inputs(seeds: Sequence[bytes], structured: Sequence[object] = ()) -> st.SearchStrategy[bytes]:
    """Draw inputs of every kind.

    Args:
        seeds: Valid inputs.
        structured: Valid inputs as decoded JSON; empty if the target reads no JSON.
    """
    kinds = [changed(seeds), changed(seeds), st.binary(max_size=200), st.text(max_size=200).map(_encoded)]
    return st.one_of(*kinds, *([changed_json(structured)] * 2 if structured else []))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
