"""What a protocol reads in a player's reply: the first complete action, and the answers in a list of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ssp_env.game.view import ToolCall
from ssp_env.scoring import normalize_answer

ActionKind = Literal["search", "question", "answer", "malformed"]

_SEPARATOR = re.compile(r"[\n;]")
_BULLET = re.compile(r"\s*(?:[-*•]|\d{1,3}[.)])\s+")

MALFORMED_CODES = (
    "no_action",
    "empty_action",
    "too_long",
    "bad_json",
    "bad_call",
    "unknown_tool",
    "several_queries",
)
"""Why a reply is malformed.

`no_action`: it holds no complete action; `empty_action`: nothing visible between the tags; `too_long`: more
than `Protocol.max_chars`; the others concern tool calls: not JSON, not a call of one string, a tool that does
not exist, a list of several queries.
"""


@dataclass(frozen=True, slots=True)
class Action:
    """The first complete action in a player's reply.

    Attributes:
        kind: `search`, `question`, `answer` or `malformed`.
        content: Query, question or answer without surrounding white space; empty if malformed.
        text: The player's text up to the end of the action; whatever followed is dropped.
        code: Why the reply is malformed, one of `MALFORMED_CODES`; empty otherwise.
        spoofed: Observation tags the player wrote itself; they have no effect.
        dropped: Number of characters after the action.
        call: The native tool call that was read; None if the action stands in the text.
        dropped_calls: Number of other native tool calls, which have no effect.
        body: What was read, as written: the text between the tags, or the arguments of the native call.
    """

    kind: ActionKind
    content: str
    text: str
    code: str = ""
    spoofed: int = 0
    dropped: int = 0
    call: ToolCall | None = None
    dropped_calls: int = 0
    body: str = ""


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


def listed(text: str) -> list[str]:
    r"""Split a list of answers at line breaks and semicolons, bullets removed, each answer once.

    A comma does not separate: names hold commas.

    >>> listed("1. Lisbon\n2. Porto; lisbon")
    ['Lisbon', 'Porto']
    """
    first: dict[str, str] = {}
    for part in _SEPARATOR.split(text):
        bullet = _BULLET.match(part)
        answer = part[bullet.end() if bullet else 0 :].strip()
        if answer:
            first.setdefault(normalize_answer(answer) or answer, answer)
    return list(first.values())
