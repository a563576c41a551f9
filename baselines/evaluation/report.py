"""What `ssp eval` does with answers: how figures are broken down and compared, and where they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.player_names import PlayerOptions


@dataclass(frozen=True)
class Report:
    """How answers are reported.

    Attributes:
        by: Fields of the questions by which figures are broken down.
        judge: Name of the judge of answers that fail exact match; empty for none.
        against: Saved answers that every player is compared with.
        players: What a judge made by name is told.
        folder: Folder in which verdicts are kept; None keeps none.
        json_file: File for all figures as JSON.
        csv_file: File for all figures as CSV.
        markdown_file: File for the table as Markdown.
    """

    by: Sequence[str] = ()
    judge: str = ""
    against: Path | None = None
    players: PlayerOptions = field(default_factory=PlayerOptions)
    folder: Path | None = None
    json_file: Path | None = None
    csv_file: Path | None = None
    markdown_file: Path | None = None
