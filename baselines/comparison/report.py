"""The comparison of runs as figures, tables, CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from baselines.comparison.aggregates import (
    Scores,
    interquartile_mean,
    mean,
    mean_difference,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    stratified_interval,
)
from baselines.comparison.runs import Rows, Runs, heldout_names
from baselines.runs.files import self_play_rows

MEAN = "mean"
AGGREGATES: Mapping[str, Callable[[Scores], float]] = {
    "iqm": interquartile_mean,
    "median": median,
    "mean": mean,
    "optimality_gap": optimality_gap,
}
"""Over all runs and held-out sets of one label."""
THRESHOLDS = np.linspace(0.0, 0.95, 20)
"""Accuracies of the performance profiles."""
_GAME = ("valid_rate", "label_truth", "mean_hops", "mixed_groups")
_Found = Mapping[Any, tuple[Mapping[str, Any], Rows]]


def report(runs: Runs, tokens: int | None = None) -> dict[str, Any]:
    """Return the figures as plain data.

    Held-out sampled pass@1 after training by label and held-out set, and their mean, of which a run has
    one: `iqm`, the interquartile mean over runs, with `ci95` by a bootstrap over runs, which is null for a
    single one, and the `runs` by seed. `aggregates` and performance `profiles` are over runs and sets.
    `used` is how much a run used, and `improvement` the probability of improvement with its interval, of
    every label over every other, by the mean. `differences` sets the first label against each other one:
    the mean over common seeds of the one minus the other by held-out set, with its t interval.

    Args:
        runs: Runs that have ended, by label and seed; the first label is the one that others are set against.
        tokens: Tokens that every run was given; None if each has its own number.
    """
    sets = heldout_names([summary for found in runs.values() for summary, _ in found.values()])
    scores = {label: _scores(found, sets) for label, found in runs.items() if found}
    return {
        "tokens": tokens,
        "sets": sets,
        "heldout": {
            label: {column: _aggregate(values, list(runs[label])) for column, values in columns.items()}
            for label, columns in scores.items()
        },
        "profiles": {label: _profile(columns, sets) for label, columns in scores.items()},
        "aggregates": {label: _aggregates(columns, sets) for label, columns in scores.items()},
        "before": _before({label: runs[label] for label in scores}, sets),
        "used": {label: _used(found) for label, found in runs.items() if found},
        "improvement": {
            f"{label} over {other}": {
                "probability": probability_of_improvement(scores[label][MEAN], scores[other][MEAN]),
                "ci95": _interval(probability_of_improvement, scores[label][MEAN], scores[other][MEAN]),
            }
            for label, other in permutations(scores, 2)
        },
        "differences": _differences({label: runs[label] for label in scores}, sets),
    }


def _differences(runs: Runs, sets: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Set the first label against each other one, over the seeds that both have, if they are two or more."""
    (first, found), *others = runs.items()
    differences = {}
    for label, other in others:
        seeds = [seed for seed in found if seed in other]
        if len(seeds) < 2:
            continue
        ours, theirs = (_scores({seed: one[seed] for seed in seeds}, sets) for one in (found, other))
        named = {column: mean_difference(ours[column], theirs[column]) for column in ours}
        differences[f"{first} minus {label}"] = {
            column: {"value": value, "ci95": interval, "runs": len(seeds)}
            for column, (value, interval) in named.items()
        }
    return differences


def _before(runs: Runs, sets: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the figures before self-play: once, if the runs of every seed had the same, else by label."""
    had: dict[Any, set[tuple[float, ...]]] = {}
    for found in runs.values():
        for seed, (summary, _) in found.items():
            values = tuple(summary["heldout"]["before"][name]["pass_at_1"] for name in sets)
            had.setdefault(seed, set()).add(values)
    shared = all(len(values) == 1 for values in had.values())
    most = max(runs.values(), key=len)
    named = {"warm start": most} if shared else {f"{name}, before": one for name, one in runs.items()}
    return {
        label: {
            column: _aggregate(values, list(found))
            for column, values in _scores(found, sets, "before").items()
        }
        for label, found in named.items()
    }


def _scores(found: _Found, sets: Sequence[str], when: str = "after") -> dict[str, Scores]:
    """Return held-out accuracies of the runs by set, and their mean."""
    summaries = [summary["heldout"][when] for summary, _ in found.values()]
    columns = {name: np.array([summary[name]["pass_at_1"] for summary in summaries]) for name in sets}
    return {**columns, MEAN: np.mean(list(columns.values()), axis=0)}


def _aggregate(values: Scores, seeds: list[Any]) -> dict[str, Any]:
    return {
        "iqm": interquartile_mean(values),
        "ci95": _interval(interquartile_mean, values),
        "runs": {str(seed): float(value) for seed, value in zip(seeds, values, strict=True)},
    }


def _profile(columns: Mapping[str, Scores], sets: Sequence[str]) -> dict[str, float]:
    """Return the share of runs and held-out sets above each accuracy."""
    table = np.stack([columns[name] for name in sets], axis=1)
    shares = performance_profile(table, THRESHOLDS)
    return {f"{at:.2f}": share for at, share in zip(THRESHOLDS.tolist(), shares.tolist(), strict=True)}


def _aggregates(columns: Mapping[str, Scores], sets: Sequence[str]) -> dict[str, Any]:
    table = np.stack([columns[name] for name in sets], axis=1)
    return {
        name: {"value": statistic(table), "ci95": _interval(statistic, table)}
        for name, statistic in AGGREGATES.items()
    }


def _interval(statistic: Any, *scores: Scores) -> tuple[float, float] | None:
    """Return a bootstrap interval; None for single runs, which tell nothing about how runs differ."""
    if min(map(len, scores)) < 2:
        return None
    # The sets of one run share its training, so they are drawn together.
    return stratified_interval(statistic, *scores, whole_runs=True)


def _used(found: _Found) -> dict[str, float]:
    """Return medians over runs of steps and tokens of self-play, and means of the last eighth of it."""
    plays = [self_play_rows(rows) for _, rows in found.values()]
    return {
        "steps": float(np.median([len(play) for play in plays])),
        **{
            name: float(np.median([sum(row.get(name, 0) for row in play) for play in plays]))
            for name in ("sampled_tokens", "trained_tokens")
        },
        # Without a valid question a run has no label truth.
        **{
            name: float(np.mean(values))
            for name in _GAME
            if (values := [run["game"][name] for run, _ in found.values() if name in run["game"]])
        },
    }


def unequal_tokens(figures: Mapping[str, Any], tolerance: float = 0.1) -> str:
    """Say that labels spent different numbers of tokens; empty if they did not, or it is not known."""
    totals = {
        label: used["sampled_tokens"] + used["trained_tokens"] for label, used in figures["used"].items()
    }
    if len(totals) < 2 or min(totals.values()) >= (1 - tolerance) * max(totals.values()):
        return ""
    listed = ", ".join(f"{label} {total:,.0f}" for label, total in totals.items())
    return f"The runs spent different numbers of tokens ({listed}): compare the curves at equal tokens."


# -- tables ----------------------------------------------------------------------------------------------


def table(figures: Mapping[str, Any]) -> Iterator[Table]:
    """Yield the table of accuracies and, of two labels and more, that of the probabilities of improvement."""
    after = f" after {figures['tokens']:,} tokens" if figures["tokens"] else ""
    title = f"Held-out sampled pass@1{after}: interquartile mean (95 %)"
    accuracies = Table(title=title, box=box.SIMPLE_HEAD, padding=0)
    used = figures["used"]
    sets = [*figures["sets"], MEAN]
    for heading in ("runs of", *map(heading_of, sets), "runs", "steps", "tokens", "true", "hops"):
        accuracies.add_column(heading)
    for label, columns in {**figures["before"], **figures["heldout"]}.items():
        cells = [_cell(columns[column]["iqm"], columns[column]["ci95"]) for column in sets]
        accuracies.add_row(label, *cells, str(len(columns[MEAN]["runs"])), *_used_cells(used.get(label)))
    yield accuracies
    if not figures["improvement"]:
        return
    improvement = Table(
        title="How likely is a run of one better than a run of the other, by the mean? (95 %)"
    )
    for heading in ("", "probability"):
        improvement.add_column(heading)
    for pair, found in figures["improvement"].items():
        improvement.add_row(pair, _cell(found["probability"], found["ci95"]))
    yield improvement
    if not figures["differences"]:
        return
    differences = Table(title="Mean difference of runs of equal seeds (95 %)", box=box.SIMPLE_HEAD)
    for heading in ("", *map(heading_of, sets)):
        differences.add_column(heading)
    for pair, columns in figures["differences"].items():
        differences.add_row(pair, *(_signed(columns[name]) for name in sets))
    yield differences


def heading_of(name: str) -> str:
    """Return the heading of a held-out set; generated worlds name theirs by hops.

    >>> heading_of("1"), heading_of("3"), heading_of("questions")
    ('1 hop', '3 hops', 'questions')
    """
    return f"{name} hop{'s' * (name != '1')}" if name.isdigit() else name


def _used_cells(used: Mapping[str, float] | None) -> list[str]:
    if used is None:
        return []
    tokens = used["sampled_tokens"] + used["trained_tokens"]
    shares = (_share(used.get(key)) for key in ("label_truth", "mean_hops"))
    return [f"{used['steps']:.0f}", f"{tokens / 1000:.0f}k" if tokens else "-", *shares]


def _cell(value: float, interval: Sequence[float] | None) -> str:
    # The interval on a line of its own, so that the table fits a terminal of 80 columns.
    return f"{value:.3f}\n{interval[0]:.2f}-{interval[1]:.2f}" if interval else f"{value:.3f}\none run"


def _signed(difference: Mapping[str, Any], between: str = "\n") -> str:
    low, high = difference["ci95"]
    return f"{difference['value']:+.3f}{between}{low:+.2f} to {high:+.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


# -- files -----------------------------------------------------------------------------------------------


def csv_text(figures: Mapping[str, Any]) -> str:
    """Return one line for each figure, and one for each run and held-out set."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("label", "set", "figure", "value", "low", "high", "runs"))
    for label, columns in figures["heldout"].items():
        for name, found in columns.items():
            writer.writerow(
                (label, name, "iqm", found["iqm"], *(found["ci95"] or ("", "")), len(found["runs"]))
            )
            for seed, value in found["runs"].items():
                writer.writerow((label, name, f"seed {seed}", value, "", "", 1))
        runs = len(columns[MEAN]["runs"])
        for name, found in figures["aggregates"][label].items():
            writer.writerow((label, "all", name, found["value"], *(found["ci95"] or ("", "")), runs))
    for pair, found in figures["improvement"].items():
        writer.writerow((pair, MEAN, "improvement", found["probability"], *(found["ci95"] or ("", "")), ""))
    for pair, columns in figures["differences"].items():
        for name, found in columns.items():
            writer.writerow((pair, name, "difference", found["value"], *found["ci95"], found["runs"]))
    return out.getvalue()


def markdown_text(figures: Mapping[str, Any]) -> str:
    """Return the table of accuracies and the probabilities of improvement."""
    sets = [*figures["sets"], MEAN]
    heads = ["runs of", *map(heading_of, sets), "runs", "steps", "tokens", "true", "hops"]
    lines = ["Held-out sampled pass@1: interquartile mean of runs [95 %].", ""]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for label, columns in {**figures["before"], **figures["heldout"]}.items():
        cells = [_markdown_cell(columns[name]["iqm"], columns[name]["ci95"]) for name in sets]
        used = _used_cells(figures["used"].get(label)) or [""] * 4
        escaped = label.replace("|", "\\|")
        lines.append("| " + " | ".join([escaped, *cells, str(len(columns[MEAN]["runs"])), *used]) + " |")
    if figures["improvement"]:
        lines += ["", "| a run of one is better than of the other, by the mean | probability |", "|---|---|"]
        lines += [
            f"| {pair} | {_markdown_cell(found['probability'], found['ci95'])} |"
            for pair, found in figures["improvement"].items()
        ]
    if figures["differences"]:
        lines += ["", "Mean difference of runs of equal seeds [95 %].", ""]
        lines += ["| | " + " | ".join(map(heading_of, sets)) + " |", "|" + "---|" * (len(sets) + 1)]
        for pair, columns in figures["differences"].items():
            cells = [_signed(columns[name], " [") + "]" for name in sets]
            lines.append("| " + " | ".join([pair, *cells]) + " |")
    return "\n".join(lines) + "\n"


def _markdown_cell(value: float, interval: Sequence[float] | None) -> str:
    return f"{value:.3f} [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else f"{value:.3f} (one run)"
