"""How players and environment talk: tags and tool calls, read and shown by one `Protocol` object."""

from ssp_env.game.protocol.action import MALFORMED_CODES, Action, ActionKind
from ssp_env.game.protocol.notices import ENGLISH_NOTICES, TERSE_NOTICES, TOOL_NOTICES, Notice
from ssp_env.game.protocol.presets import PROTOCOLS
from ssp_env.game.protocol.protocol import Protocol

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
]
