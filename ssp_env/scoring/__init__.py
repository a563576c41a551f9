"""How answers are scored: comparison with the accepted answers, a judge's verdict, confidence intervals."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import NormalDist

import regex

from ssp_env.scoring.words import compose, fold, join_unspaced, split_words

_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)
# Signs for minus and for accents without a letter are written where ASCII has a hyphen or an apostrophe.
_OTHER_PUNCTUATION = regex.compile(r"[[\p{P}\p{Sk}\u2212]--\p{ASCII}]+", regex.VERSION1)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_YES_NO = frozenset({"yes", "no", "noanswer"})


def normalize_answer(text: str) -> str:
    """Lower the case, delete ASCII punctuation, drop articles and collapse white space.

    The normalisation of SQuAD (Rajpurkar et al. 2016), which Search-R1 and SSP also score with. What texts in
    other scripts and code points need, `answer_forms` adds.

    >>> normalize_answer("The U.S.A. ")
    'usa'
    >>> normalize_answer("1,000") == normalize_answer("1000")
    True
    """
    return drop_articles(text.lower().translate(_DELETE_PUNCTUATION))


def answer_forms(text: str) -> tuple[str, str, str]:
    """Return a text normalised as in SQuAD, then with its articles kept, then with its punctuation kept too.

    All three are folded (`words.fold`), as is a text in which an answer is looked for, and the punctuation
    of every script is deleted. A form is empty if the text is nothing but what was dropped.

    >>> answer_forms("The Café “A”"), answer_forms("A"), answer_forms("...")
    (('cafe', 'the cafe a', 'the cafe “a”'), ('', 'a', 'a'), ('', '', '...'))
    """
    short, with_articles, whole = _forms(text)
    return short, with_articles, whole


def _forms(text: str) -> Iterator[str]:
    # One by one, because the first is nearly always enough.
    whole = compose(fold(text))
    words = whole.translate(_DELETE_PUNCTUATION)
    if not words.isascii():
        words = join_unspaced(_OTHER_PUNCTUATION.sub("", words))
    yield drop_articles(words)
    yield " ".join(words.split())
    yield " ".join(whole.split())


def answer_key(text: str) -> str:
    """Return the first form of a text that is not empty: two answers are the same if their keys are equal.

    >>> [answer_key(text) for text in ("The Eiffel Tower", "The", "...")]
    ['eiffel tower', 'the', '...']
    """
    return next(filter(None, _forms(text)), "")


def exact_match(prediction: str, golds: str | Iterable[str]) -> bool:
    """Return whether the normalised prediction equals a normalised accepted answer.

    Answers of which normalisation leaves nothing, such as `A` or `...`, are compared in the next of the
    `answer_forms`.

    Args:
        prediction: The answer given.
        golds: One accepted answer or several; it is enough to match one of them.

    >>> exact_match("the Eiffel Tower", ["Eiffel tower.", "La Tour Eiffel"]), exact_match("the", "A")
    (True, False)
    """
    key = answer_key(prediction)
    return any(key == answer_key(gold) for gold in _each(golds))


def f1_score(prediction: str, golds: str | Iterable[str]) -> float:
    """Return the best harmonic mean of word precision and recall over the accepted answers, from 0 to 1.

    Words are counted with repetition after normalisation, as in SQuAD; those of scripts without spaces are
    characters, as in MLQA. `yes`, `no` and `noanswer` share no words with anything else, as in HotpotQA.

    >>> f1_score("tower of Paris", ["the Paris tower"]), f1_score("yes, it is", "yes")
    (0.8, 0.0)
    """
    return max((_word_f1(*_comparable(prediction, gold)) for gold in _each(golds)), default=0.0)


def cover_exact_match(prediction: str, golds: str | Iterable[str]) -> bool:
    """Return whether the prediction contains an accepted answer as consecutive whole words, both normalised.

    Only whole words count: `1920` does not contain `2`. In scripts without spaces, and in Korean, any place
    will do. `substring_exact_match` is the looser test of Search-R1.

    >>> cover_exact_match("It stands in Paris, France.", "Paris"), cover_exact_match("答案是北京。", "北京")
    (True, True)
    """
    return any(mentions_words(*_comparable(prediction, gold)) for gold in _each(golds))


def substring_exact_match(prediction: str, golds: str | Iterable[str]) -> bool:
    """Return whether the prediction contains an accepted answer anywhere, both normalised.

    Search-R1's `subem_check` and FlashRAG's `sub_em`: `1920` contains `2`. Unlike there, an answer of which
    normalisation leaves nothing is looked for in the next of the `answer_forms`, instead of being contained
    in everything.

    >>> substring_exact_match("in 1920", "2"), substring_exact_match("anything", "...")
    (True, False)
    """
    pairs = (_comparable(prediction, gold) for gold in _each(golds))
    return any(bool(gold) and gold in said for said, gold in pairs)


def mentions_words(text: str, wanted: str) -> bool:
    """Return whether `wanted` stands in a text as consecutive words of `split_words`, both normalised before.

    >>> mentions_words("in new york", "new york"), mentions_words("in new york", "new")
    (True, True)
    """
    padded, words = f" {' '.join(split_words(text))} ", " ".join(split_words(wanted))
    return bool(words) and f" {words} " in padded


def drop_articles(text: str) -> str:
    """Drop English articles in lower case, and all white space but single spaces.

    >>> drop_articles("the mayor  of a town")
    'mayor of town'
    """
    return " ".join(_ARTICLE.sub(" ", text).split())


def _each(golds: str | Iterable[str]) -> Iterable[str]:
    return (golds,) if isinstance(golds, str) else golds


def _comparable(prediction: str, gold: str) -> tuple[str, str]:
    """Return both texts in the first form in which the gold is not empty."""
    pairs = zip(_forms(prediction), _forms(gold), strict=True)
    return next((pair for pair in pairs if pair[1]), (answer_key(prediction), ""))


def _word_f1(prediction: str, gold: str) -> float:
    if prediction != gold and not _YES_NO.isdisjoint((prediction, gold)):
        return 0.0
    said, wanted = split_words(prediction), split_words(gold)
    if not said or not wanted:
        return float(said == wanted)
    shared = (Counter(said) & Counter(wanted)).total()
    return 2 * shared / (len(said) + len(wanted))


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
