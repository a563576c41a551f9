"""`ssp eval` on question sets: plays or reads saved answers, prints the figures and writes them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from agents.judges import judge_by_name
from agents.smollm2 import SmolLM2Missing
from baselines.evaluation.answers import Answer, SavedAnswers, read_answers
from baselines.evaluation.figures import by_field, by_set, check_fields, mean_over_sets
from baselines.evaluation.judging import Verdicts, ask_judge
from baselines.evaluation.paired import compare
from baselines.evaluation.preparation import make_players
from baselines.evaluation.report import Report
from baselines.evaluation.run import Evaluation
from baselines.evaluation.tables import PlayerRows, csv_text, json_data, markdown_text, text_table
from ssp_env.cli import INTERRUPTED
from ssp_env.cli.options import print_text
from ssp_env.cli.progress import counted, tracked, waiting


def evaluate_and_print(evaluation: Evaluation, players: Sequence[str], title: str, report: Report) -> None:
    """Let every player answer all questions, then print and write the figures.

    Raises:
        typer.Exit: With status 1 if every attempt failed.
        SystemExit: If SmolLM2 is wanted and not installed, or with status 130 after Ctrl-C.
    """
    if repeated := sorted(player for player, count in Counter(players).items() if count > 1):
        raise ValueError(f"expected different players, got {', '.join(repeated)} more than once")
    check_fields(report.by, (one.fields for each in evaluation.sets for one in each.questions))
    other = None if report.against is None else _other(report.against, evaluation)
    answers: dict[str, tuple[Answer, ...]] = {}
    options = _options(evaluation, report)
    rows: dict[str, PlayerRows] = {}
    try:
        # Before anything is played, so that what cannot be made costs no games.
        judged = _judging(report)
        made = make_players(players, evaluation.make)
        for player in players:
            with counted(player, evaluation.games) as advance:
                answers[player] = evaluation.run(player, advance, made.pop(player, None))
            # Written after every player, so that nothing is lost when a later one fails.
            with waiting("working out intervals"):
                rows[player] = _rows(answers[player], other, report, judged)
            _write(rows, title, options, report)
    except SmolLM2Missing as missing:
        sys.exit(f"ssp: {missing}")
    except KeyboardInterrupt:
        way_on = "the same command goes on" if evaluation.folder else "nothing was kept without --out FOLDER"
        print(f"\nssp: stopped; {way_on}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    _print(rows, answers, title, report)


def saved_and_print(files: Sequence[Path], report: Report) -> None:
    """Print and write the figures of saved answers; nothing is played.

    Raises:
        DataFileError: If a file holds no answers.
        typer.Exit: With status 1 if every attempt failed.
    """
    saved = {str(path): read_answers(path) for path in files}
    report = replace(report, folder=report.folder or files[0].parent)
    other = None if report.against is None else read_answers(report.against)
    for path, one in {**saved, **({} if other is None else {str(report.against): other})}.items():
        _warn_if_unfinished(path, one)
    answers = {path: one.answers for path, one in saved.items()}
    judged = _judging(report)
    rows = {
        path: _rows(given, other, report, judged)
        for path, given in tracked(answers.items(), "working out intervals", len(answers))
    }
    title = "Saved answers: " + "; ".join(f"{path} of {one.header['player']}" for path, one in saved.items())
    _write(rows, title, {"judge": report.judge, "saved": [one.header for one in saved.values()]}, report)
    _print(rows, answers, title, report)


def _other(path: Path, evaluation: Evaluation) -> SavedAnswers:
    """Read what players are compared with, before they play.

    Raises:
        ValueError: If it answers none of the questions.
    """
    saved = read_answers(path)
    _warn_if_unfinished(str(path), saved)
    asked = {(each.name, one.task.id) for each in evaluation.sets for one in each.questions}
    if not any(answer.question_key in asked for answer in saved.answers):
        theirs, ours = saved.header.get("sets", {}), [one.name for one in evaluation.sets]
        raise ValueError(
            f"--against {path} answers none of these questions: it is of {', '.join(theirs) or 'nothing'}, "
            f"asked are those of {', '.join(ours)}"
        )
    return saved


def _warn_if_unfinished(path: str, saved: SavedAnswers) -> None:
    """Say on stderr how many answers are still to come, unless all are there."""
    sets: Mapping[str, Mapping[str, int]] = saved.header.get("sets", {})
    expected = sum(one["questions"] for one in sets.values()) * int(saved.header.get("attempts", 1))
    have = len({answer.key for answer in saved.answers})
    if have < expected:
        problem = f"{have} of {expected} answers are there: the evaluation was stopped, or is still going on"
        print_text(Console(stderr=True), f"{path}: {problem}", style="yellow")


def _options(evaluation: Evaluation, report: Report) -> dict[str, Any]:
    scenario = next(iter(evaluation.scenarios.values()))
    return {
        "control": evaluation.control,
        "attempts": evaluation.attempts,
        "temperature": evaluation.temperature,
        "seed": evaluation.seed,
        "max_new_tokens": evaluation.max_new_tokens or "what suits each player",
        "judge": report.judge or "none: exact match, F1 and cover match alone",
        "engine": evaluation.engine,
        "top_k": scenario.rules.top_k,
        "max_turns": scenario.rules.solver.max_turns,
        "sets": {
            one.name: {"questions": len(one.questions), "digest": one.digest()} for one in evaluation.sets
        },
    }


Judged = Callable[[Sequence[Answer]], Verdicts]


def _rows(
    answers: Sequence[Answer], other: SavedAnswers | None, report: Report, judged: Judged
) -> PlayerRows:
    verdicts = judged(answers)
    scored: dict[str, Any] = {"judge": report.judge, "verdicts": verdicts}
    sets = by_set(answers, **scored)
    differences = {}
    if other is not None:
        both = [verdicts, judged(other.answers)]
        differences = compare(answers, other.answers, judge=report.judge, verdicts=both)
    return PlayerRows(
        sets,
        mean_over_sets(sets),
        {name: by_field(answers, name, **scored) for name in report.by},
        differences,
    )


def _judging(report: Report) -> Judged:
    """Make the judge, once; return what asks it for verdicts on answers.

    Raises:
        ValueError: If the name stands for nothing that can judge.
    """
    if not report.judge:
        return lambda answers: {}
    judge = judge_by_name(report.judge, report.players)

    def judged(answers: Sequence[Answer]) -> Verdicts:
        """Ask for the verdicts on answers, and say on stderr why some have none."""
        failures: dict[str, None] = {}
        verdicts = ask_judge(
            report.judge,
            judge,
            answers,
            path=None if report.folder is None else report.folder / "verdicts.jsonl",
            concurrency=report.players.concurrency,
            on_failure=lambda failure: failures.update({failure: None}),
        )
        for failure in failures:
            print_text(Console(stderr=True), f"the judge {report.judge} failed: {failure}", style="red")
        return verdicts

    return judged


def _write(rows: Mapping[str, PlayerRows], title: str, options: Mapping[str, Any], report: Report) -> None:
    data = json_data(rows, {"played": title, **options})
    for path, text in (
        (report.json_file, json.dumps(data, indent=1, allow_nan=False) + "\n"),
        (report.csv_file, csv_text(rows)),
        (report.markdown_file, markdown_text(rows, title)),
    ):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(path.name + ".part")
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)


def _print(
    rows: Mapping[str, PlayerRows], answers: Mapping[str, Sequence[Answer]], title: str, report: Report
) -> None:
    console = Console()
    print_text(console, text_table(rows, title, judge=report.judge))
    for text in _warnings(rows):
        print_text(console, text, style="red")
    given = [answer for listed in answers.values() for answer in listed]
    if given and all(answer.failure is not None for answer in given):
        raise typer.Exit(1)


def _warnings(rows: Mapping[str, PlayerRows]) -> Iterator[str]:
    for player, one in rows.items():
        for name, group in one.sets.items():
            for failure, count in group.failures.items():
                yield f"{player}, {name}: {count} failed of {failure}"
            if group.unjudged:
                yield f"{player}, {name}: the judge gave no verdict on {group.unjudged} answers"
