"""Errors that several packages raise, of remote services and missing libraries, and any error as a text."""

from __future__ import annotations


class ServiceError(RuntimeError):
    """A request to a remote service that gave nothing of use.

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


def missing_extra(library: str, extra: str) -> ModuleNotFoundError:
    """Return the error for an optional library that is not installed; it names the extra to install.

    >>> str(missing_extra("pyarrow", "parquet"))
    "pyarrow is not installed. Install it with: pip install 'ssp-env[parquet]'"
    """
    message = f"{library} is not installed. Install it with: pip install 'ssp-env[{extra}]'"
    return ModuleNotFoundError(message, name=library)


def describe(error: BaseException) -> str:
    """Return the type and the message of an exception on one line, even if its `str()` raises.

    >>> describe(KeyError("corun")), describe(TimeoutError())
    ("KeyError: 'corun'", 'TimeoutError')
    """
    try:
        message = " ".join(str(error).split())
    except Exception as trouble:
        message = f"its message cannot be read, str() raised {type(trouble).__name__}"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
