"""What an agent's finished games say about it: counts with their uncertainty, failures apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ssp_env.game import Game, Outcome
from ssp_env.game.events import TurnTaken
from ssp_env.play import count_failures
from ssp_env.scoring import wilson_interval


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a total; without a total nothing is known.

    >>> Share(8, 10).to_dict()["share"], Share(0, 0).share
    (0.8, None)
    """

    count: int
    total: int

    @property
    def share(self) -> float | None:
        """The proportion; None without a total."""
        return self.count / self.total if self.total else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data with the 95 % Wilson interval."""
        low, high = wilson_interval(self.count, self.total)
        return {"count": self.count, "total": self.total, "share": self.share, "ci95": [low, high]}

    def __str__(self) -> str:
        if not self.total:
            return "none"
        low, high = wilson_interval(self.count, self.total)
        return f"{self.count} of {self.total}\n[{low:.2f}, {high:.2f}]"


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """Figures of one agent in both roles. A game that failed counts in `errors` and in no share of outcomes.

    Attributes:
        valid_tags: Turns of proposer and solver that hold a complete action.
        proposer_searches: Mean searches of the proposer per game; None if there was no game.
        solver_searches: Mean searches of the solver per attempt that was played; None if there was none.
        valid_questions: Questions that rules and reader let pass.
        solved: Attempts at the agent's own valid questions that were right.
        known_solved: Attempts at questions with a known answer that were right.
        errors: Games that failed.
        failures: Numbers of games that failed, by kind of failure; see `ssp_env.play.count_failures`.
        reasons: Ends of the games in which the agent asked, by reason code.
        tokens: Tokens sampled while it was measured; 0 if the agent gives none.
        seconds: Time the agent took for them.
        model: The agent's model, by the name it has where it runs.
        back_end: What runs the model.
    """

    valid_tags: Share
    proposer_searches: float | None
    solver_searches: float | None
    valid_questions: Share
    solved: Share
    known_solved: Share
    errors: int
    failures: dict[str, int]
    reasons: dict[str, int]
    tokens: int = 0
    seconds: float = 0.0
    model: str = ""
    back_end: str = ""

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens sampled per second of the agent's time; None if there were none."""
        return self.tokens / self.seconds if self.tokens and self.seconds else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        names = ("valid_tags", "valid_questions", "solved", "known_solved")
        return {
            "model": self.model,
            "back_end": self.back_end,
            **{name: getattr(self, name).to_dict() for name in names},
            "proposer_searches": self.proposer_searches,
            "solver_searches": self.solver_searches,
            "errors": self.errors,
            "failures": self.failures,
            "reasons": self.reasons,
            "tokens": self.tokens,
            "tokens_per_second": self.tokens_per_second,
        }


def count_figures(
    asked: Sequence[Game], known: Sequence[Game], *, tokens: int = 0, seconds: float = 0.0
) -> AgentFigures:
    """Count over finished games.

    Args:
        asked: Games in which the agent asked and answered.
        known: Games that opened with a question whose answer is known.
        tokens: Tokens the agent sampled.
        seconds: Time it took.
    """
    games = [*asked, *known]
    sound, sound_known = _sound(asked), _sound(known)
    turns = [event for game in games for event in game.events if isinstance(event, TurnTaken)]
    valid = [pair for pair in sound if pair[1].success_rate is not None]
    solving = [*valid, *sound_known]
    return AgentFigures(
        valid_tags=Share(sum(turn.action.kind != "malformed" for turn in turns), len(turns)),
        proposer_searches=_mean(outcome.metrics["proposer_searches"] for _, outcome in sound),
        solver_searches=_mean(
            outcome.metrics["solver_searches"] / game.config.attempts for game, outcome in solving
        ),
        valid_questions=Share(len(valid), len(sound)),
        solved=_solved(valid),
        known_solved=_solved(sound_known),
        errors=len(games) - len(sound) - len(sound_known),
        failures=count_failures(game.outcome for game in games),
        reasons=dict(Counter(game.outcome.reason for game in asked if game.outcome).most_common()),
        tokens=tokens,
        seconds=seconds,
    )


def _sound(games: Iterable[Game]) -> list[tuple[Game, Outcome]]:
    """Games that came to an end of their own, with it."""
    return [(game, game.outcome) for game in games if game.outcome and game.outcome.verdict != "error"]


def _solved(played: Iterable[tuple[Game, Outcome]]) -> Share:
    """Right attempts of all attempts."""
    right = [((outcome.success_rate or 0.0) * game.config.attempts, game) for game, outcome in played]
    return Share(round(sum(count for count, _ in right)), sum(game.config.attempts for _, game in right))


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return sum(listed) / len(listed) if listed else None
