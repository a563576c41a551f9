"""An extension of griffe for the documentation site: examples in docstrings become blocks of code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"(?:^ *>>> .*\n?(?:^ *\S.*\n?)*)+", re.MULTILINE)


class DoctestFences(Extension):
    """Puts fences around lines from `>>>` to the next empty line, wherever they stand in a docstring."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """Put fences around the examples of a text."""

    def fence(example: re.Match[str]) -> str:
        lines = example[0].rstrip("\n")
        indent = lines[: len(lines) - len(lines.lstrip(" "))]
        return f"{indent}```pycon\n{lines}\n{indent}```\n"

    return _EXAMPLE.sub(fence, text)
