"""What happened in a game, described for people, and as plain text; `terminal` prints the same in colours.

This is the spectator's view, which shows every role everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from ssp_env.game.config import GameConfig
from ssp_env.game.events import (
    AnswerScored,
    Event,
    EvidenceMixed,
    GameBroken,
    NoticeGiven,
    PageOpened,
    QuestionProposed,
    QuotationsChecked,
    ReadingGiven,
    SearchReturned,
    SeatForfeited,
    TurnTaken,
)
from ssp_env.game.outcome import Outcome
from ssp_env.game.passage import Passage
from ssp_env.game.protocol import Action
from ssp_env.game.shortening import shown_evidence, shown_result
from ssp_env.game.task import Task

SPEAKER_WIDTH = 11
QUOTE_INDENT = 2

# Control characters could drive the reader's terminal, direction overrides reorder a line, and a lone
# surrogate cannot be written to any file.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

Kind = Literal["written", "passage", "evidence", "detail", "call", "good", "bad", "error"]
"""What a part of a description is: what a player wrote, a passage that a search returned, a passage of the
reader's evidence, a neutral remark, a native tool call, or good, bad or fatal news."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what is said about an event; a terminal styles it by its kind."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Description:
    """What is said about an event.

    Attributes:
        speaker: Who acted or judged: a seat, `search`, `rules`, the scorer of an answer, ...
        parts: What there is to say, in order; at least one part.
    """

    speaker: str
    parts: tuple[Part, ...]


def describe_event(event: Event, config: GameConfig | None = None) -> Description:
    """Describe one event of a game; with its rules, passages that were cut for the player are marked."""
    match event:
        case TurnTaken():
            return Description(event.seat, tuple(_written(event.action)))
        case SearchReturned():
            shown = event.passages if config is None else shown_result(event.passages, config).passages
            found = _passages("passage", event.passages, shown) or (Part("bad", "nothing found"),)
            return Description("search", (Part("detail", f"for {event.seat}: {event.query}"), *found))
        case PageOpened():
            shown = event.passages if config is None else shown_result(event.passages, config).passages
            found = _passages("passage", event.passages, shown) or (Part("bad", "nothing found"),)
            return Description("open", (Part("detail", f"for {event.seat}: {event.passage_id}"), *found))
        case NoticeGiven():
            return _remark("notice", "bad", f"to {event.seat}: {event.notice}")
        case SeatForfeited():
            return _remark(event.seat, "bad", f"forfeits: {event.code}")
        case QuestionProposed():
            judgement = f"broken ({event.code})" if event.code else "kept"
            return _remark("rules", "bad" if event.code else "good", f"{judgement}: {event.question}")
        case EvidenceMixed():
            kept = len(event.passages) - len(event.noise_ids)
            counts = f"evidence: {kept} retrieved, {len(event.noise_ids)} noise"
            shown = event.passages if config is None else shown_evidence(event.passages, config).passages
            evidence = _passages("evidence", event.passages, shown, event.noise_ids)
            return Description("RAG check", (Part("detail", counts), *evidence))
        case ReadingGiven():
            speaker = "reader" if event.probe == "recovery" else event.probe.replace("_", " ")
            return Description(speaker, tuple(_written(event.action)))
        case QuotationsChecked():
            missing = [Part("bad", f"in no passage: {text}") for text in event.missing]
            standing = len(event.quotations) - len(event.missing)
            counts = f"{event.seat}: {standing} of {len(event.quotations)} stand in the passages"
            return Description("quotations", (Part("detail", counts), *missing))
        case AnswerScored():
            judgement = "right" if event.correct else "wrong"
            said = f"{event.seat} is {judgement}: {event.answer}"
            return _remark(event.scorer, "good" if event.correct else "bad", said)
        case GameBroken():
            # The outcome, which follows at once, says what failed.
            return _remark("error", "error", f"at {event.request_id}")


def describe_outcome(outcome: Outcome) -> Description:
    """Describe how a game ended: verdict, reason or failure, success rate and every seat's reward."""
    kinds: dict[str, Kind] = {"valid": "good", "invalid": "bad", "error": "error"}
    solved = "" if outcome.success_rate is None else f", success rate {outcome.success_rate:g}"
    rewards = ", ".join(f"{seat} {reward:g}" for seat, reward in outcome.rewards.items())
    ended = outcome.failure or f"{outcome.reason}{solved}"
    verdict = Part(kinds[outcome.verdict], f"{outcome.verdict}: {ended}")
    return Description("outcome", (verdict, Part("detail", f"rewards: {rewards}")))


def describe_task(task: Task) -> str:
    """Describe what a game is about: the answer, the number of hops and the aliases."""
    aliases = f", also {'; '.join(task.aliases)}" if task.aliases else ""
    return f"{task.answer} ({task.hops} {'hop' if task.hops == 1 else 'hops'}{aliases})"


def render_task(task: Task) -> str:
    """Write what a game is about as one line of plain text."""
    return visible(f"task: {describe_task(task)}") + "\n"


def render_events(events: Iterable[Event], config: GameConfig | None = None) -> str:
    """Write events as plain text, one after the other; a list rendered in parts gives the same text.

    Args:
        events: Events of one game, in order.
        config: The rules of the game; with them, passages that were cut for the player are marked.

    Returns:
        Whole lines, the last one closed. Only the first line of an event begins at the margin, with who acted
        or judged. What players wrote is indented by two more spaces than what the environment says.
    """
    return "".join(_plain(describe_event(event, config)) for event in events)


def render_outcome(outcome: Outcome) -> str:
    """Write how a game ended as plain text: verdict, reason, success rate and every seat's reward."""
    return _plain(describe_outcome(outcome))


def visible(text: str) -> str:
    r"""Escape the characters of a text that must not reach a terminal; line breaks and tabs stay.

    >>> print(visible("blue\x1b[2J whale"))
    blue\x1b[2J whale
    """
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _plain(description: Description) -> str:
    # Continued lines are indented like a quotation, so that no text can pass for a remark or another event.
    margin, quoted = " " * (SPEAKER_WIDTH + 1), " " * (SPEAKER_WIDTH + 1 + QUOTE_INDENT)
    lines = [
        (quoted if part.kind == "written" else margin) + visible(part.text).replace("\n", f"\n{quoted}")
        for part in description.parts
    ]
    lines[0] = f"{description.speaker:{SPEAKER_WIDTH}} {lines[0][len(margin) :]}"
    return "\n".join(lines) + "\n"


def _remark(speaker: str, kind: Kind, text: str) -> Description:
    return Description(speaker, (Part(kind, text),))


def _written(action: Action) -> Iterator[Part]:
    """What a player wrote, and what the environment remarks about it."""
    text = action.text.strip()
    if text or (action.call is None and not action.code):
        yield Part("written", text)
    if action.call is not None:
        yield Part("call", f"calls {action.call.name}: {action.call.arguments}")
    if action.spoofed:
        yield Part("bad", f"(observation tags of its own, without effect: {action.spoofed})")
    if action.dropped:
        yield Part("bad", f"(characters after the action, dropped: {action.dropped})")
    if action.dropped_calls:
        yield Part("bad", f"(further calls, without effect: {action.dropped_calls})")
    if action.code:
        yield Part("bad", f"(malformed: {action.code})")


def _passages(
    kind: Kind,
    passages: Sequence[Passage],
    shown: Sequence[Passage],
    noise_ids: frozenset[str] = frozenset(),
) -> tuple[Part, ...]:
    """One part per passage, named by its title or else its id, and a remark where it was cut."""
    parts = []
    for passage, seen in zip(passages, shown, strict=True):
        noise = ", noise" if passage.id in noise_ids else ""
        parts.append(Part(kind, f"[{passage.title or passage.id}{noise}] {passage.text}"))
        if seen != passage:
            kept = _common(passage.title, seen.title) + _common(passage.text, seen.text)
            whole = len(passage.title) + len(passage.text)
            parts.append(Part("bad", f"(cut: the player was shown {kept:,} of {whole:,} characters)"))
    return tuple(parts)


def _common(text: str, shown: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, shown)))
