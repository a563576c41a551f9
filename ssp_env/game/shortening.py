"""Shortening what players are shown: passages beyond a limit, the evidence of a reading, a whole prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ssp_env.game.config import GameConfig
from ssp_env.game.passage import Passage
from ssp_env.game.protocol import PROTOCOLS

_GAP = "\n[...]\n"
_MARK = "... [cut: {lost:,} of {whole:,} characters left out]"
# A text is cut between two words, unless it has none for so many characters.
_LONGEST_WORD = 40


class Shown(NamedTuple):
    """Passages as a player is shown them, and how many of their characters were left out."""

    passages: list[Passage]
    cut_chars: int


def shown_result(passages: Sequence[Passage], config: GameConfig) -> Shown:
    """Shorten what a search found: no title and no text is longer than `max_passage_chars`."""
    return _shown(passages, config.max_passage_chars, config)


def shown_evidence(passages: Sequence[Passage], config: GameConfig) -> Shown:
    """Shorten what a reader reads, so that it has at most `max_evidence_chars` characters as well.

    If it has more, the longest passages are cut to one common length, and shorter ones stay whole.
    """
    lengths = sorted(len(part) for passage in passages for part in (passage.title, passage.text))
    limit, left = config.max_passage_chars, config.max_evidence_chars
    for place, length in enumerate(lengths):
        share = left // (len(lengths) - place)
        if min(length, limit) > share:
            return _shown(passages, share, config)
        left -= min(length, limit)
    return _shown(passages, limit, config)


def shorten(text: str, limit: int) -> str:
    """Cut a text after `limit` characters, between words where it has some, and say how much is left out.

    >>> shorten("The blue whale is the largest animal.", 16)
    'The blue whale... [cut: 23 of 37 characters left out]'
    """
    return _cut(text, limit, _MARK)[0]


def shorten_prompt(opening: str, later: str, limit: int) -> tuple[str, int]:
    r"""Fit a conversation into a prompt of `limit` characters.

    Its opening, which holds the task, and its newest text are kept; what comes between is replaced by a mark.
    If both are too long, each is given half of the room, and the opening loses its middle: it begins with
    instructions and ends with the task.

    Args:
        opening: What the player was told before its first turn.
        later: What was said since; empty before the first turn.
        limit: Greatest length of the prompt in characters.

    Returns:
        The prompt, and how many characters of the conversation it lacks.

    >>> shorten_prompt("Who is the mayor of Corun?", "a" * 100 + " Sarn is the mayor.", 55)
    ('Who is the mayor of Corun?\n[...]\naaa Sarn is the mayor.', 97)
    """
    if len(opening) + len(later) <= limit:
        return opening + later, 0
    first, lost = _with_gap(opening, max(limit - len(later), limit // 2), 0.5)
    last, also_lost = _with_gap(later, limit - len(first), 0.0)
    return first + last, lost + also_lost


def _with_gap(text: str, limit: int, before: float) -> tuple[str, int]:
    """Leave out what does not fit, and keep the given share of the rest before the gap."""
    if len(text) <= limit:
        return text, 0
    kept = max(0, limit - len(_GAP))
    head = int(kept * before)
    return f"{text[:head]}{_GAP}{text[len(text) - kept + head :]}"[:limit], len(text) - kept


def _shown(passages: Sequence[Passage], limit: int, config: GameConfig) -> Shown:
    # Cut before the protocol escapes tags, so that no cut falls into an escape.
    protocol = PROTOCOLS[config.protocol]
    # In a plain layout every word must be in the vocabulary of the protocol, and a cut fact must not run on.
    mark = f" ; {protocol.notices['search_limit']}" if protocol.layout == "plain" else _MARK
    shown, cut_chars = [], 0
    for passage in passages:
        title, lost = _cut(passage.title, limit, mark)
        text, also_lost = _cut(passage.text, limit, mark)
        shown.append(replace(passage, title=title, text=text) if lost or also_lost else passage)
        cut_chars += lost + also_lost
    return Shown(shown, cut_chars)


def _cut(text: str, limit: int, mark: str) -> tuple[str, int]:
    """Return the beginning of a text with a mark, and how many characters it lacks."""
    if len(text) <= limit:
        return text, 0
    # The space may stand right behind the limit.
    between = max(text.rfind(space, max(0, limit - _LONGEST_WORD), limit + 1) for space in " \n\t")
    kept = text[: between if between > 0 else limit].rstrip()
    lost = len(text) - len(kept)
    return f"{kept}{mark.format(lost=lost, whole=len(text))}", lost
