"""Two judges instead of one: how often they agree, and what counts where they do not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

from ssp_env.game import Judge
from ssp_env.play import AsyncJudgeFunction, JudgeFunction

Verdict = bool | None
DisagreementRule = Literal["unknown", "first"]


class Agreement:
    """Pairs of verdicts that two judges gave on the same answers.

    >>> agreement = Agreement()
    >>> for pair in [(True, True), (True, True), (False, False), (True, False), (None, True)]:
    ...     agreement.add(*pair)
    >>> agreement.decided, agreement.observed, round(agreement.kappa, 2)
    (4, 0.75, 0.5)
    """

    def __init__(self) -> None:
        self.pairs: Counter[tuple[Verdict, Verdict]] = Counter()

    def add(self, first: Verdict, second: Verdict) -> None:
        """Count one answer."""
        self.pairs[first, second] += 1

    @property
    def decided(self) -> int:
        """Answers on which both judges have a verdict."""
        return sum(count for pair, count in self.pairs.items() if None not in pair)

    @property
    def observed(self) -> float | None:
        """Share of the decided answers on which the verdicts are equal; None if nothing is decided."""
        same = self.pairs[True, True] + self.pairs[False, False]
        return same / self.decided if self.decided else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa over the decided answers: agreement beyond what the judges' rates bring by chance.

        1 is full agreement, 0 that of chance (Cohen 1960, "A Coefficient of Agreement for Nominal Scales",
        equation 1). None if nothing is decided, or both judges always say the same one thing.
        """
        if self.observed is None:
            return None
        first = (self.pairs[True, True] + self.pairs[True, False]) / self.decided
        second = (self.pairs[True, True] + self.pairs[False, True]) / self.decided
        chance = first * second + (1 - first) * (1 - second)
        return None if chance == 1 else (self.observed - chance) / (1 - chance)


class AgreeingJudges:
    """Asks two judges about every answer.

    Args:
        first: A judge function.
        second: Another one, preferably of another model family.
        on_disagreement: `unknown` gives a verdict only where both judges have the same; `first` gives the
            first one's, so that the second one only measures it.

    Attributes:
        agreement: Every pair of verdicts so far.

    Raises:
        ValueError: If `on_disagreement` is unknown.

    Example:
        >>> judges = AgreeingJudges(lambda asked: True, lambda asked: len(asked.candidate) < 9)
        >>> [judges(Judge("j", "Who?", candidate, ("Tavor",))) for candidate in ("Mr Tavor", "Tavor or Sarn")]
        [True, None]
    """

    def __init__(
        self, first: JudgeFunction, second: JudgeFunction, on_disagreement: DisagreementRule = "unknown"
    ) -> None:
        self.agreement = Agreement()
        self._judges = (first, second)
        self._rule = _checked(on_disagreement)

    def __call__(self, asked: Judge) -> Verdict:
        """Return True, False or None for one answer."""
        return self.judge_batch([asked])[0]

    def judge_batch(self, asked: Sequence[Judge]) -> list[Verdict]:
        """Return True, False or None for each answer; judges that take batches get one each."""
        first, second = (_judge_all(judge, asked) for judge in self._judges)
        return [_joint(pair, self._rule, self.agreement) for pair in zip(first, second, strict=True)]


class AsyncAgreeingJudges:
    """Asks two judges that are coroutine functions, both at a time; see `AgreeingJudges`."""

    def __init__(
        self,
        first: AsyncJudgeFunction,
        second: AsyncJudgeFunction,
        on_disagreement: DisagreementRule = "unknown",
    ) -> None:
        self.agreement = Agreement()
        self._judges = (first, second)
        self._rule = _checked(on_disagreement)

    async def __call__(self, asked: Judge) -> Verdict:
        """Return True, False or None for one answer."""
        first, second = self._judges
        return _joint(await asyncio.gather(first(asked), second(asked)), self._rule, self.agreement)


def _joint(pair: Sequence[Verdict], rule: DisagreementRule, agreement: Agreement) -> Verdict:
    first, second = pair
    agreement.add(first, second)
    return first if rule == "first" or first == second else None


def _judge_all(judge: JudgeFunction, asked: Sequence[Judge]) -> list[Verdict]:
    if hasattr(judge, "judge_batch"):
        return list(judge.judge_batch(asked))
    return [judge(one) for one in asked]


def _checked(rule: DisagreementRule) -> DisagreementRule:
    if rule not in get_args(DisagreementRule):
        raise ValueError(f"on_disagreement must be unknown or first, got {rule!r}")
    return rule
