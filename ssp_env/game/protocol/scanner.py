"""Finding the first complete action between tags, in one pass over the text."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from ssp_env.game.protocol.action import ActionKind


class Found(NamedTuple):
    """The first complete action.

    Attributes:
        kind: What its tag stands for; None if there is no complete action.
        body: The text between its tags.
        end: Where its closing tag ends; the length of the text if there is none.
        spoofed: Observation tags met on the way.
    """

    kind: ActionKind | None
    body: str
    end: int
    spoofed: int


def first_action(
    text: str,
    tag: re.Pattern[str],
    kinds: Mapping[str, ActionKind],
    ignored: Collection[str],
    observation: str,
) -> Found:
    """Scan a player's text; linear in its length, because what is skipped is never looked at again.

    Args:
        text: What the player wrote.
        tag: Matches a tag: slash or nothing, then its name.
        kinds: Tag names that make an action, and which.
        ignored: Tag names whose closed blocks are skipped whole.
        observation: The tag name that only the environment may write.
    """
    last_closing = {name: text.rfind(f"</{name}>") for name in ignored}
    opened: dict[str, int] = {}
    spoofed, skip_until = 0, 0
    for match in tag.finditer(text):
        closing, name = bool(match[1]), match[2]
        spoofed += name == observation
        if match.start() < skip_until:
            continue
        if name in last_closing:
            if not closing and last_closing[name] > match.start():
                skip_until = text.find(f"</{name}>", match.end()) + len(name) + 3
        elif not closing:
            opened[name] = match.end()
        elif name in kinds and name in opened:
            return Found(kinds[name], text[opened[name] : match.start()], match.end(), spoofed)
    return Found(None, "", len(text), spoofed)
