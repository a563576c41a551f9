"""What an answer scores, by every scorer; pass@k and pass^k; recall of supporting passages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from math import comb

from ssp_env.scoring import (
    cover_exact_match,
    exact_match,
    f1_score,
    normalize_answer,
    substring_exact_match,
)

Scorer = Callable[[str, Sequence[str]], float]


def squad_exact_match(prediction: str, golds: Sequence[str]) -> bool:
    """Return whether normalised texts are equal, as SQuAD, Search-R1 and SSP normalise, and nothing else.

    `ssp_env.scoring.exact_match` is the same but for other code points of one text and for answers of which
    normalisation leaves nothing.

    >>> squad_exact_match("the U.S.A.", ["USA"]), squad_exact_match("cafe", ["café"])
    (True, False)
    """
    said = normalize_answer(prediction)
    return any(said == normalize_answer(gold) for gold in golds)


def squad_f1(prediction: str, golds: Sequence[str]) -> float:
    """Return the best F1 over words between white space, after SQuAD's normalisation.

    >>> squad_f1("tower of Paris", ["the Paris tower"])
    0.8
    """
    return max((_squad_f1(prediction, gold) for gold in golds), default=0.0)


def _squad_f1(prediction: str, gold: str) -> float:
    said, wanted = normalize_answer(prediction).split(), normalize_answer(gold).split()
    if not said or not wanted:
        return float(said == wanted)
    shared = (Counter(said) & Counter(wanted)).total()
    return 2 * shared / (len(said) + len(wanted))


def within_gold(prediction: str, golds: Sequence[str]) -> bool:
    """Return whether an accepted answer contains the prediction as consecutive whole words.

    >>> within_gold("Paris", ["the city of Paris"]), within_gold("", ["Paris"])
    (True, False)
    """
    return any(cover_exact_match(gold, prediction) for gold in golds)


def substring_within_gold(prediction: str, golds: Sequence[str]) -> bool:
    """Return whether an accepted answer contains the prediction anywhere.

    >>> substring_within_gold("20", ["1920"]), within_gold("20", ["1920"])
    (True, False)
    """
    return any(substring_exact_match(gold, prediction) for gold in golds)


SCORERS: Mapping[str, Scorer] = {
    "exact_match": exact_match,
    "f1": f1_score,
    "cover_match": cover_exact_match,
    "substring_match": substring_exact_match,
    "within_gold": within_gold,
    "substring_within_gold": substring_within_gold,
    "squad_exact_match": squad_exact_match,
    "squad_f1": squad_f1,
}
"""Scorers that need no model. `cover_match` and `substring_match` look for a right answer in the prediction,
with word boundaries and without; `within_gold` and `substring_within_gold` look the other way round."""


def score(prediction: str, golds: Sequence[str]) -> dict[str, float]:
    """Return what a prediction scores by every scorer, from 0 to 1; an empty one scores 0 by all.

    >>> found = score("in 1920", ["1920"])
    >>> found["exact_match"], found["cover_match"], found["within_gold"]
    (0.0, 1.0, 0.0)
    """
    if not prediction.strip():
        return dict.fromkeys(SCORERS, 0.0)
    return {name: float(scorer(prediction, golds)) for name, scorer in SCORERS.items()}


def pass_at_k(right: int, attempts: int, k: int) -> float:
    """Return the unbiased estimate that at least one of k attempts is right (Chen et al. 2021, equation 1).

    Args:
        right: Right attempts.
        attempts: All attempts, at least k.
        k: Number of attempts drawn without replacement.

    Raises:
        ValueError: If `k` or `right` is out of range.

    >>> pass_at_k(1, 4, 1), pass_at_k(1, 4, 2), pass_at_k(0, 4, 4)
    (0.25, 0.5, 0.0)
    """
    _check(right, attempts, k)
    return 1.0 - comb(attempts - right, k) / comb(attempts, k)


def pass_hat_k(right: int, attempts: int, k: int) -> float:
    """Return the unbiased estimate that all of k attempts are right, pass^k (Yao et al. 2024, tau-bench).

    The arguments are those of `pass_at_k`.

    >>> pass_hat_k(3, 4, 1), pass_hat_k(3, 4, 2), pass_hat_k(4, 4, 4)
    (0.75, 0.5, 1.0)
    """
    _check(right, attempts, k)
    return comb(right, k) / comb(attempts, k)


def _check(right: int, attempts: int, k: int) -> None:
    if not 1 <= k <= attempts:
        raise ValueError(f"k must be from 1 to the number of attempts, {attempts}, got {k}")
    if not 0 <= right <= attempts:
        raise ValueError(f"right attempts must be from 0 to {attempts}, got {right}")


def support_recall(found: Collection[str], supporting: Collection[str]) -> float | None:
    """Return the share of supporting passages that were found; None if the question names none.

    >>> support_recall({"a", "x"}, {"a", "b"}), support_recall({"a"}, ())
    (0.5, None)
    """
    wanted = set(supporting)
    return len(wanted & set(found)) / len(wanted) if wanted else None
