"""Games for people at a terminal: each one as it ends, and a table of figures over all of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ssp_env.game import Action, Game, Protocol
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
from ssp_env.passage import Passage
from ssp_env.scoring import wilson_interval
from ssp_env.viewer.text import visible

PASSAGE_CHARACTERS = 88
SPEAKER_WIDTH = 11


def print_game(console: Console, game: Game) -> None:
    """Print a finished game: what was written and retrieved, how it was judged, who was paid."""
    outcome = game.outcome
    assert outcome is not None
    hops = f"{game.task.hops} hop{'s' if game.task.hops > 1 else ''}"
    console.print(Text(visible(f"\ngame {game.id}: {game.task.answer} ({hops})"), style="bold"))
    for event in game.events:
        speaker, said = _line(event, game.protocol)
        console.print(_labelled(speaker, said))
    paid = ", ".join(f"{seat} {reward:g}" for seat, reward in outcome.rewards.items())
    style = {"valid": "bold green", "invalid": "bold yellow", "error": "bold red"}[outcome.verdict]
    verdict = Text.assemble((f"{outcome.verdict}: {outcome.reason}", style), f"  rewards: {paid}")
    console.print(_labelled("outcome", verdict))


def summary_table(games: Sequence[Game], seconds: float, tokens: int) -> Table:
    """Return the figures over finished games.

    Args:
        games: Games with an outcome.
        seconds: Time the players took.
        tokens: Tokens they sampled; 0 if they are no language models.
    """
    table = Table(title=f"{len(games)} games", show_header=False, title_justify="left")
    outcomes = [game.outcome for game in games if game.outcome is not None]
    rates = [outcome.success_rate for outcome in outcomes if outcome.success_rate is not None]
    table.add_row("valid questions", _share(len(rates), len(outcomes)))
    for reason, count in Counter(outcome.reason for outcome in outcomes).most_common():
        table.add_row(f"  {reason}", str(count))
    for role in ("proposer", "solver"):
        turns = [_turns(game, role) for game in games]
        if played := sum(map(bool, turns)):
            searches = sum(outcome.metrics[f"{role}_searches"] for outcome in outcomes)
            table.add_row(f"searches per game, {role}", f"{searches / played:.2f}")
            table.add_row(f"turns with valid tags, {role}", _well_formed(chain.from_iterable(turns)))
    readings = [event.action for game in games for event in game.events if isinstance(event, ReadingGiven)]
    if readings:
        table.add_row("readings with valid tags", _well_formed(readings))
    attempts = sum(len(game.seats) - 1 for game in games[:1])
    table.add_row("solver accuracy", _share(round(sum(rates) * attempts), len(rates) * attempts))
    if tokens:
        table.add_row("tokens sampled", f"{tokens:,} ({tokens / seconds:,.0f} per second)")
    return table


def _turns(game: Game, role: str) -> list[Action]:
    turns = (event for event in game.events if isinstance(event, TurnTaken))
    return [turn.action for turn in turns if turn.seat.startswith(role)]


def _well_formed(actions: Iterable[Action]) -> str:
    kinds = [action.kind for action in actions]
    return _share(sum(kind != "malformed" for kind in kinds), len(kinds))


def _share(count: int, total: int) -> str:
    if not total:
        return "none played"
    low, high = wilson_interval(count, total)
    return f"{count} of {total} ({count / total:.0%}, 95 % interval {low:.0%} to {high:.0%})"


def _line(event: Event, protocol: Protocol) -> tuple[str, Text]:
    """Who an event is about, and what to print beside it."""
    match event:
        case TurnTaken():
            return event.seat, _written(event.action, protocol)
        case SearchReturned():
            return "", _listed(event.passages)
        case NoticeGiven():
            return "", Text(f"notice: {event.notice}", style="yellow")
        case SeatForfeited():
            return event.seat, Text(f"forfeits: {event.code}", style="yellow")
        case QuestionProposed():
            return "rules", _judged(not event.code, f"broken: {event.code}" if event.code else "kept")
        case EvidenceMixed():
            kept = len(event.passages) - len(event.noise_ids)
            return "RAG check", Text(
                f"{kept} retrieved and {len(event.noise_ids)} noise passages", style="dim"
            )
        case ReadingGiven():
            speaker = "reader" if event.probe == "recovery" else event.probe.replace("_", " ")
            return speaker, _written(event.action, protocol)
        case AnswerScored():
            return "", _judged(event.correct, "right" if event.correct else "wrong")
        case GameBroken():
            return "error", Text(visible(f"{event.request_id}: {event.detail}"), style="red")


def _judged(good: bool, words: str) -> Text:
    return Text(words, style="green" if good else "yellow")


def _written(action: Action, protocol: Protocol) -> Text:
    text = Text(visible(action.text.strip()))
    if action.call is not None:
        text.append(visible(f" {action.call.name} {action.call.arguments}"), style="cyan")
    if action.code:
        text.append(f" ({action.code})", style="yellow")
    styles = {
        protocol.think: "dim",
        protocol.search: "cyan",
        protocol.question: "magenta",
        protocol.answer: "green",
        protocol.observation: "red",
    }
    for tag, style in styles.items():
        text.highlight_regex(rf"</?{re.escape(tag)}>", style)
    return text


def _listed(passages: Sequence[Passage]) -> Text:
    lines = [visible(f"[{page.title}] {' '.join(page.text.split())}") for page in passages] or [
        "nothing found"
    ]
    short = [
        line if len(line) <= PASSAGE_CHARACTERS else line[: PASSAGE_CHARACTERS - 1] + "…" for line in lines
    ]
    return Text("\n".join(short), style="dim")


def _labelled(speaker: str, said: Text) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_column(width=SPEAKER_WIDTH, style="bold", no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(speaker, said)
    return row
