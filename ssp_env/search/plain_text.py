"""Plain text out of what the web sends: no markup, no control characters, single spaces."""

from __future__ import annotations

import html
import re
import unicodedata
from html.parser import HTMLParser

# Stops at the next `<`, so that the time is linear in the length of the text.
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--[^<>]*-->")

# What the removal of a tag inside another one leaves must not become a tag.
_TAG_START = re.compile(r"<(?=[A-Za-z/!])")

# Controls, surrogates, private use, and what turns the direction of writing; scripts need joiners.
_REMOVED_CATEGORIES = frozenset({"Cc", "Cs", "Co"})
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")

_SILENT = frozenset({"script", "style", "noscript", "template", "svg", "head", "iframe", "object"})
_INLINE = frozenset(
    {"a", "b", "em", "i", "strong", "span", "sub", "sup", "u", "mark", "code", "small", "abbr"}
)


def clean(text: str) -> str:
    r"""Return text without control characters and with white space collapsed.

    >>> clean("one\x00 \u202e\n  two")
    'one two'
    """
    kept = (sign if sign.isspace() else "" if _is_control(sign) else sign for sign in text)
    return " ".join("".join(kept).split())


def snippet_text(snippet: str) -> str:
    """Return a snippet without tags, its character references resolved.

    >>> snippet_text("the <strong>Aller</strong> &amp; 3 < 4")
    'the Aller & 3 < 4'
    """
    # Cleaned first: a control character must not hide a tag.
    without_tags = _TAG_START.sub("< ", _TAG.sub("", clean(snippet)))
    return clean(html.unescape(without_tags))


def page_text(page: str) -> tuple[str, str]:
    """Return title and text of an HTML page; scripts, styles and the like are left out.

    >>> page_text("<title>Corun</title><p>A <b>town</b>.</p><script>x()</script><p>On the Aller.</p>")
    ('Corun', 'A town. On the Aller.')
    """
    parser = _PageParser()
    parser.feed(page)
    parser.close()
    return clean("".join(parser.title)), clean("".join(parser.text))


class _PageParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self.text: list[str] = []
        self._in_title = False
        self._silent = ""
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._silent:
            self._depth += tag == self._silent
        if tag == "title" and self._silent in {"", "head"}:
            self._in_title = not self.title
        elif tag == "body" and self._silent == "head":
            self._silent = ""
        elif tag in _SILENT and not self._silent:
            self._silent, self._depth = tag, 1
        if tag not in _INLINE:
            self.text.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if tag == self._silent:
            self._depth -= 1
            if not self._depth:
                self._silent = ""
        if tag not in _INLINE:
            self.text.append(" ")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._silent:
            self.text.append(data)


def _is_control(sign: str) -> bool:
    return sign in _DIRECTION or unicodedata.category(sign) in _REMOVED_CATEGORIES
