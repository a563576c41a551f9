"""How answers are scored: comparison with the accepted answers, a judge's verdict, confidence intervals."""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable
from statistics import NormalDist

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
    r"""Replace spellings that look alike: compatibility forms, accents, case and invisible characters.

    This is for finding one text inside another, never for scoring: `café` and `cafe` are different answers.
    Letters of other scripts that look like Latin ones are kept. The time is linear in `len(text)`: characters
    are folded one by one, because normalising a whole text sorts its combining marks in quadratic time.

    >>> fold_disguises("\uff34\uff41\u200bv\u00f6r")
    'tavor'
    """
    return text.translate(_FOLDED)


class _Folding(dict[int, str]):
    """Code points and their folded text, computed when a code point first occurs."""

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


def exact_match(prediction: str, golds: str | Iterable[str]) -> bool:
    """Return whether the normalised prediction equals a normalised accepted answer.

    Args:
        prediction: The answer given.
        golds: One accepted answer or several; it is enough to match one of them.

    >>> exact_match("the Eiffel Tower", ["Eiffel tower.", "La Tour Eiffel"])
    True
    """
    normalized = normalize_answer(prediction)
    return any(normalized == normalize_answer(gold) for gold in _each(golds))


def f1_score(prediction: str, golds: str | Iterable[str]) -> float:
    """Return the best harmonic mean of word precision and recall over the accepted answers, from 0 to 1.

    Words are counted with repetition after normalisation, as in SQuAD; two texts without words score 1.

    >>> f1_score("tower of Paris", ["the Paris tower"])
    0.8
    """
    words = normalize_answer(prediction).split()
    return max((_word_f1(words, normalize_answer(gold).split()) for gold in _each(golds)), default=0.0)


def cover_exact_match(prediction: str, golds: str | Iterable[str]) -> bool:
    """Return whether the prediction contains an accepted answer as consecutive whole words, both normalised.

    Only whole words count: `1920` does not contain `2`. An accepted answer without words is never contained.

    >>> cover_exact_match("It stands in Paris, France.", "Paris")
    True
    """
    padded = f" {normalize_answer(prediction)} "
    return any(f" {gold} " in padded for gold in map(normalize_answer, _each(golds)) if gold)


def _each(golds: str | Iterable[str]) -> Iterable[str]:
    return (golds,) if isinstance(golds, str) else golds


def _word_f1(predicted: list[str], gold: list[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    shared = (Counter(predicted) & Counter(gold)).total()
    return 2 * shared / (len(predicted) + len(gold))


_MARKUP = r"""-\s"'`*_#>.,;()\[\]{}\\$“”„‘’«»–—"""
# A cross, a negation sign or struck-out text says the opposite of the word, so no other sign may stand there.
_VERDICT = re.compile(
    rf"""[{_MARKUP}:]*
        (?: (?:final[ ])? (?:verdict|judge?ment|answer|result) [{_MARKUP}]* : [{_MARKUP}:]* )?
        (?: (?: [✅✔☑]\ufe0f?\s* )? (?P<right>correct) | (?P<wrong>wrong|incorrect|not[ ]correct) )
        [{_MARKUP}:!]*""",
    re.IGNORECASE | re.VERBOSE,
)


def parse_verdict(text: str) -> bool | None:
    """Return True for `Correct`, False for `Wrong`, `Incorrect` or `Not correct`, None for any other reply.

    The verdict must be the whole reply: case, punctuation, surrounding markup and a label such as
    `Verdict:` are ignored; any other word or sign makes the reply no verdict. None means unknown, not wrong.

    >>> [parse_verdict(reply) for reply in ("**Correct.**", "Verdict: wrong", "It is correct", "")]
    [True, False, None, None]
    """
    match = _VERDICT.fullmatch(text)
    return None if match is None else match["right"] is not None


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion.

    The interval stays within [0, 1] and keeps close to its nominal coverage for few trials and for
    proportions near 0 and 1, where the normal approximation fails (Wilson 1927; Brown, Cai & DasGupta 2001,
    "Interval Estimation for a Binomial Proportion", equation 4).

    Args:
        successes: Number of successes, from 0 to `trials`.
        trials: Number of independent trials; for 0 trials the interval is [0, 1].
        confidence: Nominal coverage, strictly between 0 and 1.

    Raises:
        ValueError: If the counts or the confidence are out of range.

    >>> [round(bound, 4) for bound in wilson_interval(8, 10)]
    [0.4902, 0.9433]
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must be from 0 to trials, got {successes} of {trials}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be strictly between 0 and 1, got {confidence}")
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    proportion = successes / trials
    shrink = 1 + z * z / trials
    center = (proportion + z * z / (2 * trials)) / shrink
    half_width = z / shrink * math.sqrt(proportion * (1 - proportion) / trials + z * z / (4 * trials**2))
    # Rounding must not move the lower bound of 0 successes off 0, nor the upper bound of n of n off 1.
    low = 0.0 if successes == 0 else center - half_width
    high = 1.0 if successes == trials else center + half_width
    return low, high
