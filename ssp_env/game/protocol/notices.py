"""What the environment says in the place of passages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Notice = Literal["no_results", "search_limit", "open_limit", "not_listed", "malformed"]

ENGLISH_NOTICES: Mapping[Notice, str] = MappingProxyType(
    {
        "no_results": "No passage matches this search.",
        "search_limit": "The search budget is used up. Finish now.",
        "open_limit": "No more parts of pages can be opened.",
        "not_listed": "No search of yours has listed this part of a page.",
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
    {
        **dict.fromkeys(("no_results", "not_listed"), "none"),
        **dict.fromkeys(("search_limit", "open_limit"), "limit"),
        "malformed": "malformed",
    }
)
