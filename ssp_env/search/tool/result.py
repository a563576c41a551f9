"""What a call gave, and how it is sent back to the endpoint that made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ssp_env.passage import Passage
from ssp_env.search.tool.errors import ToolError


@dataclass(frozen=True)
class SearchResult:
    """The answer to one call: passages, or an error.

    Attributes:
        query: What was searched for.
        text: What the model reads.
        passages: What was found, as the engine returned it; empty if the search failed.
        error: Why there is no result; None if there is one, of no passages perhaps.
        call_id: Identifier of the call; empty if it had none.
    """

    query: str
    text: str
    passages: tuple[Passage, ...] = ()
    error: ToolError | None = None
    call_id: str = ""

    def to_openai(self) -> dict[str, Any]:
        """Return the message of OpenAI's chat completions and of chat templates.

        >>> SearchResult("whale", "Doc 1 ...", call_id="c1").to_openai()
        {'role': 'tool', 'tool_call_id': 'c1', 'content': 'Doc 1 ...'}
        """
        return {"role": "tool", "tool_call_id": self.call_id, "content": self.text}

    def to_openai_responses(self) -> dict[str, Any]:
        """Return the input item of OpenAI's Responses API."""
        return {"type": "function_call_output", "call_id": self.call_id, "output": self.text}

    def to_anthropic(self) -> dict[str, Any]:
        """Return the content block of Anthropic's Messages API."""
        block = {"type": "tool_result", "tool_use_id": self.call_id, "content": self.text}
        return {**block, "is_error": True} if self.error else block

    def to_mcp(self) -> dict[str, Any]:
        """Return the result of `tools/call` in the Model Context Protocol."""
        return {"content": [{"type": "text", "text": self.text}], "isError": self.error is not None}
