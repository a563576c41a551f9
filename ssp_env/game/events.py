"""What happened in a game, as an append-only list of typed events.

What a model wrote (`TurnTaken`, `ReadingGiven`) and what the environment did are different types; evidence,
counters and records derive from these and from nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ssp_env.game.passage import Passage
from ssp_env.game.protocol import Action
from ssp_env.game.protocol.notices import Notice
from ssp_env.game.view import Probe, Reply


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """A player wrote `reply`; `action` is what the protocol read in it."""

    seat: str
    reply: Reply
    action: Action


@dataclass(frozen=True, slots=True)
class SearchReturned:
    """The engine answered a seat's query."""

    seat: str
    query: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class PageOpened:
    """A seat opened a part of a page, the passage `passage_id`; there is none if the engine has lost it."""

    seat: str
    passage_id: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class NoticeGiven:
    """The environment told a seat that its action had no effect."""

    seat: str
    notice: Notice


@dataclass(frozen=True, slots=True)
class SeatForfeited:
    """A seat ended without a final action: `malformed`, `turn_limit` or `token_limit`."""

    seat: str
    code: str


@dataclass(frozen=True, slots=True)
class QuestionProposed:
    """The proposer's question; `code` names the rule it breaks, empty if none."""

    question: str
    code: str


@dataclass(frozen=True, slots=True)
class EvidenceMixed:
    """The passages the reader sees, in order; `noise_ids` tells which are noise."""

    passages: tuple[Passage, ...]
    noise_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class ReadingGiven:
    """The reader wrote `reply`; `action` is what the protocol read in it, `probe` what it was asked for."""

    reply: Reply
    action: Action
    probe: Probe = "recovery"


@dataclass(frozen=True, slots=True)
class QuotationsChecked:
    """What a reader or solver quoted; `missing` stand in no passage that it was shown.

    `seat` is that of `AnswerScored`: what stands in the place of a reader's seat says what it read for.
    """

    seat: str
    quotations: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerScored:
    """A reader's or solver's answer was compared with the right answers, by `exact_match` or by a `judge`.

    The answer of a solver whose quotations do not count is wrong by `unquoted` or `misquoted`.
    """

    seat: str
    answer: str
    correct: bool
    scorer: str


@dataclass(frozen=True, slots=True)
class GameBroken:
    """Infrastructure failed while `request_id` was open; `detail` says what and where. It pays nobody."""

    request_id: str
    detail: str


Event: TypeAlias = (
    TurnTaken
    | SearchReturned
    | PageOpened
    | NoticeGiven
    | SeatForfeited
    | QuestionProposed
    | EvidenceMixed
    | ReadingGiven
    | QuotationsChecked
    | AnswerScored
    | GameBroken
)
