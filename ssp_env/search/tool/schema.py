"""The schema of the tool in the shapes that endpoints, protocols and chat templates take."""

from __future__ import annotations

import re
from typing import Any

from ssp_env.game.protocol.tool_calls import DESCRIPTION, SEARCH_TOOL, search_schema

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ToolSchema:
    """What a model is told about the tool.

    Args:
        name: 1 to 64 ASCII letters, digits, `_` and `-`.
        description: What the tool does.
        max_top_k: Greatest number of passages a call may ask for; calls cannot choose if None.

    Raises:
        ValueError: If the name is no such name.
    """

    def __init__(
        self, name: str = SEARCH_TOOL, description: str = DESCRIPTION, max_top_k: int | None = None
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"name must be 1 to 64 of A-Z, a-z, 0-9, _ and -, got {name!r}")
        self.name = name
        self.description = description
        self.max_top_k = max_top_k

    def to_openai(self, *, strict: bool = False) -> dict[str, Any]:
        """Return the schema as OpenAI's chat completions take it.

        Args:
            strict: Ask the endpoint to constrain arguments to the schema; calls cannot choose `top_k` then.
        """
        return search_schema(
            strict=strict, name=self.name, description=self.description, max_top_k=self.max_top_k
        )

    def to_openai_responses(self, *, strict: bool = False) -> dict[str, Any]:
        """Return the schema as OpenAI's Responses API takes it."""
        function = self.to_openai(strict=strict)["function"]
        # That API is strict unless told otherwise.
        return {"type": "function", **function, "strict": strict}

    def to_mcp(self) -> dict[str, Any]:
        """Return the schema as a server of the Model Context Protocol lists it."""
        return {"name": self.name, "description": self.description, "inputSchema": self._parameters()}

    def to_anthropic(self) -> dict[str, Any]:
        """Return the schema as Anthropic's Messages API takes it."""
        return {"name": self.name, "description": self.description, "input_schema": self._parameters()}

    def to_chat_template(self) -> list[dict[str, Any]]:
        """Return what `apply_chat_template(..., tools=...)` of transformers takes."""
        return [self.to_openai()]

    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = self.to_openai()["function"]["parameters"]
        return parameters
