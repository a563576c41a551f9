"""What can go wrong with a search engine that is somewhere else."""

from __future__ import annotations


class SearchError(Exception):
    """A search that failed; the message names the address and what came from there.

    Attributes:
        url: The address that was asked, without credentials and parameters.
        problem: What was expected and what came.
    """

    def __init__(self, problem: str, url: str) -> None:
        super().__init__(f"{url}: {problem}")
        self.url = url
        self.problem = problem

    def __reduce__(self) -> tuple[type[SearchError], tuple[str, str]]:
        return type(self), (self.problem, self.url)


class SearchTimeoutError(SearchError):
    """No complete reply within the time allowed."""


class SearchConnectionError(SearchError):
    """The connection was refused, or broke before the reply was complete."""


class SearchStatusError(SearchError):
    """The server answered with something other than success.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, problem: str, url: str, status: int) -> None:
        super().__init__(problem, url)
        self.status = status

    def __reduce__(self) -> tuple[type[SearchError], tuple[str, str, int]]:  # type: ignore[override]
        return type(self), (self.problem, self.url, self.status)


class SearchReplyError(SearchError):
    """The server answered with something that is not a ranking of passages for every query."""
