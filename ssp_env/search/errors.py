"""What a search engine raises when its infrastructure fails; a game that meets one ends as `error`."""

from __future__ import annotations


class SearchError(RuntimeError):
    """A search that gave no result, through no fault of who searched.

    Attributes:
        problem: What was expected and what came.
        url: The address that was asked, without credentials and parameters; empty if there is none.
        status: The HTTP status of the reply; None if there was none.
    """

    def __init__(self, problem: str, url: str = "", status: int | None = None) -> None:
        super().__init__(f"{url}: {problem}" if url else problem)
        self.problem = problem
        self.url = url
        self.status = status

    def __reduce__(self) -> tuple[type[SearchError], tuple[str, str, int | None]]:
        return type(self), (self.problem, self.url, self.status)


class SearchTimeout(SearchError):
    """No complete reply in time."""


class SearchUnavailable(SearchError):
    """The engine cannot be reached, breaks off, or fails on its side (5xx)."""


class SearchRefused(SearchError):
    """The engine answers and does not serve: a missing or wrong key, a limit, a refused request (4xx)."""


class BadSearchReply(SearchError):
    """A reply that is not what the protocol of the engine promises."""
