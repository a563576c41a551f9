"""Early warnings: signs of a collapse in the metrics of a run, which need no oracle, and when they speak.

Rewards stay high while a proposer repeats itself, or asks what only its own reader believes; these do not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

WINDOW = 10
"""Steps of self-play whose mean is looked at."""


@dataclass(frozen=True)
class Sign:
    """A metric that leaves the range in which runs learn.

    Attributes:
        metric: Its name.
        limit: End of the range.
        above: Whether the range ends above; else it ends below.
        meaning: What it is a sign of.
    """

    metric: str
    limit: float
    above: bool
    meaning: str

    def shows(self, mean: float) -> bool:
        """Whether a mean is out of the range."""
        return mean > self.limit if self.above else mean < self.limit


SIGNS = (
    Sign(
        "valid_rate", 0.05, False, "hardly any question is valid, so that the solver learns next to nothing"
    ),
    Sign(
        "group_variance", 0.01, False, "attempts at a question are all right or all wrong: nothing to compare"
    ),
    Sign("distinct_questions", 0.8, False, "the proposer repeats itself"),
    Sign("mutual_information", 0.9, False, "the proposer pays little attention to its task"),
    Sign("reader_agreement", 0.45, False, "the reader recovers answers that the solver does not find"),
    Sign("malformed_turns", 0.25, True, "turns lose their form"),
    Sign("unsearched_answers", 0.2, True, "the solver answers without having searched"),
    Sign("solver/entropy", 0.01, False, "the solver tries nothing new any more"),
    Sign("proposer/entropy", 0.01, False, "the proposer tries nothing new any more"),
)
"""Limits that means of ten steps of five runs of the preset `tiny` kept; others that learn may pass one."""


class EarlyWarnings:
    """Says once when a sign shows in the mean of the last steps, and again only after it was gone.

    Args:
        rows: Metrics of the steps of a run that is resumed; what they show was said then.

    >>> warnings = EarlyWarnings({"malformed_turns": 0.1} for _ in range(9))
    >>> warnings.observe({"malformed_turns": 0.1}), warnings.showing
    ([], [])
    >>> warnings.observe({"malformed_turns": 2.0})
    ['malformed_turns 0.29, above 0.25 in the mean of 10 steps: turns lose their form']
    """

    def __init__(self, rows: Iterable[Mapping[str, float]] = ()) -> None:
        self._means: dict[Sign, deque[float]] = {sign: deque(maxlen=WINDOW) for sign in SIGNS}
        self._reasons: deque[Mapping[str, float]] = deque(maxlen=WINDOW)
        self._shown: set[Sign] = set()
        for row in rows:
            self.observe(row)

    @property
    def showing(self) -> list[str]:
        """The metrics that are out of their range now."""
        return [sign.metric for sign in SIGNS if sign in self._shown]

    def observe(self, metrics: Mapping[str, float]) -> list[str]:
        """Take in the metrics of a step and return what is to be said."""
        said = []
        self._reasons.append({name: value for name, value in metrics.items() if name.startswith("invalid/")})
        for sign, values in self._means.items():
            if sign.metric in metrics:
                values.append(metrics[sign.metric])
            if len(values) < WINDOW:
                continue
            mean = sum(values) / WINDOW
            if not sign.shows(mean):
                self._shown.discard(sign)
            elif sign not in self._shown:
                self._shown.add(sign)
                said.append(self._sentence(sign, mean))
        return said

    def _sentence(self, sign: Sign, mean: float) -> str:
        side = "above" if sign.above else "below"
        text = f"{sign.metric} {mean:.2g}, {side} {sign.limit} in the mean of {WINDOW} steps: {sign.meaning}"
        if sign.metric != "valid_rate" or not (
            names := sorted({name for row in self._reasons for name in row})
        ):
            return text
        reason = max(names, key=lambda name: sum(row.get(name, 0.0) for row in self._reasons))
        return f"{text}; most end as {reason.removeprefix('invalid/')}"
