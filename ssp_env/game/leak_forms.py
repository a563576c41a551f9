"""Whether a text names an answer in another form: inflected, shortened, in other numerals or encoded."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from types import MappingProxyType
from typing import Literal, get_args

import regex
from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

from ssp_env.game.leak_ciphers import (
    in_codes,
    in_first_letters,
    in_leetspeak,
    in_morse,
    in_shifted_letters,
    long_names,
)
from ssp_env.game.leaks import mentions, mentions_split
from ssp_env.scoring.words import fold, is_invisible

LeakForm = Literal[
    "inflection", "derivation", "surname", "numbers", "split", "first_letters",
    "leetspeak", "reversed", "rot13", "shifted", "base64", "codes", "morse",
]  # fmt: skip
LEAK_FORMS: tuple[LeakForm, ...] = get_args(LeakForm)
"""Forms in which `names_in_form` finds an answer."""

_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")
_STEMMED_SCRIPTS = tuple(
    (language, regex.compile(rf"\p{{{script}}}"))
    for script, language in (
        ("Cyrillic", "russian"), ("Greek", "greek"), ("Arabic", "arabic"), ("Tamil", "tamil"),
        ("Latin", "english"),
    )
)  # fmt: skip
_NAME = regex.compile(
    r"\p{Lu}[\p{L}\p{M}'’.-]*(?: (?:\p{Ll}{1,3} )?(?:\p{L}'|al-)?\p{Lu}[\p{L}\p{M}'’.-]*){1,4}"
)
_NAME_ENDING = re.compile(r",? (?:Jr|Sr|Jnr|Snr|[IVX]+|PhD|MD|Esq)\.?$")
_LONGEST_STEMMED = 60
_DERIVED_FROM = re.compile(r"[a-z]{4,}")
_FINAL_VOWELS = re.compile(r"[aeiouy]+$")
_DERIVED = r"(?:i?an|ean|[ei]?n|ese|ish|ist|ism|ite|ic|i|esque|er)s?"
_ROMAN = re.compile(
    r"\b(?=[IVXLCDM]{2,}\b)(M{0,3})(C[MD]|D?C{0,3})(X[CL]|L?X{0,3})(I[XV]|V?I{0,3})(?<=[IVXLCDM])\b"
)
_ROMAN_DIGITS = MappingProxyType(dict(zip("IVXLCDM", (1, 5, 10, 50, 100, 500, 1000), strict=True)))
_YEAR_IN_HALVES = re.compile(r"\b(1\d|20) (?:(?:oh|o) (?=\d\b)|(?=\d\d\b))")
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b")
_WORD_AND_GAP = re.compile(r"[^\W_]+[\W_]*")
_WINDOW = 64
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{3,}")
_ENCODED_PART = re.compile(r"[A-Za-z0-9]{3,}")
_URL_SAFE = str.maketrans("-_", "+/")


def names_in_form(text: str, golds: Sequence[str], forms: Sequence[LeakForm]) -> bool:
    """Whether a text names a right answer in one of some forms; `mentions` looks for the answer as it is.

    Each form is looked for by itself, but `surname` adds to the names whose other forms are looked for.

    Args:
        text: A question or a query.
        golds: The answer and its aliases.
        forms: What to look for. `inflection`: words with the same stem, in Russian, Greek, Arabic, Tamil and,
            for all that is written in Latin letters, English. `derivation`: English adjectives and names of
            inhabitants. `surname`: the last word of a name of several capitalised words. `numbers`: English
            number words, Roman numerals of two digits or more and decimal digits of all scripts, for one
            another. `split`: white space within words. `first_letters` of words that follow one another.
            `leetspeak`: digits and signs for letters. `reversed`, `rot13`, `shifted` (any other Caesar cipher
            and atbash), `base64`, `codes` (hexadecimal, binary, octal, decimal, 1 for A) and `morse`. Ciphers
            are looked for of answers of four letters and digits or more, `split` and `shifted` of five.

    >>> names_in_form("Who met the Lovelaces?", ["Ada Lovelace"], ["surname", "inflection"])
    True
    >>> names_in_form("In two thousand nineteen?", ["2019"], ["numbers"])
    True
    >>> names_in_form("Is it VGF2b3I=?", ["Tavor"], ["base64"]), names_in_form("Rovat?", ["Tavor"], [])
    (True, False)
    """
    if not forms:
        return False
    text, *golds = map(_visible, (text, *golds))
    surnames = [surname for gold in golds if (surname := _surname(gold))] if "surname" in forms else []
    names = [*golds, *surnames]
    return mentions(text, surnames) or any(
        _SEARCHES[form](text, names) for form in forms if form in _SEARCHES
    )


def _visible(text: str) -> str:
    return text if text.isascii() and text.isprintable() else text.translate(_VISIBLE)


def missing_library(forms: Sequence[LeakForm]) -> str:
    """Return what has to be installed for these forms and is not, or an empty text.

    >>> missing_library(["rot13", "base64"])
    ''
    """
    missing = "numbers" in forms and find_spec("text_to_num") is None
    return "text2num is not installed: pip install 'ssp-env[leaks]'" if missing else ""


def _inflected(text: str, names: Sequence[str]) -> bool:
    return mentions(_stems(text), [_stems_of_gold(name) for name in names])


def _stems(text: str) -> str:
    return str(_WORD.sub(lambda word: _stem(word[0]), unicodedata.normalize("NFC", text).lower()))


_stems_of_gold = lru_cache(maxsize=10_000)(_stems)


@lru_cache(maxsize=10_000)
def _stem(word: str) -> str:
    for language, script in _STEMMED_SCRIPTS:
        if script.match(word) and len(word) <= _LONGEST_STEMMED:
            return "".join(_stemmer(language).analyze(word))
    return word


@cache
def _stemmer(language: str) -> TextAnalyzer:
    return TextAnalyzerBuilder(Tokenizer.raw()).filter(Filter.stemmer(language)).build()


@lru_cache(maxsize=10_000)
def _surname(gold: str) -> str:
    """The last word of a name of several words, without what may follow it; empty if this is no such name."""
    name = _NAME_ENDING.sub("", " ".join(gold.split()))
    return name.rpartition(" ")[2] if _NAME.fullmatch(name) else ""


def _derived(text: str, names: Sequence[str]) -> bool:
    folded = fold(text)
    return any(derived.search(folded) for name in names if (derived := _derivation(name)))


@lru_cache(maxsize=10_000)
def _derivation(name: str) -> re.Pattern[str] | None:
    """What finds words derived from a name, such as Mexican; None if the name is not one word."""
    word = fold(name).strip()
    if not _DERIVED_FROM.fullmatch(word):
        return None
    stem = _FINAL_VOWELS.sub("", word)
    return re.compile(rf"\b(?:{word}|{stem}){_DERIVED}\b")


def _numbered(text: str, names: Sequence[str]) -> bool:
    golds = [_gold_in_digits(name) for name in names]
    return any(mentions(_in_digits(window), golds) for window in _windows(text))


def _windows(text: str) -> Iterator[str]:
    # The time of the library is quadratic in a run of number words.
    words = _WORD_AND_GAP.findall(text)
    for start in range(0, max(len(words) - _WINDOW // 2, 1), _WINDOW // 2):
        yield "".join(words[start : start + _WINDOW])


def _in_digits(text: str) -> str:
    """Write the numbers of a text in ASCII digits."""
    from text_to_num import alpha2digit

    digits = "".join(str(unicodedata.decimal(sign, sign)) for sign in unicodedata.normalize("NFKC", text))
    spaced = _ROMAN.sub(_roman_value, digits).replace("-", " ")
    cardinals = _ORDINAL.sub("", alpha2digit(spaced, "en", 0))
    return _YEAR_IN_HALVES.sub(lambda half: half[1] + "0" * ("o" in half[0]), cardinals)


_gold_in_digits = lru_cache(maxsize=10_000)(_in_digits)


def _roman_value(numeral: re.Match[str]) -> str:
    values = [_ROMAN_DIGITS[digit] for digit in numeral[0]]
    following = [*values[1:], 0]
    return str(
        sum(value if value >= after else -value for value, after in zip(values, following, strict=True))
    )


def _reversed(text: str, names: Sequence[str]) -> bool:
    return mentions(text, ["".join(regex.findall(r"\X", name)[::-1]) for name in long_names(names)])


def _rotated(text: str, names: Sequence[str]) -> bool:
    return mentions(text, [codecs.encode(name, "rot13") for name in long_names(names)])


def _encoded(text: str, names: Sequence[str]) -> bool:
    return any(mentions(decoded, names) for decoded in _decoded(text))


def _decoded(text: str) -> Iterator[str]:
    for run in (*_ENCODED.findall(text), *_ENCODED_PART.findall(text)):
        padded = run.translate(_URL_SAFE) + "=" * (-len(run) % 4)
        try:
            decoded = base64.b64decode(padded).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue  # a word like any other
        if decoded.isprintable():
            yield decoded


class _Visible(dict[int, str]):
    """Code points and themselves, or nothing where they leave no trace on a page."""

    def __missing__(self, code: int) -> str:
        self[code] = kept = "" if is_invisible(chr(code)) else chr(code)
        return kept


_VISIBLE = _Visible()
_SEARCHES: Mapping[LeakForm, Callable[[str, Sequence[str]], bool]] = MappingProxyType(
    {
        "inflection": _inflected,
        "derivation": _derived,
        "numbers": _numbered,
        "split": mentions_split,
        "first_letters": in_first_letters,
        "leetspeak": in_leetspeak,
        "reversed": _reversed,
        "rot13": _rotated,
        "shifted": in_shifted_letters,
        "base64": _encoded,
        "codes": in_codes,
        "morse": in_morse,
    }
)
