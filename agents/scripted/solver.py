"""Solvers that answer chain questions by searching, more or less far."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agents.scripted.mixture import Strength, draw_strategy, pick, resolve_mixture
from agents.scripted.notes import TERSE, Notes, quoting, walk
from ssp_env.game import View
from ssp_env.worlds import TerseFact, TerseQuestion

SOLVER_STRATEGIES = ("chain", "two_hops", "one_hop", "random_value", "start_entity")

_CHAINS = ("chain", "two_hops")

SOLVER_STRENGTHS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "perfect": {"chain": 1.0},
        "chain": {"chain": 1.0},
        "one_hop": {"one_hop": 1.0},
        "guess": {"random_value": 0.75, "start_entity": 0.25},
        "hopeless": {"start_entity": 1.0},
        # A policy cloned from it has all to gain, and two hops do not teach it three.
        "weak": {"chain": 0.1, "two_hops": 0.25, "one_hop": 0.45, "random_value": 0.15, "start_entity": 0.05},
    }
)
"""Mixtures by name. `hopeless` is never right, since a valid question does not name its answer."""


class ScriptedSolver:
    """Plays `solver_0`, `solver_1`, ... in the terse game.

    Strategies: `chain` searches each entity of the chain in turn, then answers; `two_hops` does so as if
    the question ended after two hops; `one_hop` searches the entity the question names and answers with the
    relation next to it, so it is right for one hop only; `random_value` makes the same search and answers
    with any value in that passage; `start_entity` answers with the entity the question names. The first three
    quote the fact that led to an entity when they search it or answer with it; guesses quote nothing.

    Args:
        strength: A key of `SOLVER_STRENGTHS`, or weights of one's own by strategy.
        seed: Seed of every random choice; the strategy is drawn once per conversation.

    Raises:
        ValueError: If the strength is unknown or its weights are no mixture.
    """

    def __init__(self, strength: Strength = "weak", seed: int = 0) -> None:
        self.mixture = resolve_mixture(strength, SOLVER_STRENGTHS, SOLVER_STRATEGIES)
        self.seed = seed

    def act(self, view: View) -> str:
        """Search or answer."""
        notes = Notes.take(view, "answer")
        strategy = draw_strategy(self.mixture, self.seed, view)
        query = _next_query(notes, strategy)
        if query and view.may_search:
            # A chain that goes in a circle reaches an entity more than once: the first time counts.
            steps = walk(_question(notes, strategy), notes.facts).steps
            reason = [fact for fact in steps if fact.target == query][:1]
            return quoting(reason, TERSE.wrap(TERSE.search, query))
        reason, answer = self._answer(notes, strategy, view)
        return quoting(reason, TERSE.wrap(TERSE.answer, answer))

    def _answer(self, notes: Notes, strategy: str, view: View) -> tuple[list[TerseFact], str]:
        question = _question(notes, strategy)
        if strategy == "start_entity":
            return [], question.entity
        walked = walk(question, notes.facts)
        if strategy in _CHAINS and question.relations:
            return list(walked.steps[-1:]), walked.trail[-1]
        if strategy == "one_hop" and walked.steps:
            return [walked.steps[0]], walked.steps[0].target
        about = [fact.target for fact in notes.facts if fact.subject == question.entity]
        values = about or [fact.target for fact in notes.facts] or [question.entity]
        return [], pick(values, self.seed, view, "value")


def _question(notes: Notes, strategy: str) -> TerseQuestion:
    """The question as a strategy sees it; the relation next to the entity is the first hop."""
    question = notes.question()
    return question._replace(relations=question.relations[-2:]) if strategy == "two_hops" else question


def _next_query(notes: Notes, strategy: str) -> str | None:
    """The search that comes next; None if it is time to answer."""
    if strategy == "start_entity":
        return None
    question = _question(notes, strategy)
    if strategy not in _CHAINS:
        return None if notes.searches else question.entity
    trail, _, missing = walk(question, notes.facts)
    # Every entity but the answer is searched, even if a passage seen on the way tells what comes after it.
    entities = trail if missing or not question.relations else trail[:-1]
    retries = (" ".join(missing),) if missing else ()
    return next((query for query in (*entities, *retries) if query not in notes.searches), None)
