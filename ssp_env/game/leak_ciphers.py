"""Whether a text names an answer in a cipher: signs, codes, other letters or words for its letters."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from ssp_env.game.leaks import mentions
from ssp_env.scoring.words import compose, fold

LEAST_LETTERS = 4
"""Least number of letters and digits of a name that other words hardly spell in a cipher by chance."""

_LEAST_SHIFTED_LETTERS = 5
_ALPHABET = string.ascii_lowercase
_ROT13 = 13
_SHIFTS = (
    *(str.maketrans(_ALPHABET, _ALPHABET[by:] + _ALPHABET[:by]) for by in range(1, 26) if by != _ROT13),
    str.maketrans(_ALPHABET, _ALPHABET[::-1]),
)
_SIGNS: Mapping[str, str] = MappingProxyType(
    {
        "a": "4@", "b": "8", "e": "3", "g": "96", "h": "#", "i": "1!|", "l": "1|", "o": "0", "s": "5$",
        "t": "7+", "z": "2",
    }
)  # fmt: skip
_HEXADECIMAL = re.compile(r"(?<![0-9a-z])(?:(?:0x)?[0-9a-f]{2}[ ,:;/-]{0,2}){3,}(?![0-9a-z])", re.IGNORECASE)
_BINARY = re.compile(r"\b(?:[01]{7,8}[ ,:;/-]{0,2}){3,}(?![0-9])")
_NUMBERS = re.compile(r"\b\d{1,3}(?:[ ,.:;/-]{1,2}\d{1,3}){2,}\b")
_DIGITS = re.compile(r"[0-9]+")
_PAIR = re.compile(r"[0-9a-f]{2}", re.IGNORECASE)
_EIGHT = re.compile(r"[01]{7,8}")
_MORSE_RUN = re.compile(r"(?<![^\s/|,;:])[.-]{1,5}(?:[\s/|]{1,3}[.-]{1,5}){2,}(?![.\w-])")
_MORSE_SIGN = re.compile(r"[.-]+")
_DASHES_AND_DOTS = str.maketrans(
    "\u2010\u2011\u2012\u2013\u2014\u2212_\u00b7\u2022\u2219*\u22c5", "-------....."
)
_MORSE = {
    sign: letter
    for letter, sign in re.findall(
        r"(\w)([.-]+)",
        "a.-b-...c-.-.d-..e.f..-.g--.h....i..j.---k-.-l.-..m--n-.o---p.--.q--.-r.-.s...t-u..-v...-w.--x-..-"
        "y-.--z--..0-----1.----2..---3...--4....-5.....6-....7--...8---..9----.",
    )
}
_EXPLAINED_LETTER = re.compile(
    r"\b(\w)[\s,:]{1,3}(?:is\s)?(?:as(?:\s(?:in|for))?|for|like|in|wie|comme|de|como)\s\w+", re.IGNORECASE
)
_INITIAL = re.compile(r"(?<![^\W_])[^\W_]")


def long_names(names: Iterable[str], least: int = LEAST_LETTERS) -> list[str]:
    """Return the folded names that are long enough to be looked for in ciphers.

    >>> long_names(["Tavor", "Ada"])
    ['tavor']
    """
    folded = (compose(fold(name)) for name in names)
    return [name for name in folded if sum(map(str.isalnum, name)) >= least]


def in_leetspeak(text: str, names: Sequence[str]) -> bool:
    """Whether digits and signs stand for letters of a name, as in `T4v0r`, beside at least one letter."""
    folded = fold(text)
    return any(
        any(map(str.isalpha, found[0]))
        for name in long_names(names)
        for found in _leetspeak(name).finditer(folded)
    )


@lru_cache(maxsize=10_000)
def _leetspeak(name: str) -> re.Pattern[str]:
    letters = "".join(
        r"[\W_]{1,3}" if letter.isspace() else f"[{re.escape(letter + _SIGNS.get(letter, ''))}]"
        for letter in " ".join(name.split())
    )
    return re.compile(rf"(?<![^\W_]){letters}(?![^\W_])")


def in_shifted_letters(text: str, names: Sequence[str]) -> bool:
    """Whether a name of five letters or more is written in a Caesar cipher other than rot13, or in atbash."""
    long, folded = long_names(names, _LEAST_SHIFTED_LETTERS), fold(text)
    return bool(long) and any(mentions(folded.translate(shift), long) for shift in _SHIFTS)


def in_codes(text: str, names: Sequence[str]) -> bool:
    """Whether a name is written in codes of its letters: hexadecimal, binary, octal, decimal, or 1 for A."""
    long = long_names(names)
    return bool(long) and any(mentions(decoded, long) for decoded in _decoded(text))


def _decoded(text: str) -> Iterator[str]:
    for runs, code, base in ((_HEXADECIMAL, _PAIR, 16), (_BINARY, _EIGHT, 2)):
        for run in runs.findall(text):
            digits = re.sub("0x", " ", run, flags=re.IGNORECASE)
            yield bytes(int(one, base) for one in code.findall(digits)).decode(errors="replace")
    for run in _NUMBERS.findall(text):
        numbers = _DIGITS.findall(run)
        yield "".join(map(chr, map(int, numbers)))
        if all(1 <= int(one) <= len(_ALPHABET) for one in numbers):
            yield "".join(_ALPHABET[int(one) - 1] for one in numbers)
        if not any("8" in one or "9" in one for one in numbers):
            yield "".join(chr(int(one, 8)) for one in numbers)


def in_morse(text: str, names: Sequence[str]) -> bool:
    """Whether a name is written in Morse code, with white space, `/` or `|` between its letters."""
    long = long_names(names)
    return bool(long) and any(
        mentions("".join(_MORSE.get(sign, " ") for sign in _MORSE_SIGN.findall(run)), long)
        for run in _MORSE_RUN.findall(text.translate(_DASHES_AND_DOTS))
    )


def in_first_letters(text: str, names: Sequence[str]) -> bool:
    """Whether successive words begin with the letters of a name, or explain them: `T as in Tango`."""
    initials = "".join(_INITIAL.findall(_EXPLAINED_LETTER.sub(r"\1", fold(text))))
    return any("".join(filter(str.isalnum, name)) in initials for name in long_names(names))
