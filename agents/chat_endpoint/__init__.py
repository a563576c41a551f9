"""Players, readers and judges behind any HTTP endpoint that speaks OpenAI's Chat Completions."""

from agents.chat_endpoint.agent import ChatEndpointAgent
from agents.chat_endpoint.client import ChatClient
from agents.chat_endpoint.completion import Completion
from agents.chat_endpoint.errors import (
    BadChatReply,
    ChatError,
    ChatRateLimited,
    ChatRefused,
    ChatTimeout,
    ChatUnavailable,
    LogprobsMissing,
    MaxCostReached,
    ModelNotFound,
)
from agents.chat_endpoint.ledger import Ledger, Price, Usage, read_prices

__all__ = [
    "BadChatReply",
    "ChatClient",
    "ChatEndpointAgent",
    "ChatError",
    "ChatRateLimited",
    "ChatRefused",
    "ChatTimeout",
    "ChatUnavailable",
    "Completion",
    "Ledger",
    "LogprobsMissing",
    "MaxCostReached",
    "ModelNotFound",
    "Price",
    "Usage",
    "read_prices",
]
