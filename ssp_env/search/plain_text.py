"""Plain text from HTML: no markup, no control characters, single spaces."""

from __future__ import annotations

import html
import re

# Stops at the next `<`, so that the time is linear in the length of the text.
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--[^<>]*-->")

# Text that becomes a tag when a tag inside it is removed is broken up.
_TAG_START = re.compile(r"<(?=[A-Za-z/!])")

# Control characters that are no white space, surrogates and private use (the categories Cc, Cs and Co, which
# Unicode never changes), and marks that turn the direction of writing.
_REMOVED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+"
)

MAX_PAGE_CHARS = 32 * 2**20
"""Longest HTML page that is parsed; a page takes about a second per million characters at worst."""

_HIDDEN = frozenset({"script", "style", "noscript", "template", "svg", "iframe", "object"})
_INLINE = frozenset(
    {"a", "abbr", "b", "cite", "code", "em", "font", "i", "mark", "q", "s", "small", "span", "strong"}
    | {"sub", "sup", "u", "wbr"}
)


def clean(text: str) -> str:
    r"""Return text without control characters and with white space collapsed.

    >>> clean("one\x00 \u202e\n  two")
    'one two'
    """
    return " ".join(_REMOVED.sub("", text).split())


def snippet_text(snippet: str) -> str:
    """Return a snippet without tags, its character references resolved.

    >>> snippet_text("the <strong>Aller</strong> &amp; 3 < 4")
    'the Aller & 3 < 4'
    """
    # Cleaned first: a control character must not hide a tag.
    without_tags = _TAG_START.sub("< ", _TAG.sub("", clean(snippet)))
    return clean(html.unescape(without_tags))


def page_text(page: str) -> tuple[str, str]:
    r"""Return the title and the visible text of an HTML page, one line per block; any string is a page.

    Scripts, styles, drawings and embedded documents are left out. The time is linear in the length of the
    page, whatever is in it (`python -m benchmarks.html`).

    Raises:
        ValueError: If the page is longer than `MAX_PAGE_CHARS`.

    >>> page_text("<title>Corun</title><h1>A <b>ci</b>ty</h1>in Belin &amp; more<script>x</script>")
    ('Corun', 'A city\nin Belin & more')
    """
    from lxml import etree

    if len(page) > MAX_PAGE_CHARS:
        raise ValueError(f"expected a page of at most {MAX_PAGE_CHARS:,} characters, got {len(page):,}")
    # Without `huge_tree` what stands behind 10 MB of text or some hundred open tags is lost.
    parser = etree.HTMLParser(target=_VisibleText(), encoding="utf-8", huge_tree=True)
    parser.feed(page.encode("utf-8", "replace"))
    found: _VisibleText = parser.close()
    lines = (clean(line) for line in "".join(found.text).split("\n"))
    return clean("".join(found.title)), "\n".join(line for line in lines if line)


class _VisibleText:
    """Receives the parts of a page from the parser in their order, so that no tree is built."""

    def __init__(self) -> None:
        self.title: list[str] = []
        self.text: list[str] = []
        self._in_title = False
        self._hidden = 0

    def start(self, tag: str, attributes: object) -> None:
        self._in_title = tag == "title" and not self._hidden and not self.title
        self._hidden += tag in _HIDDEN
        self._end_line(tag)

    def end(self, tag: str) -> None:
        self._in_title = False
        self._hidden -= tag in _HIDDEN
        self._end_line(tag)

    def data(self, text: str) -> None:
        if self._in_title:
            self.title.append(text)
        elif not self._hidden:
            self.text.append(text.replace("\n", " "))

    def close(self) -> _VisibleText:
        return self

    def _end_line(self, tag: str) -> None:
        if tag not in _INLINE:
            self.text.append("\n")
