"""What a protocol reads in a player's reply: the first complete action, and the answers in a list of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ssp_env.game.view import ToolCall
from ssp_env.scoring import normalize_answer

ActionKind = Literal["search", "question", "answer", "malformed"]

_SEPARATOR = re.compile(r"[\n;]")
_BULLET = re.compile(r"\s*(?:[-*•]|\d{1,3}[.)])\s+")

MALFORMED_CODES = (
    *("no_action", "empty_action", "too_long"),
    *("bad_json", "bad_call", "unknown_tool", "several_queries"),
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
