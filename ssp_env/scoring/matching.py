"""Scores of a predicted answer against the gold answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ssp_env.scoring.normalize import normalize_answer


def exact_match(prediction: str, golds: str | Iterable[str]) -> bool:
    """Return whether the normalised prediction equals a normalised gold.

    Args:
        prediction: The answer given.
        golds: One gold answer or several, any of which will do.

    >>> exact_match("the Eiffel Tower", ["Eiffel tower.", "La Tour Eiffel"])
    True
    """
    normalized = normalize_answer(prediction)
    return any(normalized == normalize_answer(gold) for gold in _each(golds))


def f1_score(prediction: str, golds: str | Iterable[str]) -> float:
    """Return the best harmonic mean of word precision and recall over the golds, from 0 to 1.

    Words are counted with repetition after normalisation, as in SQuAD; two empty texts agree.

    >>> f1_score("tower of Paris", ["the Paris tower"])
    0.8
    """
    words = normalize_answer(prediction).split()
    return max((_word_f1(words, normalize_answer(gold).split()) for gold in _each(golds)), default=0.0)


def cover_exact_match(prediction: str, golds: str | Iterable[str]) -> bool:
    """Return whether the prediction contains a gold as consecutive whole words, both normalised.

    Whole words, so that a gold of `2` is not covered by `1920`; a gold without words covers nothing.

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
