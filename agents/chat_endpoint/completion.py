"""Reading the reply of OpenAI's Chat Completions and of servers that speak it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.chat_endpoint.errors import BadChatReply
from agents.chat_endpoint.ledger import Usage
from ssp_env.game import ToolCall
from ssp_env.game.view import text_of


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
        content = message.get("content")
        return Completion(
            text=text_of(content),
            finish_reason=choice.get("finish_reason") or "",
            tool_calls=_tool_calls(message.get("tool_calls") or ()),
            usage=_usage(data.get("usage")),
            stop_string=_stop_string(choice),
            prompt_token_ids=tuple(data.get("prompt_token_ids") or ()),
            token_ids=tuple(choice.get("token_ids") or ()),
            logprobs=_logprobs(choice.get("logprobs")),
            reasoned=bool(
                message.get("reasoning_content") or message.get("reasoning") or _has_thoughts(content)
            ),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        problem = f"expected a chat completion: {type(error).__name__}: {error}"
        raise BadChatReply(problem) from None


def _has_thoughts(content: Any) -> bool:
    parts = content if isinstance(content, list) else []
    return any(part.get("type") in ("thinking", "reasoning") for part in parts)


def error_status(data: Any) -> int | None:
    """Return the status that a reply of status 200 stands for; None if it reports no error.

    Gateways have answered 200 by the time the model behind them fails, and report it in the body. An error
    without a status is one of a server, 502.

    >>> error_status({"error": {"message": "overloaded", "code": 503}}), error_status({"choices": []})
    (503, None)
    """
    if not isinstance(data, Mapping):
        return None
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    error = choice.get("error") if isinstance(choice, Mapping) else None if choices else data.get("error")
    if not error:
        return None
    codes = [str(error.get(key)) for key in ("code", "status")] if isinstance(error, Mapping) else []
    return next((int(code) for code in codes if code.isdecimal() and 400 <= int(code) < 600), 502)


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
