"""Floors and controls on question files and on held-out worlds: `python -m benchmarks.evaluation_sets`.

Every player plays the game, answers from memory, and reads the supporting passages. It says how much of a
figure a set gives away; nobody tunes on it. It needs `ssp-env[train]`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from agents.scripted import SCRIPTED
from baselines.evaluation.controls import CONTROLS
from baselines.evaluation.figures import by_field, by_set, mean_over_sets
from baselines.evaluation.preparation import prepare_models
from baselines.evaluation.question_sets import QuestionSet, read_question_sets, world_set
from baselines.evaluation.run import Evaluation
from baselines.evaluation.tables import PlayerRows, json_data, markdown_text
from ssp_env.cli.options import print_text
from ssp_env.cli.progress import counted
from ssp_env.scenario import Scenario, open_scenario

FLOOR = "agents.scripted.titles:TitlePlayer"


def rows_of(
    sets: Sequence[QuestionSet],
    scenarios: Mapping[str, Scenario],
    player: str,
    *,
    by: str = "",
    folder: Path | None = None,
    **options: Any,
) -> dict[str, PlayerRows]:
    """Let a player answer under every control that it can play under; return its rows by condition."""
    rows = {}
    for control in CONTROLS:
        if control != "search" and player in SCRIPTED["solver"] and player not in SCRIPTED["reader"]:
            continue
        kept = None if folder is None else folder / control
        evaluation = Evaluation(sets, scenarios, control, folder=kept, **options)
        with counted(f"{player}, {control}", evaluation.games) as advance:
            answers = evaluation.run(player, advance)
        found = by_set(answers)
        fields = {by: by_field(answers, by)} if by else {}
        rows[f"{_shown(player)}, {control}"] = PlayerRows(found, mean_over_sets(found), fields)
    return rows


def _shown(player: str) -> str:
    """Name a folder by its last two parts, and an object by itself, so that no machine is named."""
    path = Path(player)
    return "/".join(path.parts[-2:]) if path.is_dir() else player.rpartition(":")[2]


def main(
    corpus: Annotated[Path, typer.Option(help="Passages that the questions are about.")],
    questions: Annotated[list[Path], typer.Option(help="Question file; may be repeated.")],
    player: Annotated[list[str], typer.Option(help="Player on all questions; may be repeated.")] = [FLOOR],  # noqa: B006
    sampled: Annotated[
        list[str] | None, typer.Option(help="Player on a sample of the questions; may be repeated.")
    ] = None,
    sample: Annotated[int, typer.Option(help="Questions of each file for those.", min=1)] = 20,
    world_player: Annotated[
        list[str], typer.Option(help="Player on held-out tiny worlds; may be repeated.")
    ] = ["guess", "weak", "perfect"],  # noqa: B006
    known: Annotated[int, typer.Option(help="Questions of worlds for each number of hops.", min=1)] = 240,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads of torch.", min=1)] = 2,
    out: Annotated[Path | None, typer.Option(help="Folder that keeps the answers.")] = None,
    results: Annotated[Path, typer.Option(help="JSON file of the figures.")] = Path(
        "results/evaluation_real_sets.json"
    ),
) -> None:
    """Measure, print the tables in Markdown and write the figures."""
    prepare_models([*player, *(sampled or ()), *world_player], threads)
    sets = [one for path in questions for one in read_question_sets(path)]
    scenarios = {"": open_scenario(corpus=corpus, questions=questions[0])}
    worlds, opened = world_set("tiny", count=known)
    tables: dict[str, tuple[str, dict[str, PlayerRows]]] = {
        "questions": (f"{_described(sets)}; greedy", {}),
        "sample": (f"{sample} questions of each file, drawn by seed {seed}; greedy", {}),
        "worlds": (f"{_described([worlds])} of {len(opened)} worlds; temperature 1", {}),
    }
    drawn = [one.draw(sample, seed) for one in sets]
    parts: list[tuple[str, list[str], list[QuestionSet], Mapping[str, Scenario], dict[str, Any]]] = [
        ("questions", player, sets, scenarios, {}),
        ("sample", list(sampled or ()), drawn, scenarios, {}),
        ("worlds", world_player, [worlds], opened, {"temperature": 1.0, "by": "hops"}),
    ]
    for place, names, asked, searched, options in parts:
        folder = None if out is None else out / place
        for name in names:
            tables[place][1].update(rows_of(asked, searched, name, folder=folder, seed=seed, **options))
    data = {
        place: json_data(rows, {"played": title, "seed": seed}) for place, (title, rows) in tables.items()
    }
    _write_and_print(data, tables, results)


def _write_and_print(
    data: Mapping[str, Any], tables: Mapping[str, tuple[str, dict[str, PlayerRows]]], results: Path
) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(data, indent=1) + "\n")
    console = Console()
    for title, rows in tables.values():
        if rows:
            print_text(console, markdown_text(rows, title))


def _described(sets: Sequence[QuestionSet]) -> str:
    return ", ".join(f"{one.name} ({len(one.questions)})" for one in sets)


if __name__ == "__main__":
    typer.run(main)
