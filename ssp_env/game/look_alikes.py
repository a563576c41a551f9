"""Whether a text names an answer in letters of other scripts that look like its own."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

import regex

from ssp_env.game.leaks import mentions
from ssp_env.scoring.words import fold

_WORD = regex.compile(r"[\p{L}\p{M}]+")
_LATIN = regex.compile(r"\p{Latin}")
_REPLACED = regex.compile(r"[[\p{L}--\p{Latin}]||[\p{Latin}&&\p{Block=IPA_Extensions}]]", regex.VERSION1)
_LEAST_LETTERS = 4
# The table takes these for letters with a stroke, small capitals or letters upside down.
_BESIDE_THE_TABLE = MappingProxyType(
    {"\u03b5": "e", "\u0454": "e", "\u025b": "e", "\u03b2": "b", "\u043a": "k", "\u043c": "m"}
)


def mentions_look_alike(text: str, golds: Sequence[str]) -> bool:
    r"""Whether a right answer stands in a text if letters are read as the Latin ones that they look like.

    What looks alike says the table of Unicode's UTS #39. An answer of three letters or fewer is found only in
    words that mix scripts, because short words of one language look like those of another: Russian for *but*
    like the letter A.

    >>> mentions_look_alike("Who met T\u0430v\u043er?", ["Tavor"])
    True
    >>> mentions_look_alike("\u0430 \u0432 \u0441", ["A", "B", "C"])
    False
    """
    if text.isascii() and all(map(str.isascii, golds)):
        return False
    names = [latin(gold) for gold in golds]
    long = [name for name in names if sum(map(str.isalnum, name)) >= _LEAST_LETTERS]
    return mentions(latin(text), long) or mentions(latin(" ".join(_mixed_words(text))), names)


def latin(text: str) -> str:
    r"""Replace letters by the ASCII letters that they look like, where there are some.

    >>> latin("\u041f\u0430r\u0456s")
    'Пaris'
    """
    return text if text.isascii() else text.translate(_LATIN_LETTERS)


def _mixed_words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text) if _LATIN.search(word) and latin(word) != word]


class _LatinLetters(dict[int, str]):
    """Code points and the ASCII letters that they look like, or themselves."""

    def __missing__(self, code: int) -> str:
        letters = unicodedata.normalize("NFKD", chr(code))
        read = "".join(map(_latin_letter, letters))
        self[code] = shown = chr(code) if read == letters else read
        return shown


def _latin_letter(letter: str) -> str:
    if letter.isascii() or not _REPLACED.match(letter):
        return letter
    if letter in _BESIDE_THE_TABLE:
        return _BESIDE_THE_TABLE[letter]
    for alike in _confusables().get(letter, ()):
        shown = fold(alike["c"])
        if shown.isascii() and shown.isalpha():
            # In the table the capital I is an l.
            return "i" if shown == "l" and letter.isupper() else shown
    return letter


@cache
def _confusables() -> Mapping[str, Sequence[Mapping[str, str]]]:
    # Its table takes 20 ms to read, which texts in ASCII never need.
    from confusable_homoglyphs.confusables import confusables_data

    table: Mapping[str, Sequence[Mapping[str, str]]] = confusables_data
    return table


_LATIN_LETTERS = _LatinLetters()
