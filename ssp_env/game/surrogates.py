"""Replacing lone surrogates, which no file takes and JSON does not give back, before a text enters a game."""

from __future__ import annotations

import re

from ssp_env.passage import Passage

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def replace_surrogates(text: str) -> str:
    r"""Return the text with U+FFFD for every lone surrogate.

    >>> replace_surrogates("a\ud800b") == "a\ufffdb"
    True
    """
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def storable(passage: Passage) -> Passage:
    """Return the passage without lone surrogates; usually the same object."""
    if passage.text.isascii() and passage.title.isascii() and passage.id.isascii():
        return passage
    id, title, text = map(replace_surrogates, (passage.id, passage.title, passage.text))
    whole = Passage(id, title, text, passage.score)
    return passage if whole == passage else whole
