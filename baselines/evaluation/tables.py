"""Figures of players as text of 80 columns, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from baselines.evaluation.agent_figures import TABLE_WIDTH, aligned
from baselines.evaluation.figures import JUDGE, RECALL, SEARCHES, Figure, Figures
from baselines.evaluation.paired import Difference

FORMAT = 1
_SHORT: Mapping[str, str] = {
    "exact_match": "EM", "f1": "F1", "cover_match": "cover", JUDGE: "judge", RECALL: "recall",
    SEARCHES: "searches",
}  # fmt: skip
CAPTION = (
    "EM: exact match after normalisation. F1: of words. cover: the answer contains a right one as whole "
    "words. recall: supporting passages among those found. searches: mean per attempt. n: questions; errors: "
    "attempts that failed, which no other figure counts. After EM its 95 % interval, for which "
    "attempts at one question and questions of one of several worlds are alike; --json, --csv and "
    "--markdown give all figures theirs."
)


@dataclass(frozen=True)
class PlayerRows:
    """The figures of one player.

    Attributes:
        sets: By question set.
        means: Unweighted means over sets, by what they are over.
        fields: By field of the questions and its value.
        differences: Against another evaluation, by set and scorer.
    """

    sets: Mapping[str, Figures]
    means: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, Figures]] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)


def text_table(players: Mapping[str, PlayerRows], title: str, *, judge: str = "") -> str:
    """Return all figures as text; one block is split into two where it is too wide for 80 columns.

    Args:
        players: Rows by player.
        title: What was played.
        judge: Name of the judge, which the caption tells.
    """
    caption = CAPTION if not judge else f"{CAPTION} judge: exact match, else the verdict of {judge}."
    paragraphs = [
        textwrap.fill(text, TABLE_WIDTH, break_long_words=False, break_on_hyphens=False)
        for text in (title, caption)
    ]
    for player, rows in players.items():
        blocks = [_block("set", [*_set_rows(rows), *_mean_rows(rows)], judge)]
        if passes := _pass_rows(rows):
            blocks.append(_aligned(passes))
        if rows.differences:
            blocks.append(_difference_block(rows.differences))
        for name, groups in rows.fields.items():
            blocks.append(_block(name, [(value, *_of(group)) for value, group in groups.items()], judge))
        paragraphs += [player, *blocks]
    return "\n\n".join(paragraphs)


_Row = tuple[str, Mapping[str, Figure], str, str]
"""Label, figures, number of questions, number of errors."""


def _of(group: Figures) -> tuple[Mapping[str, Figure], str, str]:
    return group.by_name, str(group.questions), str(group.errors)


def _set_rows(rows: PlayerRows) -> list[_Row]:
    return [(name, *_of(group)) for name, group in rows.sets.items()]


def _mean_rows(rows: PlayerRows) -> list[_Row]:
    return [(label, figures, "", "") for label, figures in rows.means.items()]


def _block(label: str, rows: Sequence[_Row], judge: str) -> str:
    shown = [name for name in _SHORT if any(name in figures for _, figures, _, _ in rows)]
    first = [[label, "EM", "95 %", "n"], *([name, *_with_interval(f), n] for name, f, n, _ in rows)]
    others = [name for name in shown if name != "exact_match"]
    rest = [
        [*(_SHORT[name] for name in others), "errors"],
        *([*(_number(figures.get(name)) for name in others), errors] for _, figures, _, errors in rows),
    ]
    whole = [[*left, *right] for left, right in zip(first, rest, strict=True)]
    if max(map(len, aligned(whole))) <= TABLE_WIDTH:
        return _aligned(whole)
    second = [[row[0], *right] for row, right in zip(first, rest, strict=True)]
    return f"{_aligned(first)}\n\n{_aligned(second)}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Align columns to the right, but labels to the left."""
    width = max(len(row[0]) for row in rows)
    return "\n".join(aligned([[row[0].ljust(width), *row[1:]] for row in rows]))


def _with_interval(figures: Mapping[str, Figure]) -> tuple[str, str]:
    figure = figures.get("exact_match")
    if figure is None or figure.value is None:
        return "-", "-"
    return f"{figure.value:.3f}", f"{figure.low:.3f} .. {figure.high:.3f}"


def _number(figure: Figure | None) -> str:
    return "-" if figure is None or figure.value is None else f"{figure.value:.3f}"


def _pass_rows(rows: PlayerRows) -> list[list[str]]:
    """Return pass@k and pass^k by set; nothing for single attempts."""
    names = list(
        dict.fromkeys(
            name
            for group in rows.sets.values()
            for name in group.by_name
            if "pass@" in name or "pass^" in name
        )
    )
    if not names:
        return []
    table = [["set", "scorer", "k", "pass@k", "pass^k"]]
    for label, group in rows.sets.items():
        for name in names:
            scorer, _, measure = name.rpartition(" ")
            if measure.startswith("pass@") and name in group.by_name:
                k = measure.removeprefix("pass@")
                both = [group.by_name.get(f"{scorer} {prefix}{k}") for prefix in ("pass@", "pass^")]
                table.append([label, _SHORT[scorer], k, *map(_number, both)])
    return table


def _difference_block(differences: Mapping[str, Mapping[str, Difference]]) -> str:
    table = [["against", "by", "first", "second", "difference", "95 %", "p", "McNemar"]]
    for name, by_scorer in differences.items():
        for scorer, found in by_scorer.items():
            test = found.mcnemar
            table.append(
                [
                    name,
                    _SHORT[scorer],
                    f"{found.first:.3f}",
                    f"{found.second:.3f}",
                    f"{found.difference:+.3f}",
                    f"{found.low:+.3f} .. {found.high:+.3f}",
                    f"{found.p_value:.3f}",
                    "-" if test is None else f"{test.only_first}:{test.only_second} {test.p_value:.3f}",
                ]
            )
    return _aligned(table)


# -- files -----------------------------------------------------------------------------------------------


def json_data(players: Mapping[str, PlayerRows], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything as plain data: options, and for each player the figures by set, mean and field."""
    return {
        "format": FORMAT,
        **options,
        "players": [
            {
                "player": player,
                "sets": {name: group.to_dict() for name, group in rows.sets.items()},
                "means": {
                    label: {name: figure.to_dict() for name, figure in figures.items()}
                    for label, figures in rows.means.items()
                },
                "by": {
                    name: {value: group.to_dict() for value, group in groups.items()}
                    for name, groups in rows.fields.items()
                },
                "against": {
                    name: {scorer: found.to_dict() for scorer, found in by_scorer.items()}
                    for name, by_scorer in rows.differences.items()
                },
            }
            for player, rows in players.items()
        ],
    }


_COLUMNS = ("player", "group", "value", "figure", "scorer", "mean", "low", "high", "questions")


def csv_text(players: Mapping[str, PlayerRows]) -> str:
    """Return one line for each figure: of a set, of a mean over sets, or of one value of a field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for player, rows in players.items():
        for group, value, figures in _groups(rows):
            for name, figure in figures.items():
                ends = (figure.low, figure.high) if figure.value is not None else ("", "")
                mean = "" if figure.value is None else figure.value
                writer.writerow([player, group, value, name, figure.scorer, mean, *ends, figure.questions])
    return out.getvalue()


def _groups(rows: PlayerRows) -> Iterator[tuple[str, str, Mapping[str, Figure]]]:
    for name, group in rows.sets.items():
        yield "set", name, group.by_name
    for label, figures in rows.means.items():
        yield "mean", label, figures
    for field_name, groups in rows.fields.items():
        for value, group in groups.items():
            yield field_name, value, group.by_name


def markdown_text(players: Mapping[str, PlayerRows], title: str) -> str:
    """Return a table for all players, its rows sets, means and values of fields; intervals in brackets."""
    names = [
        name
        for name in _SHORT
        if any(name in figures for rows in players.values() for _, _, figures in _groups(rows))
    ]
    lines = [
        f"{title}. In brackets: 95 % intervals.",
        "",
        "| " + " | ".join(["player", "questions", "n", *(_SHORT[name] for name in names)]) + " |",
        "|" + "---|" * (len(names) + 3),
    ]
    for player, rows in players.items():
        for group, value, figures in _groups(rows):
            label = value if group in ("set", "mean") else f"{group} {value}"
            count = max((figure.questions for figure in figures.values()), default=0)
            cells = [_markdown_cell(figures.get(name)) for name in names]
            lines.append("| " + " | ".join([_escaped(player), _escaped(label), str(count), *cells]) + " |")
    return "\n".join(lines) + "\n"


def _markdown_cell(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "-"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
