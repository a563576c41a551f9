"""The one normalisation of answers before they are compared."""

from __future__ import annotations

import re
import string

_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower the case, delete ASCII punctuation, drop articles and collapse white space.

    The normalisation of SQuAD (Rajpurkar et al. 2016), which Search-R1 and SSP also score with.

    >>> normalize_answer("The U.S.A. ")
    'usa'
    >>> normalize_answer("1,000") == normalize_answer("1000")
    True
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_DELETE_PUNCTUATION)).split())
