"""Names in disguise: in escapes, or in letters of other scripts that look like their own."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from urllib.parse import unquote

import regex

from ssp_env.game.leaks import mentions
from ssp_env.scoring.words import fold

_CODE_POINT = re.compile(
    r"&#x0*([0-9a-f]{1,6});?|\\u\{0*([0-9a-f]{1,6})\}|(?-i:\\u)([0-9a-f]{4})|(?-i:\\U)([0-9a-f]{8})"
    r"|\\x([0-9a-f]{2})|\bU\+([0-9a-f]{4,6})|&#0*(\d{1,7});?",
    re.IGNORECASE,
)
_NAMED = re.compile(r"&[A-Za-z][A-Za-z0-9]{1,31};?")
_GREATEST = 0x10FFFF
_ROUNDS = 3
_WORD = regex.compile(r"[\p{L}\p{M}]+")
_LATIN = regex.compile(r"\p{Latin}")
_REPLACED = regex.compile(r"[[\p{L}--\p{Latin}]||[\p{Latin}&&\p{Block=IPA_Extensions}]]", regex.VERSION1)
_LEAST_LETTERS = 4
# The table takes these for letters with a stroke, small capitals or letters upside down.
_BESIDE_THE_TABLE = MappingProxyType(
    {"\u03b5": "e", "\u0454": "e", "\u025b": "e", "\u03b2": "b", "\u043a": "k", "\u043c": "m"}
)


# -- escapes of HTML, URLs, JSON and programming languages ----------------------------------------------


def unescaped(text: str) -> str:
    r"""Read out escapes, and up to two layers of escapes within them; texts without any are left as they are.

    They are the numeric and named references of HTML, the percent signs of URLs, and the code points of JSON,
    Python, JavaScript and Unicode.

    >>> unescaped("&#84;avor, %54avor, \\u0054avor, \\x54avor, U+0054, %2554, R&D, 5 %")
    'Tavor, Tavor, Tavor, Tavor, T, T, R&D, 5 %'
    """
    for _ in range(_ROUNDS):
        read = _read_out(text)
        if read == text:
            break
        text = read
    return text


def _read_out(text: str) -> str:
    if "%" in text:
        text = unquote(text)
    if "&" in text or "\\" in text or "+" in text:
        text = _NAMED.sub(lambda named: html.unescape(named[0]), _CODE_POINT.sub(_character, text))
    return text


def _character(escape: re.Match[str]) -> str:
    *hexadecimal, decimal = escape.groups()
    code = int(decimal) if decimal else int(next(filter(None, hexadecimal)), 16)
    return chr(code) if 0 < code <= _GREATEST else escape[0]


# -- letters of other scripts ---------------------------------------------------------------------------


def mentions_look_alike(text: str, golds: Sequence[str]) -> bool:
    r"""Whether a right answer stands in a text if letters are read as the Latin ones that they look like.

    The table of Unicode's UTS #39 says what looks alike. An answer of three letters or fewer is found only in
    words that mix scripts, because short words of one language look like those of another: the Russian one
    for *but* looks like the letter A.

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
