"""Reading the reply of OpenAI's Chat Completions and of servers that speak it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.chat_endpoint.errors import BadChatReply
from agents.chat_endpoint.ledger import Usage
from ssp_env.game import ToolCall


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion. Reasoning that comes beside the text (`reasoning_content`) is left out.

    Attributes:
        text: What the model wrote; empty if it only called tools.
        finish_reason: `stop`, `length`, `tool_calls`, `content_filter` or whatever the endpoint says.
        tool_calls: Calls beside the text.
        usage: Tokens used; None if the endpoint does not say.
        stop_string: The stop string that ended the text (vLLM, SGLang); empty if the endpoint says that none
            did; None if it does not say.
        prompt_token_ids: Ids of the prompt (vLLM with `return_token_ids`), or empty.
        token_ids: Ids of what was sampled (likewise), or empty.
        logprobs: Log-probability of each sampled token, or empty.
        reasoned: Whether reasoning came beside the text.
    """

    text: str
    finish_reason: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    stop_string: str | None = None
    prompt_token_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    reasoned: bool = False


def read_completion(data: Any) -> Completion:
    """Read decoded JSON.

    Raises:
        BadChatReply: If it is no chat completion.

    >>> message = {"role": "assistant", "content": "Hello"}
    >>> read_completion({"choices": [{"message": message, "finish_reason": "stop"}]}).text
    'Hello'
    """
    try:
        choice = data["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
        if not isinstance(text, str):
            raise TypeError(f"content must be text, got {type(text).__name__}")
        return Completion(
            text=text,
            finish_reason=choice.get("finish_reason") or "",
            tool_calls=_tool_calls(message.get("tool_calls") or ()),
            usage=_usage(data.get("usage")),
            stop_string=_stop_string(choice),
            prompt_token_ids=tuple(data.get("prompt_token_ids") or ()),
            token_ids=tuple(choice.get("token_ids") or ()),
            logprobs=_logprobs(choice.get("logprobs")),
            reasoned=bool(message.get("reasoning_content") or message.get("reasoning")),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        problem = f"expected a chat completion: {type(error).__name__}: {error}"
        raise BadChatReply(problem) from None


def _tool_calls(calls: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
    # Some servers leave the id out, and nothing but the next request reads it.
    return tuple(
        ToolCall.from_openai({**call, "id": call.get("id") or f"call_{place}"})
        for place, call in enumerate(calls)
    )


def _usage(usage: Mapping[str, Any] | None) -> Usage | None:
    if not usage:
        return None
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        requests=1,
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        cached_tokens=int(details.get("cached_tokens") or 0),
    )


def _stop_string(choice: Mapping[str, Any]) -> str | None:
    for field in ("stop_reason", "matched_stop"):
        if field in choice:
            # A token id, or null, is the model's own end of turn.
            return choice[field] if isinstance(choice[field], str) else ""
    return None


def _logprobs(logprobs: Mapping[str, Any] | None) -> tuple[float, ...]:
    content = (logprobs or {}).get("content") or ()
    return tuple(float(token["logprob"]) for token in content)
