"""The protocols a game can be played in, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ssp_env.game.protocol.notices import TERSE_NOTICES, TOOL_NOTICES
from ssp_env.game.protocol.protocol import Protocol

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            Protocol("default"),
            Protocol("qwen2p5"),
            Protocol("R-Search", observation="observation", evidence="original_evidence"),
            Protocol("llama3p1"),
            Protocol("terse", layout="plain", notices=TERSE_NOTICES),
            Protocol(
                "hermes",
                search="tool_call",
                observation="tool_response",
                calls="hermes",
                notices=TOOL_NOTICES,
            ),
            Protocol(
                "openai",
                search="tool_call",
                observation="tool_response",
                calls="native",
                notices=TOOL_NOTICES,
            ),
        )
    }
)
"""Presets by name; the first four carry the names of the reference implementation's chat templates.

`hermes` is for players that read and write text: calls are `<tool_call>` JSON as Qwen and Hermes models write
them, results come between `<tool_response>` tags. `openai` is for chat endpoints and chat templates with tool
calls of their own: calls come as `Reply.tool_calls`, results go out as `tool` messages with a `tool_call_id`,
and the template adds its tags. In both the final question or answer stands between tags, as the reward
functions of verl and Search-R1 expect it.
"""
