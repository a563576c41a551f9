"""What a finished game tells an auditor: rejections by reason, and agreement on labels that are false."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ssp_env.game import Game
from ssp_env.game.events import AnswerScored
from ssp_env.game.leaks import mentions
from ssp_env.game.view import READINGS
from ssp_env.scoring import exact_match

Oracle = Callable[[str], Collection[str] | None]
"""All right answers of a question, several if it is ambiguous; none if it has no answer; None if unknown."""
AUDIT_NAMES = (
    *("valid", "error", "rejected", "searches_with_answer", "paid_attempts"),
    *("label_true", "false_agreement", "false_payments"),
)
"""Everything `audit` counts, but for `rejected/<reason>`."""


def audit(game: Game, oracle: Oracle | None = None) -> dict[str, float]:
    """Measure a finished game for whoever trains or trusts its rewards; never shown to a policy as input.

    Args:
        game: A game with an outcome.
        oracle: Knows the right answers of questions, as a generated world does.

    Returns:
        Counters of this game, whose means over games are rates. Always there are `valid`, `error`, `rejected`
        (with `rejected/<reason>` beside it), `searches_with_answer`, how many of the proposer's searches name
        the answer, and `paid_attempts`. If an oracle knows the question there are also `label_true`, whether
        the label is its only right answer; `false_agreement`, whether the reader recovered a label that is
        not; and `false_payments`, attempts paid for such a label.

    Raises:
        ValueError: If the game is not over.
    """
    outcome = game.outcome
    if outcome is None:
        raise ValueError(f"game {game.id!r} is not over, nothing to audit yet")
    scored = [event for event in game.events if isinstance(event, AnswerScored) and event.correct]
    paid = sum(event.seat in game.seats for event in scored)
    found = {
        "valid": float(outcome.verdict == "valid"),
        "error": float(outcome.verdict == "error"),
        "rejected": float(outcome.verdict == "invalid"),
        "searches_with_answer": float(sum(mentions(query, game.golds) for query in game.queries)),
        "paid_attempts": float(paid) if outcome.verdict == "valid" else 0.0,
    }
    if outcome.verdict == "invalid":
        found[f"rejected/{outcome.reason}"] = 1.0
    answers = oracle(outcome.question) if oracle and outcome.question else None
    if answers is not None:
        label_true = bool(answers) and all(exact_match(answer, game.golds) for answer in answers)
        found["label_true"] = float(label_true)
        recovered = any(event.seat == READINGS["recovery"] for event in scored)
        found["false_agreement"] = float(recovered and not label_true)
        found["false_payments"] = 0.0 if label_true else found["paid_attempts"]
    return found
