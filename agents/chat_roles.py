"""Which roles a chat template takes, and conversations without those that it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# A text that no template writes by itself.
PROBE = "ssp_probe_tool"


def knows_system_role(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the template shows a system message before one of a user."""
    asked = {"role": "user", "content": "?"}
    return PROBE in rendered(tokenizer, [{"role": "system", "content": PROBE}, asked])


def knows_tool_role(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the template treats `tool` messages in a way of its own, not as those of any role."""
    asked, said = {"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}
    result = {"role": "tool", "content": PROBE}
    text = rendered(tokenizer, [asked, said, result])
    unknown = rendered(tokenizer, [asked, said, {**result, "role": "qwxz"}])
    return PROBE in text and text != unknown.replace("qwxz", "tool")


def without_system(chat: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    r"""Put the text of system messages at the beginning of the first user message, with a blank line.

    Without a user message it becomes one.

    >>> without_system([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}])
    [{'role': 'user', 'content': 'Be brief.\n\nWho?'}]
    """
    told = "\n\n".join(message["content"] for message in chat if message["role"] == "system")
    others = [dict(message) for message in chat if message["role"] != "system"]
    if not told:
        return others
    for message in others:
        if message["role"] == "user":
            message["content"] = f"{told}\n\n{message['content']}"
            return others
    return [{"role": "user", "content": told}, *others]


def rendered(
    tokenizer: PreTrainedTokenizerBase,
    chat: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """Render a chat; empty if the template refuses it, which it may do with any exception."""
    try:
        return str(tokenizer.apply_chat_template(list(chat), tools=tools, tokenize=False))  # type: ignore[arg-type]
    except Exception:
        return ""
