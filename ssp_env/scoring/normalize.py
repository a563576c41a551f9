"""The one normalisation of answers before they are compared, and a wider one for texts that try to hide."""

from __future__ import annotations

import re
import string
import unicodedata

_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_LATIN_MARKS = range(0x0300, 0x0370)
_INVISIBLE_LETTERS = "\u115f\u1160\u17b4\u17b5\u3164\uffa0"


def normalize_answer(text: str) -> str:
    """Lower the case, delete ASCII punctuation, drop articles and collapse white space.

    The normalisation of SQuAD (Rajpurkar et al. 2016), which Search-R1 and SSP also score with.

    >>> normalize_answer("The U.S.A. ")
    'usa'
    >>> normalize_answer("1,000") == normalize_answer("1000")
    True
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_DELETE_PUNCTUATION)).split())


def fold_disguises(text: str) -> str:
    r"""Undo spellings that look alike: compatibility forms, accents, case and invisible characters.

    For finding one text inside another, never for scoring: `café` and `cafe` are different answers. Letters
    of other scripts that look Latin stay what they are. Linear in `len(text)`: characters are folded one by
    one, because normalising a text sorts its combining marks, which takes quadratic time.

    >>> fold_disguises("\uff34\uff41\u200bv\u00f6r")
    'tavor'
    """
    return text.translate(_FOLDED)


class _Folding(dict[int, str]):
    """Folded code points, each worked out when it first occurs."""

    def __missing__(self, code: int) -> str:
        letters = unicodedata.normalize("NFKD", chr(code).casefold())
        self[code] = folded = "".join(letter for letter in letters if not _is_hidden(letter)).casefold()
        return folded


_FOLDED = _Folding()


def _is_hidden(letter: str) -> bool:
    unprintable = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn")
    return (
        (unprintable and not letter.isspace())
        or ord(letter) in _LATIN_MARKS
        or letter in _INVISIBLE_LETTERS
        or "VARIATION SELECTOR" in unicodedata.name(letter, "")
    )
