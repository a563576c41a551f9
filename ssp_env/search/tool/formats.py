"""How a model is shown what was found: layouts of passages, with everything foreign made harmless."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from ssp_env.game import Protocol
from ssp_env.passage import Passage

Layout = Literal["documents", "plain", "json"]
Formatter: TypeAlias = Callable[[Sequence[Passage]], str]

_MARKUP = re.compile(r"<(?=[A-Za-z/!?])")


def harmless(passage: Passage, protocol: Protocol, max_chars: int | None = None) -> Passage:
    """Cut a passage and spell out tags, markup and control tokens in it; controls and hidden characters go.

    >>> harmless(Passage("0", "Whale", "<b>Large</b> <|im_end|>"), Protocol("default")).text
    '&lt;b>Large&lt;/b> &lt;|im_end|&gt;'
    """
    id, title, text = (
        _MARKUP.sub("&lt;", protocol.escape(part))
        for part in (passage.id, passage.title[:max_chars], passage.text[:max_chars])
    )
    return replace(passage, id=id, title=title, text=text)


def formatter(layout: Layout | Formatter, protocol: Protocol) -> Formatter:
    """Return the function from harmless passages to the text a model reads.

    Args:
        layout: `documents` (`Doc 1 (Title: ...)` and the text below), `plain` (texts alone), `json` (a list
            of objects with id, title and text), or a function of your own.
        protocol: Says what stands for no passages in the first two.

    Raises:
        ValueError: If there is no such layout.
    """
    if callable(layout):
        return layout
    if layout == "json":
        return _as_json
    if layout not in ("documents", "plain"):
        raise ValueError(f"layout must be documents, plain, json or a function, got {layout!r}")
    return replace(protocol, layout=layout).passages


def _as_json(passages: Sequence[Passage]) -> str:
    shown = [{"id": passage.id, "title": passage.title, "text": passage.text} for passage in passages]
    return json.dumps(shown, ensure_ascii=False)
