"""What the finished games of agents say about them: counts with their uncertainty, and a table of several."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from baselines.evaluation.intervals import Trial, clustered_interval, effective_trials
from ssp_env.game import Game, Outcome
from ssp_env.game.events import TurnTaken
from ssp_env.play import count_failures


@dataclass(frozen=True, slots=True)
class Share:
    """A count out of a total; if the total is 0, nothing is known about the proportion.

    >>> Share(8, 10).to_dict()["share"], Share(0, 0).share
    (0.8, None)

    Attributes:
        count: The count.
        total: The total.
        effective: How many independent trials tell as much as the total, `effective_trials` of them; None if
            all are independent.
    """

    count: int
    total: int
    effective: float | None = field(default=None, compare=False)

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> Share:
        """Count the successes among trials that come in clusters."""
        return cls(int(sum(success for success, _ in trials)), len(trials), effective_trials(trials))

    @property
    def share(self) -> float | None:
        """The proportion; None if the total is 0."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval."""
        return clustered_interval(
            self.count, self.total, self.total if self.effective is None else self.effective
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data with the 95 % Wilson interval."""
        low, high = self.interval
        return {"count": self.count, "total": self.total, "share": self.share, "ci95": [low, high]}

    def __str__(self) -> str:
        if not self.total:
            return "none"
        low, high = self.interval
        return f"{self.count} of {self.total}\n[{low:.2f}, {high:.2f}]"


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """Figures of one agent in both roles. A failed game counts in `errors` and in no share of games.

    Attributes:
        valid_tags: Turns of the proposer and the solver that hold a complete action.
        proposer_searches: Mean number of searches of the proposer per game; None if there was no game.
        solver_searches: Mean number of searches of the solver per attempt; None if there was no attempt.
        valid_questions: Questions that passed the rules and the RAG check.
        solved: Right attempts at the agent's own valid questions.
        known_solved: Right attempts at questions with a known answer.
        errors: Number of games that failed.
        failures: Number of failed games by kind of failure; see `ssp_env.play.count_failures`.
        reasons: Number of games in which the agent proposed, by the reason code of their outcome.
        tokens: Tokens that the agent sampled; 0 if it does not report them.
        seconds: Time that the agent took to act.
        model: Name of the agent's model where it runs.
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
        """Sampled tokens per second of the agent's time; None if it reported no tokens."""
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
    """Compute the figures of an agent from its finished games.

    Args:
        asked: Games in which the agent proposed and solved.
        known: Games that opened with a question whose answer is known.
        tokens: Tokens that the agent sampled.
        seconds: Time that it took to act.
    """
    games = [*asked, *known]
    sound, sound_known = _sound(asked), _sound(known)
    turns: list[Trial] = [
        (event.action.kind != "malformed", _clusters(game))
        for game in games
        for event in game.events
        if isinstance(event, TurnTaken)
    ]
    valid = [pair for pair in sound if pair[1].success_rate is not None]
    solving = [*valid, *sound_known]
    return AgentFigures(
        valid_tags=Share.of(turns),
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
    """The games that ended without an error, with their outcomes."""
    return [(game, game.outcome) for game in games if game.outcome and game.outcome.verdict != "error"]


def _solved(played: Iterable[tuple[Game, Outcome]]) -> Share:
    """The right attempts among all attempts, those at one question and in one world being alike."""
    trials: list[Trial] = []
    for game, outcome in played:
        right = round((outcome.success_rate or 0.0) * game.config.attempts)
        trials += [(place < right, _clusters(game)) for place in range(game.config.attempts)]
    return Share.of(trials)


def _clusters(game: Game) -> tuple[str, str]:
    """What makes trials alike: the question, or the game if it has none, and the world or corpus."""
    return (f"{game.task.corpus}/{game.question or game.id}", game.task.corpus)


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return sum(listed) / len(listed) if listed else None


# -- the table -------------------------------------------------------------------------------------------

TABLE_WIDTH = 80
CAPTION = (
    "valid tags: turns with a complete action. own solved: right attempts at the player's own valid "
    "questions. known solved: right attempts at questions with a known answer. searches: mean per game as "
    "proposer, below it mean per attempt as solver. errors: failed games, which no share of games counts. "
    "tokens: how many the player sampled, below it how many per second. In brackets: 95 % Wilson intervals, "
    "for which attempts at one question, turns of one game and questions of one of several worlds are alike."
)
_SHARES: Mapping[str, Callable[[AgentFigures], str]] = {
    "\nvalid\ntags": lambda figures: str(figures.valid_tags),
    "\nvalid\nquestions": lambda figures: str(figures.valid_questions),
    "\nown\nsolved": lambda figures: str(figures.solved),
    "\nknown\nsolved": lambda figures: str(figures.known_solved),
}
_NUMBERS: Mapping[str, Callable[[AgentFigures], str]] = {
    "searches\nproposer\nsolver": lambda figures: (
        f"{_number(figures.proposer_searches, 2)}\n{_number(figures.solver_searches, 2)}"
    ),
    "\n\nerrors": lambda figures: str(figures.errors),
    "\ntokens\nper s": lambda figures: (
        f"{_number(figures.tokens or None, 0)}\n{_number(figures.tokens_per_second, 0)}"
    ),
}


def agent_table(rows: Mapping[str, AgentFigures], title: str) -> str:
    """Return the figures of all agents as lines of text: names on lines of their own, figures below them.

    The figures fit into 80 columns whatever the names are: where one block is too wide, there are two.

    Args:
        rows: Figures by player.
        title: What was played.
    """
    blocks = [_block(rows, {**_SHARES, **_NUMBERS})]
    if max(len(line) for text in blocks[0] for line in text.splitlines()) > TABLE_WIDTH:
        blocks = [_block(rows, _SHARES), _block(rows, _NUMBERS)]
    paragraphs = [textwrap.fill(title, TABLE_WIDTH, break_long_words=False, break_on_hyphens=False)]
    for heading, *figures in blocks:
        named = zip(_labels(rows), figures, strict=True)
        paragraphs.append("\n".join([heading, *(f"{label}\n{lines}" for label, lines in named)]))
    return "\n\n".join([*paragraphs, textwrap.fill(CAPTION, TABLE_WIDTH)])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    r"""Return one text per row, with its cells in columns aligned to the right; cells may have several lines.

    >>> print(*aligned([["hops", "pass@1"], ["1", "0.838"]]), sep="\n")
    hops  pass@1
       1   0.838
    """
    cells = [[cell.split("\n") for cell in row] for row in rows]
    widths = [max(len(line) for cell in column for line in cell) for column in zip(*cells, strict=True)]
    return [
        "\n".join(
            "  ".join(part.rjust(width) for part, width in zip(line, widths, strict=True)).rstrip()
            for line in zip_longest(*row, fillvalue="")
        )
        for row in cells
    ]


def table_data(rows: Mapping[str, AgentFigures], **what: Any) -> dict[str, Any]:
    """Return the table as plain data, with what was played beside it."""
    return {**what, "agents": [{"player": player, **figures.to_dict()} for player, figures in rows.items()]}


def _block(
    rows: Mapping[str, AgentFigures], columns: Mapping[str, Callable[[AgentFigures], str]]
) -> list[str]:
    return aligned(
        [list(columns), *([cell(figures) for cell in columns.values()] for figures in rows.values())]
    )


def _labels(rows: Mapping[str, AgentFigures]) -> list[str]:
    """Name each row by model and back end, and by the player where several rows share both."""
    sources = Counter((figures.model, figures.back_end) for figures in rows.values())
    return [
        f"{figures.model} ({figures.back_end}"
        + (f", {player})" if sources[figures.model, figures.back_end] > 1 else ")")
        for player, figures in rows.items()
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
