"""How a game ended: verdict, reason, rewards and audit counters, all derived from its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ssp_env.game.config import GameConfig
from ssp_env.game.events import Event, EvidenceMixed, PageOpened, ReadingGiven, SearchReturned, TurnTaken
from ssp_env.game.protocol import PROTOCOLS
from ssp_env.game.rules import RULE_CODES
from ssp_env.game.shortening import shown_evidence, shown_result
from ssp_env.game.view import PROPOSER_SEAT, Probe

Verdict = Literal["valid", "invalid", "error"]
REASON_CODES = (
    *("malformed", "turn_limit", "token_limit"),
    *RULE_CODES,
    *("no_reading", "unquoted", "misquoted", "not_recovered", "closed_book", "not_unique", "not_confirmed"),
    *("solved", "unsolved"),
    "error",
)
"""Every `Outcome.reason`, in the order in which a game can meet them."""

REFUSED_BY: Mapping[Probe, str] = {
    "recovery": "not_recovered",
    "closed_book": "closed_book",
    "uniqueness": "not_unique",
    "second_recovery": "not_confirmed",
}
"""The reason of a question that a reading refuses."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a game.

    Attributes:
        verdict: `valid`, `invalid` (see `reason`) or `error` (infrastructure failed; nobody is paid).
        reason: One of `REASON_CODES`: `solved` or `unsolved` for a valid question, `error` for an error.
        question: The proposed question; empty if there was none.
        success_rate: Mean success p of the solver's attempts; None unless the verdict is `valid`.
        rewards: Reward per seat, seats that never played included.
        metrics: Counters over the whole game.
        failure: What failed and where, `search for solver_0: TimeoutError: no reply` say; None unless the
            verdict is `error`.
    """

    verdict: Verdict
    reason: str
    question: str
    success_rate: float | None
    rewards: dict[str, float]
    metrics: dict[str, float]
    failure: str | None = None


def count_metrics(events: Sequence[Event], config: GameConfig) -> dict[str, float]:
    """Count searches, turns, malformed turns, self-written observation tags, dropped text and calls.

    Opened parts of pages are counted under protocols that have an action for that.
    `cut_passage_chars` are the characters of passages that the rules left out where players were shown them.
    `second_readings` is counted where the rules ask for them.
    """
    turns = [event for event in events if isinstance(event, TurnTaken)]
    searches = [event.seat for event in events if isinstance(event, SearchReturned)]
    opens = [event.seat for event in events if isinstance(event, PageOpened)]
    counted = {
        "proposer_opens": float(opens.count(PROPOSER_SEAT)),
        "solver_opens": float(len(opens) - opens.count(PROPOSER_SEAT)),
    }
    second = sum(isinstance(event, ReadingGiven) and event.probe == "second_recovery" for event in events)
    return {
        "proposer_searches": float(sum(seat == PROPOSER_SEAT for seat in searches)),
        "solver_searches": float(sum(seat != PROPOSER_SEAT for seat in searches)),
        "turns": float(len(turns)),
        "malformed_turns": float(sum(turn.action.kind == "malformed" for turn in turns)),
        "spoofed_tags": float(sum(turn.action.spoofed for turn in turns)),
        "dropped_chars": float(sum(turn.action.dropped for turn in turns)),
        "dropped_calls": float(sum(turn.action.dropped_calls for turn in turns)),
        "cut_passage_chars": float(sum(cut_passage_chars(event, config) for event in events)),
        **(counted if PROTOCOLS[config.protocol].open else {}),
        **({"second_readings": float(second)} if config.second_reading else {}),
    }


def cut_passage_chars(event: Event, config: GameConfig) -> int:
    """Count the characters of passages that a player was not shown when this happened."""
    if isinstance(event, SearchReturned | PageOpened):
        return shown_result(event.passages, config).cut_chars
    if isinstance(event, EvidenceMixed):
        return shown_evidence(event.passages, config).cut_chars
    return 0
