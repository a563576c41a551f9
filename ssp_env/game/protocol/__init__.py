"""How players and environment talk: tags and tool calls, read and shown by one `Protocol` object."""

from ssp_env.game.protocol.action import MALFORMED_CODES, Action, ActionKind, listed
from ssp_env.game.protocol.protocol import (
    ENGLISH_NOTICES,
    PROTOCOLS,
    TERSE_NOTICES,
    TOOL_NOTICES,
    Notice,
    Protocol,
)

__all__ = [
    "ENGLISH_NOTICES",
    "MALFORMED_CODES",
    "PROTOCOLS",
    "TERSE_NOTICES",
    "TOOL_NOTICES",
    "Action",
    "ActionKind",
    "Notice",
    "Protocol",
    "listed",
]
