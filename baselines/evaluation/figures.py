"""What answers say: a mean and an interval for each scorer, by set and by any field of the questions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from math import sqrt
from typing import Any

from baselines.evaluation.answers import Answer
from baselines.evaluation.bootstrap import bootstrap_interval
from baselines.evaluation.intervals import Trial, clustered_interval, effective_trials
from baselines.evaluation.judging import Verdicts, verdict_on
from baselines.evaluation.metrics import SCORERS, pass_at_k, pass_hat_k, score, support_recall
from baselines.evaluation.question_sets import AVERAGES

RECALL = "support_recall"
SEARCHES = "searches"
TURNS = "turns"
JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean with its uncertainty.

    Attributes:
        value: The mean; None if nothing is known.
        low: Lower end of the 95 % interval.
        high: Its upper end.
        questions: Questions that it is a mean over.
        scorer: What decided: the name of a scorer, of the judge, or of what was counted.
    """

    value: float | None
    low: float
    high: float
    questions: int
    scorer: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        ends = [self.low, self.high]
        return {"value": self.value, "ci95": ends, "questions": self.questions, "scorer": self.scorer}


@dataclass(frozen=True)
class Figures:
    """The figures of some answers.

    Attributes:
        questions: Number of questions.
        attempts: Attempts that ended; those that failed are not among them.
        errors: Attempts that failed, of which nothing is known; no figure counts them.
        unjudged: Attempts on which the judge gave no verdict; its figures leave them out.
        failures: Number of failed attempts by what failed.
        by_name: The figures by name.
    """

    questions: int
    attempts: int
    errors: int
    unjudged: int
    failures: Mapping[str, int]
    by_name: Mapping[str, Figure]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        counts = {name: getattr(self, name) for name in ("questions", "attempts", "errors", "unjudged")}
        figures = {name: figure.to_dict() for name, figure in self.by_name.items()}
        return {**counts, "failures": dict(self.failures), "figures": figures}


def figures_of(answers: Sequence[Answer], *, judge: str = "", verdicts: Verdicts | None = None) -> Figures:
    """Compute the figures of answers.

    Scores have Wilson intervals with the design effect of their clusters, counts have bootstrap intervals
    over clusters. Attempts at one question are a cluster, and where there are several worlds the questions
    of each.

    Args:
        answers: Answers of one player.
        judge: Name of the judge; empty if there was none, and then there are no figures of a judge.
        verdicts: What the judge decided.
    """
    ended = [answer for answer in answers if answer.failure is None]
    failed = [str(answer.failure) for answer in answers if answer.failure is not None]
    scores = [_scores(answer) for answer in ended]
    by_name = {name: _figure(ended, [found[name] for found in scores], name) for name in SCORERS}
    unjudged = 0
    if judge:
        decided = [(answer, verdict_on(answer, verdicts or {})) for answer in ended]
        known = [(answer, verdict) for answer, verdict in decided if verdict is not None]
        unjudged = len(decided) - len(known)
        label = f"exact match, else judge {judge}"
        by_name[JUDGE] = _figure([answer for answer, _ in known], [verdict for _, verdict in known], label)
        by_name |= _of_k([(answer, verdict) for answer, verdict in known], JUDGE, label)
    by_name |= _of_k(
        [(answer, found["exact_match"]) for answer, found in zip(ended, scores, strict=True)],
        "exact_match",
        "exact_match",
    )
    by_name |= _counted(ended)
    return Figures(
        questions=len({answer.question_key for answer in answers}),
        attempts=len(ended),
        errors=len(failed),
        unjudged=unjudged,
        failures={text: failed.count(text) for text in dict.fromkeys(failed)},
        by_name=by_name,
    )


@lru_cache(maxsize=200_000)
def _score(answer: str, golds: tuple[str, ...]) -> Mapping[str, float]:
    return score(answer, golds)


def _scores(answer: Answer) -> Mapping[str, float]:
    return _score(answer.answer, tuple(answer.golds))


def _counted(ended: Sequence[Answer]) -> dict[str, Figure]:
    """Return recall of supporting passages where questions name them, and means of searches and turns."""
    recalls = [(answer, recall) for answer in ended if (recall := _recall(answer)) is not None]
    what = (
        "supporting passages found, by id"
        if any(a.by_id for a, _ in recalls)
        else ("supporting passages found, by title")
    )
    counted = {
        SEARCHES: _count(ended, [float(answer.searches) for answer in ended], "searches per attempt"),
        TURNS: _count(ended, [float(answer.turns) for answer in ended], "turns per attempt"),
    }
    if not recalls:
        return counted
    return {RECALL: _figure([a for a, _ in recalls], [r for _, r in recalls], what), **counted}


def _recall(answer: Answer) -> float | None:
    place = 0 if answer.by_id else 1
    return support_recall({passage[place] for passage in answer.found}, answer.supporting)


def _figure(answers: Sequence[Answer], values: Sequence[float], scorer: str) -> Figure:
    """Return the mean of scores from 0 to 1, one for each answer."""
    if not values:
        return Figure(None, 0.0, 1.0, 0, scorer)
    trials: list[Trial] = [
        (value, (answer.question_key, (answer.set, answer.world)))
        for answer, value in zip(answers, values, strict=True)
    ]
    total = sum(values)
    low, high = clustered_interval(total, len(trials), effective_trials(trials))
    return Figure(total / len(values), low, high, _questions(answers), scorer)


def _count(answers: Sequence[Answer], values: Sequence[float], what: str) -> Figure:
    """Return the mean of counts, one for each answer."""
    if not values:
        return Figure(None, 0.0, 0.0, 0, what)
    low, high = bootstrap_interval(values, clusters_of(answers))
    return Figure(sum(values) / len(values), low, high, _questions(answers), what)


def _questions(answers: Sequence[Answer]) -> int:
    return len({answer.question_key for answer in answers})


def clusters_of(answers: Sequence[Answer]) -> list[Hashable]:
    """Return the cluster of each answer: its world where there are several, else its question."""
    worlds = [(answer.set, answer.world) for answer in answers]
    # One corpus tells nothing about how corpora differ.
    several = len({answer.world for answer in answers}) > 1
    return [*worlds] if several else [answer.question_key for answer in answers]


def _of_k(pairs: Sequence[tuple[Answer, float]], name: str, label: str) -> dict[str, Figure]:
    """Return pass@k and pass^k for powers of two and the number of attempts; none for single attempts."""
    ordered = sorted(pairs, key=lambda pair: pair[0].question_key)
    grouped = [list(group) for _, group in groupby(ordered, key=lambda pair: pair[0].question_key)]
    most = max((len(group) for group in grouped), default=0)
    if most < 2:
        return {}
    figures: dict[str, Figure] = {}
    estimators: Mapping[str, Callable[[int, int, int], float]] = {"pass@": pass_at_k, "pass^": pass_hat_k}
    for prefix, estimate in estimators.items():
        for k in sorted({*(2**n for n in range(most.bit_length()) if 2**n <= most), most}):
            enough = [group for group in grouped if len(group) >= k]
            firsts = [group[0][0] for group in enough]
            values = [estimate(sum(value == 1.0 for _, value in group), len(group), k) for group in enough]
            figures[f"{name} {prefix}{k}"] = _figure(firsts, values, label)
    return figures


# -- groups ----------------------------------------------------------------------------------------------


def by_set(answers: Sequence[Answer], **options: Any) -> dict[str, Figures]:
    """Return the figures of each question set, in the order of the answers."""
    names = dict.fromkeys(answer.set for answer in answers)
    return {
        name: figures_of([answer for answer in answers if answer.set == name], **options) for name in names
    }


def by_field(answers: Sequence[Answer], field: str, **options: Any) -> dict[str, Figures]:
    """Return the figures by the value of a field of the questions, sorted; questions without it are left out.

    Raises:
        ValueError: If no question has the field; the message names those that there are.
    """
    groups: dict[str, list[Answer]] = {}
    for answer in answers:
        if field in answer.fields:
            groups.setdefault(str(answer.fields[field]), []).append(answer)
    if not groups:
        check_fields([field], [answer.fields for answer in answers])
    return {value: figures_of(groups[value], **options) for value in sorted(groups, key=_natural)}


def check_fields(wanted: Sequence[str], fields: Iterable[Mapping[str, Any]]) -> None:
    """Refuse fields that no question has.

    Args:
        wanted: Names of fields.
        fields: The fields of each question.

    Raises:
        ValueError: If a name is none of them; the message names those that there are.
    """
    known = {name for one in fields for name in one} if wanted else set()
    for name in wanted:
        if name not in known:
            there = f"the fields are {', '.join(sorted(known))}" if known else "no question has any field"
            raise ValueError(f"--by {name}: no question has the field {name!r}; {there}")


def _natural(value: str) -> tuple[bool, float, str]:
    """Order numbers by size, before texts."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value


def mean_over_sets(sets: Mapping[str, Figures]) -> dict[str, dict[str, Figure]]:
    """Return the unweighted means of figures over sets: the published ones that are complete, or that of all.

    The intervals combine those of the sets, which are independent, by the method of variance estimates
    recovery (Zou and Donner 2008).
    """
    wanted = {name: names for name, names in AVERAGES.items() if all(one in sets for one in names)}
    if "all seven" not in wanted and len(sets) > 1:
        wanted[f"mean of {len(sets)} sets"] = tuple(sets)
    return {label: _means([sets[name] for name in names]) for label, names in wanted.items()}


def _means(groups: Sequence[Figures]) -> dict[str, Figure]:
    names = [name for name in groups[0].by_name if all(name in group.by_name for group in groups)]
    means: dict[str, Figure] = {}
    for name in names:
        figures = [group.by_name[name] for group in groups]
        values = [figure.value for figure in figures if figure.value is not None]
        if len(values) < len(figures):
            continue
        mean = sum(values) / len(values)
        below = sqrt(sum((value - f.low) ** 2 for value, f in zip(values, figures, strict=True)))
        above = sqrt(sum((f.high - value) ** 2 for value, f in zip(values, figures, strict=True)))
        means[name] = Figure(
            mean,
            mean - below / len(values),
            mean + above / len(values),
            sum(figure.questions for figure in figures),
            figures[0].scorer,
        )
    return means
