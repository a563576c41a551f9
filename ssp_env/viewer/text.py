"""What happened in a game as text for people: the spectator's view, which hides nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ssp_env.game.events import (
    AnswerScored,
    Event,
    EvidenceMixed,
    GameBroken,
    NoticeGiven,
    QuestionProposed,
    ReadingGiven,
    SearchReturned,
    SeatForfeited,
    TurnTaken,
)
from ssp_env.game.outcome import Outcome
from ssp_env.game.protocol import Action
from ssp_env.game.task import Task
from ssp_env.passage import Passage

# Control characters could drive the reader's terminal, direction overrides reorder a line, and a lone
# surrogate cannot be written to any file.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Spell out the characters of a text that must not reach a terminal; line breaks and tabs stay.

    >>> print(visible("blue\x1b[2J whale"))
    blue\x1b[2J whale
    """
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def render_task(task: Task) -> str:
    """Describe what a game is about, in one line."""
    aliases = f", also {'; '.join(task.aliases)}" if task.aliases else ""
    return visible(f"task: {task.answer} ({task.hops} {'hop' if task.hops == 1 else 'hops'}{aliases})") + "\n"


def render_events(events: Iterable[Event]) -> str:
    """Describe events one after the other; rendering a list in parts gives the parts of its rendering.

    Args:
        events: Events of one game, in order.

    Returns:
        Whole lines, the last one closed; what players and pages wrote is indented by four spaces.
    """
    return "".join(visible(render_event(event)) + "\n" for event in events)


def render_outcome(outcome: Outcome) -> str:
    """Describe how a game ended: verdict, reason and every seat's reward, in one line."""
    rewards = ", ".join(f"{seat} {reward:g}" for seat, reward in outcome.rewards.items())
    solved = "" if outcome.success_rate is None else f", success rate {outcome.success_rate:g}"
    return f"outcome: {outcome.verdict}, {outcome.reason}{solved}; rewards: {rewards}\n"


def render_event(event: Event) -> str:
    """Describe one event, without a line break at the end."""
    match event:
        case TurnTaken():
            return f"{event.seat}:\n{_written(event.action)}"
        case SearchReturned():
            return f"search for {event.seat}: {_continued(event.query)}\n{_listed(event.passages)}"
        case NoticeGiven():
            return f"notice to {event.seat}: {event.notice}"
        case SeatForfeited():
            return f"forfeit of {event.seat}: {event.code}"
        case QuestionProposed():
            judgement = f"breaks {event.code}" if event.code else "keeps the rules"
            return f"question, {judgement}: {_continued(event.question)}"
        case EvidenceMixed():
            return f"evidence for the reader:\n{_listed(event.passages, event.noise_ids)}"
        case ReadingGiven():
            asked = "" if event.probe == "recovery" else f" ({event.probe})"
            return f"reader{asked}:\n{_written(event.action)}"
        case AnswerScored():
            judgement = "right" if event.correct else "wrong"
            return f"{event.seat} is {judgement} by {event.scorer}: {_continued(event.answer)}"
        case GameBroken():
            return f"broken at {event.request_id}: {_continued(event.detail)}"


def _written(action: Action) -> str:
    lines = [_indented(action.text)] if action.text or action.call is None else []
    if action.call is not None:
        lines.append(f"  (calls {_continued(action.call.name)}: {_continued(action.call.arguments)})")
    if action.spoofed:
        lines.append(f"  (observation tags of its own, without effect: {action.spoofed})")
    if action.dropped:
        lines.append(f"  (characters after the action, dropped: {action.dropped})")
    if action.dropped_calls:
        lines.append(f"  (further calls, without effect: {action.dropped_calls})")
    if action.code:
        lines.append(f"  (malformed: {action.code})")
    return "\n".join(lines)


def _listed(passages: Iterable[Passage], noise_ids: frozenset[str] = frozenset()) -> str:
    pages = [
        f"  [{passage.id}{', noise' if passage.id in noise_ids else ''}] {_continued(passage.title)}\n"
        f"{_indented(passage.text)}"
        for passage in passages
    ]
    return "\n".join(pages) or "  nothing found"


def _indented(text: str) -> str:
    return f"    {_continued(text)}"


def _continued(text: str) -> str:
    # Indented line breaks cannot pass for the start of another event.
    return text.replace("\n", "\n    ")
