"""`ssp eval --games`: players side by side in both roles, played and printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from agents.smollm2 import SmolLM2Missing
from baselines.evaluation.agent_figures import agent_table, table_data
from baselines.evaluation.agent_measurement import AgentTasks, Measurement
from baselines.evaluation.preparation import make_players
from ssp_env.cli.options import print_text
from ssp_env.cli.progress import counted
from ssp_env.scenario import Scenario


def check_side_by_side(players: list[str], games: int, known: int | None, questions: Path | None) -> None:
    """Refuse a comparison that has nothing to play.

    Raises:
        ValueError: If players repeat, or there are neither games nor known questions.
    """
    if repeated := sorted({player for player in players if players.count(player) > 1}):
        raise ValueError(f"expected different players, got {', '.join(repeated)} more than once")
    if games == 0 and not known and not questions:
        raise ValueError(
            "--games 0 plays no games, so that only known questions are asked: say how many with --known N"
        )


def measurement(scenario: Scenario, games: int, known: int, seed: int, **options: Any) -> Measurement:
    """Draw the tasks of all players; the options are those of `Measurement`."""
    return Measurement(AgentTasks.draw(scenario, games=games, known=known, seed=seed), seed=seed, **options)


def print_side_by_side(measurement: Measurement, players: list[str], json_file: Path | None) -> None:
    """Let every player play, print the table, and write it.

    Raises:
        typer.Exit: With status 1 if every game failed.
        SystemExit: If SmolLM2 is wanted and not installed.
    """
    console = Console()
    asked, known = measurement.tasks.asked, measurement.tasks.known
    counts = f"{len(asked)} games, {len(known)} known questions; seed {measurement.seed}"
    what = f"{measurement.tasks.scenario.description}; {counts}"
    rows = {}
    try:
        # Before anything is played, so that what cannot be made costs no games.
        made = make_players(players, measurement.make)
    except SmolLM2Missing as missing:
        sys.exit(f"ssp: {missing}")
    if measurement.folder is not None:
        measurement.folder.mkdir(parents=True, exist_ok=True)
    for player in players:
        with counted(player, len(asked) + len(known)) as advance:
            rows[player] = measurement.run(player, advance, made.pop(player, None))
        # Written after every player, so that nothing is lost when a later one fails.
        if json_file is not None:
            json_file.write_text(
                json.dumps(table_data(rows, played=what, **measurement.options()), indent=2) + "\n"
            )
    print_text(console, agent_table(rows, what))
    for player, figures in rows.items():
        for failure, count in figures.failures.items():
            print_text(console, f"{player}: {count} failed of {failure}", style="red")
    if all(figures.errors == len(asked) + len(known) > 0 for figures in rows.values()):
        raise typer.Exit(1)
