"""The leaderboard: aggregates over tasks and seeds with intervals, as a table, Markdown and a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from baselines.comparison.aggregates import (
    Scores,
    interquartile_mean,
    optimality_gap,
    performance_profile,
    profile_band,
    stratified_interval,
)
from baselines.comparison.curves import Points, draw_runs
from baselines.plotting import count_tokens, look, panels, save
from baselines.suite.results import BadResult
from baselines.suite.tasks import LEARN, PLAY, SUITE_VERSION


class Row(NamedTuple):
    """An entry in a track.

    Attributes:
        name: The entry.
        about: What it is.
        scores: Its scores, shape (seeds, tasks).
        tasks: Names of the tasks.
        seeds: Seeds of the runs.
        mean: The interquartile mean over tasks and seeds.
        interval: Its 95 % interval by stratified bootstrap; None with fewer than two seeds.
        gap: The optimality gap to a score of 1.
    """

    name: str
    about: str
    scores: Scores
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    mean: float
    interval: tuple[float, float] | None
    gap: float


def rows(results: Sequence[Mapping[str, Any]], track: str, budget: int) -> list[Row]:
    """Return the entries of a track that have all its tasks with the same seeds, the best first.

    Args:
        results: Results of any entries.
        track: `learn` or `play`.
        budget: Tokens of the runs; 0 in the track `play`.

    Raises:
        BadResult: If an entry has two results of one task and seed, or results of several states of itself.
    """
    tasks = tuple(LEARN if track == "learn" else PLAY)
    found: dict[str, dict[tuple[str, int], Mapping[str, Any]]] = defaultdict(dict)
    for one in results:
        if one["track"] != track or one["budget"] != budget:
            continue
        name, key = one["entry"]["name"], (one["task"], one["seed"])
        if key in found[name]:
            raise BadResult(f"there are two results of {name} on {one['task']} with seed {one['seed']}")
        found[name][key] = one
        states = {kept["entry"]["digest"] for kept in found[name].values()}
        if len(states) > 1:
            raise BadResult(f"the results of {name} are of {len(states)} states of its code: run all again")
    made = [_row(name, kept, tasks) for name, kept in found.items()]
    return sorted((row for row in made if row is not None), key=lambda row: -row.mean)


def _row(name: str, kept: Mapping[tuple[str, int], Mapping[str, Any]], tasks: tuple[str, ...]) -> Row | None:
    seeds = sorted({seed for _, seed in kept})
    if any((task, seed) not in kept for task in tasks for seed in seeds):
        return None
    scores = np.array([[kept[task, seed]["score"] for task in tasks] for seed in seeds], dtype=float)
    low_high = stratified_interval(interquartile_mean, scores) if len(seeds) > 1 else None
    about = next(iter(kept.values()))["entry"]["about"]
    mean, gap = interquartile_mean(scores), optimality_gap(scores)
    return Row(name, about, scores, tasks, tuple(seeds), mean, low_high, gap)


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """Write the leaderboard of all tracks and budgets.

    Entries that lack a task are not ranked; their scores, and those of the warm start that learners begin
    from, stand in a table of their own.
    """
    lines = [
        "# Leaderboard of SSP-Bench",
        "",
        f"Suite {SUITE_VERSION}. This page is generated from results files by `ssp bench report`; see "
        "docs/bench.md.",
    ]
    sections = sorted({(one["track"], -one["budget"]) for one in results})
    for track, negative in sections:
        chosen = [one for one in results if (one["track"], -one["budget"]) == (track, negative)]
        ranked = rows(chosen, track, -negative)
        title = f"learn, {-negative:,} tokens" if track == "learn" else track
        tasks = list(LEARN if track == "learn" else PLAY)
        lines += ["", f"## {title}", "", *_ranking(ranked, tasks)]
        names = {row.name for row in ranked}
        lines += _unranked([one for one in chosen if one["entry"]["name"] not in names], chosen, tasks)
    return "\n".join(lines) + "\n"


def _ranking(ranked: Sequence[Row], tasks: Sequence[str]) -> list[str]:
    lines = [
        f"| entry | interquartile mean | optimality gap | {' | '.join(tasks)} | seeds | what it is |",
        f"|---|---|---|{'---|' * len(tasks)}---|---|",
    ]
    for row in ranked:
        by_task = " | ".join(f"{value:.3f}" for value in row.scores.mean(axis=0))
        seeds = ", ".join(map(str, row.seeds))
        interval = f" [{row.interval[0]:.3f}, {row.interval[1]:.3f}]" if row.interval else ""
        lines.append(
            f"| {row.name} | {row.mean:.3f}{interval} | {row.gap:.3f} | {by_task} | {seeds} | "
            f"{_cell(row.about)} |"
        )
    return lines


def _unranked(
    parts: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]], tasks: Sequence[str]
) -> list[str]:
    """Write the mean scores of entries that lack a task, and of the warm start, as a table."""
    scores: dict[tuple[str, str], dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for one in parts:
        entry = one["entry"]["name"], _cell(one["entry"]["about"])
        scores[entry][one["task"]][one["seed"]] = one["score"]
    for one in results:
        if before := one["outcome"].get("before"):
            mean = float(np.mean(list(before.values())))
            scores["*the warm start*", "What learners begin from"][one["task"]][one["seed"]] = mean
    if not scores:
        return []
    lines = ["", "Not ranked, because tasks are missing or nothing was learnt:", ""]
    lines += [f"| entry | {' | '.join(tasks)} | seeds | what it is |", f"|---|{'---|' * len(tasks)}---|---|"]
    for (name, about), by_task in sorted(scores.items()):
        shown = [f"{np.mean([*by_task[task].values()]):.3f}" if by_task[task] else "–" for task in tasks]
        seeds = sorted({seed for found in by_task.values() for seed in found})
        lines.append(f"| {name} | {' | '.join(shown)} | {', '.join(map(str, seeds))} | {about} |")
    return lines


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())


def draw(results: Sequence[Mapping[str, Any]], path: Path, budget: int) -> None:
    """Draw what was learnt over tokens by task, with intervals, and the performance profile, as PNG and SVG.

    Args:
        results: Results of any entries.
        path: File to write, without its ending.
        budget: Tokens of the runs that are shown.

    Raises:
        BadResult: If no entry has learnt all tasks with so many tokens.
    """
    ranked = rows(results, "learn", budget)
    if not ranked:
        known = sorted({one["budget"] for one in results if one["track"] == "learn"})
        raise BadResult(
            f"no entry has learnt all tasks with {budget:,} tokens, so that there is nothing to draw; there "
            f"are results with {', '.join(f'{one:,}' for one in known) or 'none'}"
        )
    # The last panel of two rows has the legend of all.
    figure, (*axes, legend) = panels(3, 2, width=4.2, height=3.4)
    figure.suptitle("SSP-Bench: interquartile mean of runs over tokens, 95 % interval; each run faint")
    for number, row in enumerate(ranked):
        how = look(number)
        style: dict[str, Any] = {"linestyle": how.linestyle, "color": how.color, "label": row.name}
        for axis, task in zip(axes, LEARN, strict=False):
            curves = [
                _curve(one)
                for one in results
                if (one["entry"]["name"], one["task"], one["budget"]) == (row.name, task, budget)
            ]
            draw_runs(axis, curves, row.name, how)
        thresholds = np.linspace(0, 1, 101)
        axes[-1].step(thresholds, performance_profile(row.scores, thresholds), where="post", **style)
        band = profile_band(row.scores, thresholds)
        axes[-1].fill_between(thresholds, *band, step="post", color=how.color, alpha=0.15, linewidth=0)
    for axis, task in zip(axes, LEARN, strict=False):
        axis.set(
            title=task,
            xlabel="tokens sampled and trained",
            xlim=(0, budget),
            ylabel="pass@1, unseen worlds",
            ylim=(0, 1),
        )
        count_tokens(axis)
    axes[-1].set(title="performance profile", xlabel="score", ylabel="share of runs above", ylim=(0, 1))
    legend.axis("off")
    legend.legend(*axes[-1].get_legend_handles_labels(), loc="center", frameon=False)
    save(figure, path.with_suffix(".png"))


def _curve(one: Mapping[str, Any]) -> Points:
    """Return pass@1 over tokens: validated in the run, on held-out questions at both ends."""
    outcome = one["outcome"]
    before = list(outcome.get("before", {}).values())
    start = [[0.0, float(np.mean(before))]] if before else []
    # A step may go beyond the budget, and the validation of the last step has no more tokens than the end.
    end = [float(outcome.get("tokens", one["budget"])), float(one["score"])]
    points = [*start, *(point for point in outcome["curve"] if point[0] < end[0]), end]
    return [place for place, _ in points], [value for _, value in points]
