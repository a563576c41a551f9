"""What a chat endpoint's client raises; a game that meets one ends as `error`. No message holds a key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from ssp_env.http import ReplyTooLong, redact
from ssp_env.http.errors import ServiceError

_EXCERPT_CHARACTERS = 300
_PASSING_STATUSES = (408, 425)
_HINTS = {
    401: " (is the key right, and in the environment?)",
    403: " (is the key allowed to do this?)",
    404: " (is this the address that the endpoint's documentation gives, up to /v1 as a rule?)",
}


class ChatError(ServiceError):
    """A request that gave no usable completion."""


class ChatTimeout(ChatError):
    """No complete reply in time; sent again while there is time left."""


class ChatUnavailable(ChatError):
    """The endpoint cannot be reached, breaks off, or fails on its side (5xx); sent again."""


class ChatRateLimited(ChatError):
    """Too many requests or tokens (429); sent again, not before the endpoint's `Retry-After`."""


class ChatRefused(ChatError):
    """The endpoint answers and does not serve: a wrong key, a used-up quota, a bad request (4xx)."""


class ModelNotFound(ChatRefused):
    """The endpoint serves no model of that name."""


class BadChatReply(ChatError):
    """A reply that is no chat completion, truncated JSON for instance. Not sent again: it was paid for."""


class LogprobsMissing(BadChatReply):
    """A completion without token ids and log-probabilities, where they were required."""


class MaxCostReached(ChatError):
    """The money that may be spent is spent; nothing was sent."""


@dataclass(frozen=True, repr=False)
class Failures:
    """Turns whatever goes wrong with one request into an error that does not contain its key.

    Attributes:
        url: The address of the endpoint.
        key: The API key, which no error may contain; empty if there is none.
    """

    url: httpx.URL
    key: str

    def error(self, kind: type[ChatError], problem: str, status: int | None = None) -> ChatError:
        """Return an error."""
        return kind(redact(problem, [self.key]), str(self.url), status)

    def of_status(self, status: int, body: bytes) -> ChatError:
        """Return the error that a reply other than 200 stands for."""
        said = self.excerpt(body)
        if "insufficient_quota" in said:
            return self.error(ChatRefused, f"the quota is used up: {said}", status)
        if status in (400, 404) and "model" in said and ("not exist" in said or "not_found" in said):
            return self.error(ModelNotFound, f"the endpoint has no such model: {said}", status)
        kind: type[ChatError] = ChatRefused
        if status == httpx.codes.TOO_MANY_REQUESTS:
            kind = ChatRateLimited
        elif status >= 500 or status in _PASSING_STATUSES:
            kind = ChatUnavailable
        problem = f"expected status 200, got {status}{_HINTS.get(status, '')}: {said}"
        return self.error(kind, problem, status)

    @contextmanager
    def typed(self, timeout: float) -> Iterator[None]:
        """Raise typed errors instead of those of httpx, which hold the request and with it the key."""
        try:
            yield
        except TimeoutError:
            problem = f"no complete reply within {timeout:g} seconds, repetitions included"
            raise self.error(ChatTimeout, problem) from None
        except httpx.TimeoutException as error:
            raise self.error(ChatTimeout, f"the endpoint fell silent ({type(error).__name__})") from None
        except (ReplyTooLong, httpx.DecodingError) as error:
            raise self.error(BadChatReply, str(error)) from None
        except httpx.TransportError as error:
            problem = f"the connection failed ({type(error).__name__}): {error}"
            raise self.error(ChatUnavailable, problem) from None

    def excerpt(self, body: bytes) -> str:
        """Return the beginning of a reply, quoted."""
        return repr(redact(body.decode("utf-8", "replace"), [self.key])[:_EXCERPT_CHARACTERS])
