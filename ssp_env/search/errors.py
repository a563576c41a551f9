"""Exceptions of search engines whose infrastructure fails; a game that meets one ends as `error`."""

from __future__ import annotations

from ssp_env.http.errors import ServiceError


class SearchError(ServiceError):
    """A search that failed for a reason other than its query."""


class SearchTimeout(SearchError):
    """No complete reply in time."""


class SearchUnavailable(SearchError):
    """The engine cannot be reached, breaks off, or fails on its side (5xx)."""


class SearchRefused(SearchError):
    """The engine refuses to search: a missing or wrong key, a limit, or another reason (4xx)."""


class BadSearchReply(SearchError):
    """A reply that is not what the protocol of the engine promises."""
