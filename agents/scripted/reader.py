"""Readers that answer chain questions from given passages alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agents.scripted.mixture import Strength, draw_strategy, pick, resolve_mixture
from agents.scripted.notes import NOTHING, TERSE, Notes, quoting, walk
from ssp_env.game import View

READER_STRATEGIES = ("chain", "random_value")

READER_STRENGTHS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"perfect": {"chain": 1.0}, "guess": {"random_value": 1.0}}
)
"""Mixtures by name."""


class ScriptedReader:
    """Plays the RAG check of the terse game.

    Strategies: `chain` follows the question through the passages and quotes the facts it uses, then answers;
    if a link is missing, it answers `none`: there is no such fact. `random_value` answers with any value in
    the passage of the entity the question names, or in any passage if that one is not there; it quotes
    nothing.

    Args:
        strength: A key of `READER_STRENGTHS`, or weights of one's own by strategy.
        seed: Seed of every random choice.

    Raises:
        ValueError: If the strength is unknown or its weights are no mixture.
    """

    def __init__(self, strength: Strength = "perfect", seed: int = 0) -> None:
        self.mixture = resolve_mixture(strength, READER_STRENGTHS, READER_STRATEGIES)
        self.seed = seed

    def act(self, view: View) -> str:
        """Read and answer."""
        notes = Notes.take(view, "answer")
        question = notes.question()
        if draw_strategy(self.mixture, self.seed, view) == "chain":
            walked = walk(question, notes.facts)
            return quoting(
                walked.steps, TERSE.wrap(TERSE.answer, NOTHING if walked.missing else walked.trail[-1])
            )
        near = [fact.target for fact in notes.facts if fact.subject == question.entity]
        # Sorted, so that the order of the passages plays no part.
        values = sorted(near or [fact.target for fact in notes.facts] or [question.entity])
        return TERSE.wrap(TERSE.answer, pick(values, self.seed, view, "value"))
