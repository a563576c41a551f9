"""How players and environment talk: tags and tool calls, read and shown by one `Protocol` object."""

from ssp_env.game.protocol.protocol import (
    ENGLISH_NOTICES,
    MALFORMED_CODES,
    PROTOCOLS,
    TERSE_NOTICES,
    TOOL_NOTICES,
    Action,
    ActionKind,
    Notice,
    Protocol,
    listed,
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
