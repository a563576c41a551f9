"""What the environment says instead of passages, in words that fit the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Notice = Literal["no_results", "search_limit", "malformed"]

ENGLISH_NOTICES: Mapping[Notice, str] = MappingProxyType(
    {
        "no_results": "No passage matches this search.",
        "search_limit": "The search budget is used up. Finish now.",
        "malformed": "Your last message held no complete action. Search or finish, using the tags exactly.",
    }
)
TOOL_NOTICES: Mapping[Notice, str] = MappingProxyType(
    {
        **ENGLISH_NOTICES,
        "malformed": "Your last message held no complete action. Call the tool `search` with one query, or "
        "finish, using the tags exactly.",
    }
)
TERSE_NOTICES: Mapping[Notice, str] = MappingProxyType(
    {"no_results": "none", "search_limit": "limit", "malformed": "malformed"}
)
