"""The unit of retrieved evidence, shared by the game, the search engines and the worlds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """One retrievable piece of text.

    Attributes:
        id: Identifier, unique within its corpus; engines break score ties by it.
        title: Title of the page the passage belongs to.
        text: Body text.
        score: Engine-specific relevance, higher is better; 0.0 outside a ranking.
    """

    id: str
    title: str
    text: str
    score: float = 0.0
