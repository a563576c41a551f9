"""What the errors of every remote service have in common; importable without the extra for HTTP."""

from __future__ import annotations


class ServiceError(RuntimeError):
    """A request to a remote service that failed.

    Attributes:
        problem: What was expected and what came.
        url: The address that was asked, without credentials and parameters; empty if there is none.
        status: The HTTP status of the reply; None if there was none.

    >>> str(ServiceError("expected JSON, got 7 bytes", "http://127.0.0.1:8000/search"))
    'http://127.0.0.1:8000/search: expected JSON, got 7 bytes'
    """

    def __init__(self, problem: str, url: str = "", status: int | None = None) -> None:
        super().__init__(f"{url}: {problem}" if url else problem)
        self.problem = problem
        self.url = url
        self.status = status

    def __reduce__(self) -> tuple[type[ServiceError], tuple[str, str, int | None]]:
        return type(self), (self.problem, self.url, self.status)
