"""What a chat endpoint's client raises; a game that meets one ends as `error`. No message holds a key."""

from __future__ import annotations

from ssp_env.errors import ServiceError


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
