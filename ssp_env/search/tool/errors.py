"""What can go wrong in a search, as one typed error with a fixed sentence for the model."""

from __future__ import annotations

from typing import Literal

ErrorKind = Literal["bad_call", "bad_query", "bad_top_k", "budget", "timeout", "engine"]

_SENTENCES: dict[ErrorKind, str] = {
    "bad_call": "The call could not be read. Call the tool with one query.",
    "bad_query": "The query must be a text that is neither blank nor too long.",
    "bad_top_k": "top_k must be a whole number, at least 1.",
    "budget": "The search budget is used up. Finish without searching.",
    "timeout": "The search took too long and was given up.",
    "engine": "The search engine failed. Nothing was found out.",
}


class ToolError(Exception):
    """A search that gave no result, which is not the same as one that found nothing.

    Args:
        kind: `bad_call`, `bad_query` and `bad_top_k`: what was asked makes no sense; `budget`: the searches
            of the episode are used up; `timeout` and `engine`: the engine is to blame.
        detail: What came and what was expected, for people and logs; the model never sees it.
    """

    def __init__(self, kind: ErrorKind, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"

    @property
    def text(self) -> str:
        """What a model reads instead of passages: a fixed sentence, nothing that an engine or a page wrote.

        >>> ToolError("budget", "10 of 10 searches").text
        '[search error: budget] The search budget is used up. Finish without searching.'
        """
        return f"[search error: {self.kind}] {_SENTENCES[self.kind]}"
