"""Words of a text in every script, and the spellings in which one text may be written."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

import regex

# Scripts written without spaces between words: `Line_Break=SA` are Thai, Lao, Khmer, Burmese and their kin.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Line_Break=SA}\u30fc"
_SPACE_BETWEEN_UNSPACED = regex.compile(rf"(?<=[{_UNSPACED}])\s+(?=[{_UNSPACED}])")
_UNSPACED_WORD = regex.compile(rf"(?=[{_UNSPACED}])\X")
# Korean has spaces, but particles are written on to the words they follow.
_CHARACTER = regex.compile(rf"(?=[{_UNSPACED}\p{{Hangul}}])\X")
_RUN = regex.compile(rf"(?:(?=[{_UNSPACED}\p{{Hangul}}])\X)+")
_ONE_CHARACTER_WORD = regex.compile(r"[\p{Han}\p{Hangul}]")
_HANGUL = regex.compile(r"\p{Hangul}")
_MARK_OR_JAMO = regex.compile(r"[\p{M}\u1100-\u11ff]")
_DROPPED_MARK = regex.compile(r"[\p{M}--\p{Alphabetic}]+", regex.VERSION1)
_LETTER_OR_DIGIT = regex.compile(r"[\p{L}\p{N}]")

_NON_ASCII = re.compile(r"[^\x00-\x7f]+")
_INVISIBLE_LETTERS = "\u115f\u1160\u17b4\u17b5\u3164\uffa0"
_BLANK_BRAILLE = "\u2800"
_VOICED_KANA_MARKS = "\u3099\u309a"
_SHARED_MARK = regex.compile(r"[\p{M}&&[\p{Script=Inherited}\u0300-\u036f]]", regex.VERSION1)
_LATIN_LETTER = re.compile(
    r"(?:LATIN (?:SMALL (?:LETTER|LIGATURE)|LETTER SMALL(?: CAPITAL)?) (?:DOTLESS )?"
    r"|REGIONAL INDICATOR SYMBOL LETTER |NEGATIVE (?:SQUARED|CIRCLED) LATIN CAPITAL LETTER )"
    r"([A-Z]{1,2})(?: WITH .+)?"
)
# Normalising sorts a run of marks in quadratic time; 30 are the most in a Stream-Safe Text (UAX #15).
_MARKS_BEYOND_30 = regex.compile(r"(\p{M}{30})\p{M}+")


def fold(text: str) -> str:
    r"""Replace spellings that look alike or mean the same; every comparison of texts begins with this.

    Compatibility forms, case, accents, stroked letters, small capitals and invisible characters are replaced,
    optional vowel marks of Arabic and Hebrew left out. Letters of other scripts that look like Latin ones are
    kept. The time is linear in `len(text)`: characters are folded one by one, because normalising a whole
    text sorts its combining marks in quadratic time.

    >>> fold("\uff34\uff41\u200bv\u00f6r"), fold("Łódź"), fold("İstanbul"), fold("Straße")
    ('tavor', 'lodz', 'istanbul', 'strasse')
    """
    return text.lower() if text.isascii() and text.isprintable() else text.translate(_FOLDED)


def compose(folded: str) -> str:
    """Put the marks of a folded text in one order and its Korean syllables together, in linear time.

    >>> compose(fold("부산")) == "부산"
    True
    """
    if folded.isascii():
        return folded
    return unicodedata.normalize("NFC", _MARKS_BEYOND_30.sub(r"\1", folded))


def join_unspaced(text: str) -> str:
    """Drop white space between characters of scripts without spaces, where it says nothing.

    >>> join_unspaced("夏目 漱石 in 東京 x")
    '夏目漱石 in 東京 x'
    """
    return text if text.isascii() else _SPACE_BETWEEN_UNSPACED.sub("", text)


def split_words(text: str) -> list[str]:
    """Split at white space; each character of a script without spaces is a word, and each Korean syllable.

    Characters are what MLQA counts for such scripts and KorQuAD for Korean. They include their marks.

    >>> split_words("in 1999年 北京は"), split_words("ที่นี่")
    (['in', '1999', '年', '北', '京', 'は'], ['ที่', 'นี่'])
    """
    return separate_characters(text, " ").split()


def separate_characters(text: str, separator: str) -> str:
    """Put a separator around each character of a script without spaces and each Korean syllable.

    >>> separate_characters("in 北京", "|")
    'in |北||京|'
    """
    return text if text.isascii() else _CHARACTER.sub(lambda found: separator + found[0] + separator, text)


def count_words(text: str) -> int:
    """Count words between white space; each character of a script without spaces counts as one.

    What has neither a letter nor a digit is no word.

    >>> count_words("Who was born - in 1999 ?"), count_words("1999年在北京出生的是谁？")
    (5, 10)
    """
    words = (text if text.isascii() else _UNSPACED_WORD.sub(r" \g<0> ", text)).split()
    return sum(word.isalnum() or _LETTER_OR_DIGIT.search(word) is not None for word in words)


def pair_characters(text: str, *, singles: bool = False) -> str:
    """Replace each run of unspaced text by its overlapping pairs of characters, between spaces.

    Pairs find words of unspaced scripts without a dictionary, and Korean words with and without particles.

    Args:
        text: A folded text.
        singles: Add the single Han characters and Korean syllables, which are words now and then.

    >>> pair_characters("Is 北京市 是x"), pair_characters("猫は", singles=True)
    ('Is  北京 京市   是 x', ' 猫は 猫 ')
    """
    return text if text.isascii() else _RUN.sub(lambda run: _pairs(run[0], singles=singles), text)


def searchable(text: str, *, singles: bool) -> str:
    """Fold and pair all but ASCII characters, whose case is kept; fast where the others are few.

    Triples of characters go with the pairs, except in Korean: they rank the passage with a phrase before
    passages with its pairs in other places. Marks that end a word for tantivy, such as the virama of Hindi or
    the tones of Thai, are dropped.

    >>> searchable("The CAFÉ 北京市", singles=False)
    'The CAFe  北京 京市 北京市 '
    """
    return _NON_ASCII.sub(lambda part: _searchable_part(part[0], singles), text)


def _searchable_part(part: str, singles: bool) -> str:
    return _kept_part(part, singles) if len(part) < _LONG_PART else _new_part(part, singles)


def _new_part(part: str, singles: bool) -> str:
    folded = fold(part)
    if folded.isascii():
        return folded
    paired: str = _RUN.sub(lambda run: _pairs(run[0], singles=singles, triples=True), folded)
    return str(_DROPPED_MARK.sub("", paired))


_LONG_PART = 4
_kept_part = lru_cache(maxsize=20_000)(_new_part)


def _pairs(run: str, *, singles: bool, triples: bool = False) -> str:
    # Folding has taken syllables and voiced kana apart.
    composed = compose(run)
    characters = regex.findall(r"\X", composed) if _MARK_OR_JAMO.search(composed) else list(composed)
    if len(characters) == 1:
        return f" {composed} "
    words = [first + second for first, second in pairwise(characters)]
    if triples and not _HANGUL.search(composed):
        words += map("".join, zip(characters, characters[1:], characters[2:], strict=False))
    if singles:
        words += _ONE_CHARACTER_WORD.findall(composed)
    return f" {' '.join(words)} "


def is_invisible(letter: str) -> bool:
    """Whether a character, other than white space, leaves no trace on a page.

    >>> [is_invisible(letter) for letter in ("\u200b", "a", " ")]
    [True, False, False]
    """
    unprintable = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn")
    return (
        (unprintable and not letter.isspace())
        or letter in _INVISIBLE_LETTERS
        or "VARIATION SELECTOR" in unicodedata.name(letter, "")
    )


def _is_optional(letter: str) -> bool:
    """Whether this is an accent, a vowel mark of Arabic or Hebrew, or the stroke that stretches a word."""
    if letter == "\u0640":
        return True
    if _SHARED_MARK.match(letter):
        return letter not in _VOICED_KANA_MARKS
    vowel = unicodedata.name(letter, "").startswith(("ARABIC", "HEBREW"))
    return vowel and unicodedata.category(letter) == "Mn"


class _Folding(dict[int, str]):
    """Code points and their folded text, computed when a code point first occurs."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _folded_character(chr(code))
        return folded


def _folded_character(character: str) -> str:
    if character == _BLANK_BRAILLE:
        return " "
    letters = unicodedata.normalize("NFKD", character.casefold())
    if letters.startswith(" ") and not character.isspace():
        # A sign such as the acute accent without a letter, which decomposes into a space with a mark.
        return "'"
    return "".join(map(_plain_letter, letters.casefold())).casefold()


def _plain_letter(letter: str) -> str:
    if is_invisible(letter) or _is_optional(letter):
        return ""
    latin = None if letter.isascii() else _LATIN_LETTER.fullmatch(unicodedata.name(letter, ""))
    return latin[1] if latin else letter


_FOLDED = _Folding()
