"""Two evaluations of the same questions: difference with a paired bootstrap, and McNemar's test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from baselines.evaluation.answers import Answer
from baselines.evaluation.bootstrap import resampled_means
from baselines.evaluation.judging import Verdicts, verdict_on
from baselines.evaluation.metrics import score

COMPARED = ("exact_match", "f1", "cover_match")


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's exact test of single attempts at the same questions.

    Attributes:
        only_first: Questions that only the first answered right.
        only_second: Questions that only the second answered right.
        p_value: Two-sided p-value.
    """

    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The first mean minus the second, over the questions that both answered.

    Attributes:
        first: Mean of the first.
        second: Mean of the second.
        difference: Their difference.
        low: Lower end of its 95 % interval, by a paired bootstrap.
        high: The upper end.
        p_value: Two-sided p-value of the bootstrap.
        questions: Questions that both answered.
        mcnemar: Only for scores of 0 and 1 with one attempt at each question.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    questions: int
    mcnemar: McNemar | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """Return McNemar's exact test: were the questions that only one answered right as likely either's?

    >>> mcnemar(1, 5).p_value, mcnemar(0, 0).p_value
    (0.21875, 1.0)
    """
    pairs = only_first + only_second
    p_value = float(binomtest(only_first, pairs).pvalue) if pairs else 1.0
    return McNemar(only_first, only_second, p_value)


def compare(
    first: Sequence[Answer],
    second: Sequence[Answer],
    *,
    judge: str = "",
    verdicts: Sequence[Verdicts] = ({}, {}),
    seed: int = 0,
) -> dict[str, dict[str, Difference]]:
    """Compare two evaluations; return the differences by set, and within it by scorer.

    Questions are paired by set, id and text. Several attempts at a question are averaged first. Where a set
    has questions of several worlds, whole worlds are drawn.

    Args:
        first: Answers of the first.
        second: Answers of the second.
        judge: Name of the judge whose verdicts are compared too; empty for none.
        verdicts: The verdicts on either.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: If they have no question in common.
    """
    scorers = [*COMPARED, *(["judge"] if judge else [])]
    differences: dict[str, dict[str, Difference]] = {}
    for name in dict.fromkeys(answer.set for answer in first):
        found = {
            scorer: difference
            for scorer in scorers
            if (difference := _difference(_of(first, name), _of(second, name), scorer, verdicts, seed))
        }
        if found:
            differences[name] = found
    if not differences:
        sets = [", ".join(dict.fromkeys(answer.set for answer in answers)) for answers in (first, second)]
        raise ValueError(
            "the two evaluations have no question in common that both have answered: "
            f"the first is of {sets[0] or 'nothing'}, the second of {sets[1] or 'nothing'}"
        )
    return differences


def _of(answers: Sequence[Answer], name: str) -> list[Answer]:
    return [answer for answer in answers if answer.set == name and answer.failure is None]


def _difference(
    first: Sequence[Answer], second: Sequence[Answer], scorer: str, verdicts: Sequence[Verdicts], seed: int
) -> Difference | None:
    ones, others = _values(first, scorer, verdicts[0]), _values(second, scorer, verdicts[1])
    common = [key for key in ones if key in others]
    if not common:
        return None
    means = np.array([[np.mean(values[key]) for key in common] for values in (ones, others)])
    worlds = {(answer.question_id, answer.question): answer.world for answer in first}
    several = len({worlds[key] for key in common}) > 1
    clusters = [worlds[key] if several else key for key in common]
    gaps = means[0] - means[1]
    draws = resampled_means(gaps.tolist(), clusters, seed=seed)
    low, high = np.percentile(draws, [2.5, 97.5])
    return Difference(
        first=float(means[0].mean()),
        second=float(means[1].mean()),
        difference=float(gaps.mean()),
        low=float(low),
        high=float(high),
        p_value=_p_value(draws),
        questions=len(common),
        mcnemar=_mcnemar([ones[key] for key in common], [others[key] for key in common], scorer),
    )


def _p_value(draws: np.ndarray) -> float:
    """Return twice the smaller tail beyond 0; a draw of 0 counts in both, and so does the observed one."""
    tails = [(np.sum(beyond) + 1) / (len(draws) + 1) for beyond in (draws <= 0, draws >= 0)]
    return float(min(1.0, 2 * min(tails)))


def _values(
    answers: Sequence[Answer], scorer: str, verdicts: Verdicts
) -> Mapping[tuple[str, str], list[float]]:
    values: dict[tuple[str, str], list[float]] = {}
    for answer in answers:
        value = (
            verdict_on(answer, verdicts) if scorer == "judge" else score(answer.answer, answer.golds)[scorer]
        )
        if value is not None:
            values.setdefault((answer.question_id, answer.question), []).append(value)
    return values


def _mcnemar(
    ones: Sequence[Sequence[float]], others: Sequence[Sequence[float]], scorer: str
) -> McNemar | None:
    if scorer == "f1" or any(len(values) > 1 for values in (*ones, *others)):
        return None
    pairs = [(one[0], other[0]) for one, other in zip(ones, others, strict=True)]
    return mcnemar(sum(one > other for one, other in pairs), sum(one < other for one, other in pairs))
