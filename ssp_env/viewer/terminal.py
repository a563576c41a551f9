"""Games for people at a terminal: each one as it ends, and a table of figures over all of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, repeat

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ssp_env.game import Action, Game, Protocol
from ssp_env.game.events import ReadingGiven, TurnTaken
from ssp_env.scoring import wilson_interval
from ssp_env.viewer.text import (
    QUOTE_INDENT,
    SPEAKER_WIDTH,
    Description,
    Part,
    describe_event,
    describe_outcome,
    describe_task,
    visible,
)

PASSAGE_CHARACTERS = 130
"""Most characters of a passage that are printed: two lines of a terminal with 80 columns."""

_STYLES = {
    "passage": "dim",
    "detail": "dim",
    "call": "cyan",
    "good": "green",
    "bad": "yellow",
    "error": "red",
}


def print_game(console: Console, game: Game) -> None:
    """Print a finished game: every event as `ssp_env.viewer.text` describes it, with passages shortened.

    The passages of the reader's evidence are counted only: the searches showed them before.
    """
    assert game.outcome is not None
    console.print(Text(visible(f"\ngame {game.id}: {describe_task(game.task)}"), style="bold"))
    events = (describe_event(event, game.config) for event in game.events)
    for description in (*events, describe_outcome(game.outcome)):
        console.print(_row(description, game.protocol))


def summary_table(games: Sequence[Game], seconds: float, tokens: int, cut_prompts: int = 0) -> Table:
    """Return the figures over finished games; a failed one tells nothing about the share of valid questions.

    Args:
        games: Games with an outcome.
        seconds: Time the players took.
        tokens: Tokens they sampled; 0 if they are no language models.
        cut_prompts: Prompts that the players shortened because their context window is too small.
    """
    title = f"{len(games)} game{'' if len(games) == 1 else 's'}"
    table = Table(title=title, show_header=False, title_justify="left")
    outcomes = [game.outcome for game in games if game.outcome is not None]
    rates = [outcome.success_rate for outcome in outcomes if outcome.success_rate is not None]
    sound = sum(outcome.verdict != "error" for outcome in outcomes)
    table.add_row("valid questions", _share(len(rates), sound))
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
    if cut_chars := sum(outcome.metrics["cut_passage_chars"] for outcome in outcomes):
        table.add_row("characters cut from passages", f"{cut_chars:,.0f}")
    if cut_prompts:
        table.add_row("prompts cut to the context window", f"{cut_prompts:,}")
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


def _row(description: Description, protocol: Protocol) -> Table:
    """The parts of a description below one another, beside who acted or judged."""
    row = Table.grid(padding=(0, 1))
    row.add_column(width=SPEAKER_WIDTH, style="bold", no_wrap=True)
    row.add_column(overflow="fold")
    shown = [part for part in description.parts if part.kind != "evidence"]
    for part, speaker in zip(shown, chain([description.speaker], repeat(""))):
        row.add_row(speaker, _styled(part, protocol))
    return row


def _styled(part: Part, protocol: Protocol) -> RenderableType:
    if part.kind == "written":
        return Padding.indent(_highlighted(part.text, protocol), QUOTE_INDENT)
    if part.kind == "passage":
        text = Text(visible(" ".join(part.text.split())), style=_STYLES["passage"])
        text.truncate(PASSAGE_CHARACTERS, overflow="ellipsis")
        return text
    return Text(visible(part.text), style=_STYLES[part.kind])


def _highlighted(written: str, protocol: Protocol) -> Text:
    text = Text(visible(written))
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
