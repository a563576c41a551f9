"""Figures of several agents as one table, for people and as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from baselines.agent_figures import AgentFigures

CAPTION = (
    "valid tags: turns with a complete action; searches: mean per game; own solved: attempts at the player's "
    "own valid questions; known solved: attempts at given questions; errors: games that failed, in no other "
    "count of games; in brackets 95 % Wilson intervals"
)


def agent_table(rows: Mapping[str, AgentFigures], title: str) -> Table:
    """Return the figures of all agents as a table, with 95 % Wilson intervals.

    Players with the same model and back end, two servers for instance, are told apart by their names.

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
    sources = Counter((figures.model, figures.back_end) for figures in rows.values())
    for player, figures in rows.items():
        alike = sources[figures.model, figures.back_end] > 1
        table.add_row(
            f"{figures.model}\n{player}" if alike else figures.model,
            figures.back_end,
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
    return {**what, "agents": [{"player": player, **figures.to_dict()} for player, figures in rows.items()]}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
