"""Figures of several agents as one table, for people and as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from agents.scripted import SCRIPTED
from baselines.agent_figures import AgentFigures

CAPTION = (
    "valid tags: turns with a complete action; searches: mean per game; own solved: attempts at the player's "
    "own valid questions; known solved: attempts at given questions; errors: games that failed, in no other "
    "count of games; in brackets 95 % Wilson intervals"
)


def model_and_back_end(player: str) -> tuple[str, str]:
    """Split a player's name into its model and what runs it.

    >>> model_and_back_end("vllm:smollm2"), model_and_back_end("smollm2"), model_and_back_end("weak")
    (('smollm2', 'vllm'), ('smollm2', 'transformers'), ('weak', 'scripted'))
    """
    if player in SCRIPTED["solver"]:
        return player, "scripted"
    back_end, colon, model = player.partition(":")
    return (
        (model, back_end) if colon and back_end.isalnum() and len(back_end) > 1 else (player, "transformers")
    )


def agent_table(rows: Mapping[str, AgentFigures], title: str) -> Table:
    """Return the figures of all agents as a table, with 95 % Wilson intervals.

    Args:
        rows: Figures by player.
        title: What was played.
    """
    table = Table(title=title, title_justify="left", caption=CAPTION, caption_justify="left")
    for heading in ("model", "back end"):
        table.add_column(heading)
    for heading in (
        "valid tags",
        "searches",
        "valid questions",
        "own solved",
        "known solved",
        "errors",
        "tokens/s",
    ):
        table.add_column(heading, justify="right")
    for player, figures in rows.items():
        table.add_row(
            *model_and_back_end(player),
            str(figures.valid_tags),
            f"{_number(figures.proposer_searches)} asking\n{_number(figures.solver_searches)} solving",
            str(figures.valid_questions),
            str(figures.solved),
            str(figures.known_solved),
            str(figures.errors),
            "-" if figures.tokens_per_second is None else f"{figures.tokens_per_second:,.0f}",
        )
    return table


def table_data(rows: Mapping[str, AgentFigures], **what: Any) -> dict[str, Any]:
    """Return the table as plain data, with what was played beside it."""
    agents = []
    for player, figures in rows.items():
        model, back_end = model_and_back_end(player)
        agents.append({"player": player, "model": model, "back_end": back_end, **figures.to_dict()})
    return {**what, "agents": agents}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
