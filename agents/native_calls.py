"""Native tool calls of chat templates: does a template have them, and which call did a model write?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agents.chat_roles import PROBE, rendered
from ssp_env.game import Message, Protocol, Reply, ToolCall
from ssp_env.game.protocol.tool_calls import search_schema
from ssp_env.game.view import FinalKind

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_template(tokenizer: PreTrainedTokenizerBase, protocol: Protocol) -> None:
    """Render a probe to see whether the chat template writes tools, and calls as `<tool_call>` JSON.

    Raises:
        ValueError: If it does not.
    """
    advice = "choose the protocol 'hermes', whose calls are text, or a model whose template has them"
    asked = {"role": "user", "content": "?"}
    if PROBE not in rendered(tokenizer, [asked], [search_schema(name=PROBE)]):
        raise ValueError(
            f"the chat template of this tokenizer shows no tools, which {protocol.name!r} needs: {advice}"
        )
    called = as_chat_message(Message("assistant", "", (ToolCall("call", PROBE, '{"query": "?"}'),)))
    if f"<{protocol.search}>" not in rendered(tokenizer, [asked, called]):
        raise ValueError(
            f"the chat template of this tokenizer does not write tool calls as JSON in "
            f"<{protocol.search}> tags, the one form that is read: {advice}"
        )


def as_chat_message(message: Message) -> dict[str, Any]:
    """Return a message as templates take it: as for chat endpoints, but with arguments as objects.

    >>> call = ToolCall("c", "search", '{"query": "whale"}')
    >>> as_chat_message(Message("assistant", "", (call,)))["tool_calls"][0]["function"]["arguments"]
    {'query': 'whale'}
    """
    chat = message.to_openai()
    for call in chat.get("tool_calls", ()):
        function = call["function"]
        try:
            arguments = json.loads(function["arguments"])
        except ValueError:
            continue
        # Templates write arguments as JSON: of an object that is what the model wrote, of text a quotation.
        function["arguments"] = arguments
    return chat


def read_reply(
    text: str, protocol: Protocol, final: FinalKind, *, has_search_tool: bool, call_id: str
) -> tuple[Reply, bool]:
    """Read what a model wrote under a native protocol: text, and the tool call with which it ends.

    Args:
        text: The model's words, calls between the protocol's tags.
        protocol: A protocol with native calls.
        final: Kind of action that ends this player's game.
        has_search_tool: Whether the player has the tool.
        call_id: Identifier of the call.

    Returns:
        The reply, and whether its first action is complete.
    """
    written = replace(protocol, calls="hermes").parse(text, final, has_search_tool=has_search_tool)
    finished = written.code != "no_action"
    if not finished or not written.text.endswith(f"</{protocol.search}>"):
        return Reply(text), finished
    before = text[: written.text.rindex(f"<{protocol.search}>")].rstrip()
    return Reply(before, tool_calls=(_call(written.body, protocol, call_id),)), True


def _call(body: str, protocol: Protocol, call_id: str) -> ToolCall:
    try:
        call = json.loads(body, strict=False)
        name, arguments = call["name"], call["arguments"]
    except (ValueError, TypeError, KeyError, RecursionError):
        # The game says what is wrong with it.
        return ToolCall(call_id, protocol.tool, body.strip())
    if isinstance(arguments, Mapping):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(call_id, str(name), str(arguments))
