"""A game as HTML for notebooks and as an SVG picture for a README: the words of `text`, all escaped."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import chain, repeat

from ssp_env.game import Game
from ssp_env.viewer.text import Description, Kind, describe_event, describe_outcome, describe_task, visible

# Characters that nobody sees; joiners stay, which emoji and several scripts need.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u200b\u200e\u200f\u2060-\u2064\ufeff\ufffe\uffff\U000e0000-\U000e0fff]"
)
_SIGNS: dict[Kind, str] = {"good": "✓ ", "bad": "✗ ", "error": "! "}
"""Good and bad news have a sign, so that colours tell nothing alone."""
_STYLES: dict[Kind, str] = {
    "written": "white-space:pre-wrap;padding:2px 8px;border-left:3px solid #7c8db5",
    "passage": "opacity:.75;padding-left:8px",
    "evidence": "opacity:.75;padding-left:8px",
    "detail": "opacity:.75",
    "call": "font-family:monospace",
    "good": "color:#1b7f4b;font-weight:600",
    "bad": "color:#b45309;font-weight:600",
    "error": "color:#c2233c;font-weight:600",
}
_CELL = (
    "vertical-align:top;text-align:left;padding:3px 10px 3px 0;overflow-wrap:anywhere;unicode-bidi:isolate"
)
_FADED = ("passage", "evidence", "detail")


def game_html(game: Game) -> str:
    """Return a game, or what there is of it so far, as a fragment of HTML without scripts and addresses."""
    rows = [row for description in _descriptions(game) for row in _table_rows(description)]
    title = _html(f"game {game.id}: {describe_task(game.task)}")
    return (
        f'<div style="font-family:system-ui,sans-serif;max-width:60em"><p><strong>{title}</strong></p>'
        f'<table style="border-collapse:collapse"><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _descriptions(game: Game) -> Iterator[Description]:
    yield from (describe_event(event, game.config) for event in game.events)
    if game.outcome is not None:
        yield describe_outcome(game.outcome)


def _table_rows(description: Description) -> Iterator[str]:
    heads = chain([description.speaker], repeat(""))
    for part, speaker in zip(description.parts, heads):
        text = _SIGNS.get(part.kind, "") + _html(part.text)
        said = f'<div dir="auto" style="{_STYLES[part.kind]}">{text}</div>'
        head = f'<th scope="row" style="{_CELL};white-space:nowrap">{_html(speaker)}</th>'
        yield f'<tr>{head}<td style="{_CELL}">{said}</td></tr>'


def _html(text: str) -> str:
    return escape(marked(text))


def marked(text: str) -> str:
    r"""Escape what `text.visible` escapes, and characters that nobody sees.

    >>> print(marked("blue\u200b whale\u202e"))
    blue\u200b whale\u202e
    """
    return _INVISIBLE.sub(lambda match: match[0].encode("unicode_escape").decode(), visible(text))


# -- SVG ---------------------------------------------------------------------------------------------------

COLUMNS = 96
"""Characters of a line in a picture, those of the speaker left out."""
_CHARACTER, _LINE, _MARGIN, _SPEAKER = 7.25, 18, 16, 92
_PASSAGE_LINES = 2
_STYLE = (
    "text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1c2430;white-space:pre}"
    ".paper{fill:#f6f7f9;stroke:#d5dae1}.head{font-weight:700}.faded{fill:#5a6675}.call{fill:#6b2fa0}"
    ".good{fill:#1b6e3c}.bad{fill:#9a3412}.error{fill:#a4122a}"
    "@media(prefers-color-scheme:dark){text{fill:#e4e9f0}.paper{fill:#11151c;stroke:#343d4a}"
    ".faded{fill:#9fabba}.call{fill:#d3a6ff}.good{fill:#7fd6a0}.bad{fill:#f8b27c}.error{fill:#ff9aa8}}"
)


@dataclass(frozen=True, slots=True)
class _Line:
    speaker: str
    text: str
    style: str


def game_svg(game: Game) -> str:
    """Return a game as an SVG picture, light or dark as the reader's page is; passages are shortened."""
    title = f"game {game.id}: {describe_task(game.task)}"
    lines = [_Line("", line, "head") for line in _wrapped(marked(title), COLUMNS + 12)]
    lines += [line for description in _descriptions(game) for line in _picture_lines(description)]
    width = round(2 * _MARGIN + _SPEAKER + COLUMNS * _CHARACTER)
    height = 2 * _MARGIN + _LINE * len(lines)
    texts = "".join(_text(line, _MARGIN + _LINE * (number + 1) - 5) for number, line in enumerate(lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img"><title>{escape(marked(title))}</title><style>{_STYLE}</style>'
        f'<rect class="paper" width="{width}" height="{height}" rx="10"/>{texts}</svg>\n'
    )


def _picture_lines(description: Description) -> Iterator[_Line]:
    # The evidence of the reader is counted in its first part; searches showed it before.
    shown = [part for part in description.parts if part.kind != "evidence"]
    speakers = chain([description.speaker], repeat(""))
    for part in shown:
        folded = " ".join(part.text.split()) if part.kind == "passage" else part.text.strip()
        lines = _wrapped(_SIGNS.get(part.kind, "") + marked(folded), COLUMNS)
        if part.kind == "passage" and len(lines) > _PASSAGE_LINES:
            lines = [*lines[: _PASSAGE_LINES - 1], lines[_PASSAGE_LINES - 1][:-1] + "…"]
        for line in lines:
            yield _Line(next(speakers), line, "faded" if part.kind in _FADED else part.kind)


def _text(line: _Line, y: int) -> str:
    left = _MARGIN if line.style == "head" else _MARGIN + _SPEAKER
    speaker = f'<text class="head" x="{_MARGIN}" y="{y}">{escape(marked(line.speaker))}</text>'
    said = f'<text class="{line.style}" x="{left}" y="{y}">{escape(line.text)}</text>'
    return (speaker if line.speaker else "") + said


def _wrapped(text: str, columns: int) -> list[str]:
    """Cut a text into lines, between words where there are any; wide characters count twice."""
    lines = []
    for line in text.expandtabs(4).split("\n"):
        rest = line
        while _width(rest) > columns:
            end = width = 0
            while width + (step := _width(rest[end])) <= columns:
                end, width = end + 1, width + step
            blank = rest.rfind(" ", 1, end + 1)
            end = blank if blank > end // 2 else end
            lines.append(rest[:end])
            rest = rest[end:].lstrip(" ")
        lines.append(rest)
    return lines


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(character) in "WF" else not unicodedata.combining(character)
        for character in text
    )
