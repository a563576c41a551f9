"""A folder of Markdown, HTML and text files as a corpus: every file is one passage."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

from ssp_env.passage import Passage
from ssp_env.search.corpus import CorpusError

SUFFIXES = (".md", ".markdown", ".html", ".htm", ".txt")

_INVISIBLE = frozenset({"script", "style", "template", "noscript"})
_INLINE = frozenset(
    {"a", "abbr", "b", "cite", "code", "em", "font", "i", "mark", "q", "s", "small", "span", "strong"}
    | {"sub", "sup", "u", "wbr"}
)
_MARKDOWN_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)


def document_paths(folder: Path) -> list[Path]:
    """Return the documents below a folder, sorted; links that lead out of it are left out."""
    root = folder.resolve()
    found = []
    for parent, _, names in os.walk(root, followlinks=False):
        paths = (Path(parent, name) for name in names if name.lower().endswith(SUFFIXES))
        found += [path for path in paths if path.is_file() and path.resolve().is_relative_to(root)]
    return sorted(found)


def read_folder(
    folder: Path,
    *,
    on_bad: Callable[[CorpusError], object] | None = None,
    on_bytes: Callable[[int], object] | None = None,
) -> Iterator[Passage]:
    """Stream the documents below a folder as passages.

    The id is the path below the folder, with `/` on every system. The title is that of the HTML page, the
    first heading of Markdown or else the name of the file.

    Args:
        folder: The folder.
        on_bad: Called with what is wrong with a file, which is then skipped; if None it is raised.
        on_bytes: Called after every file with the number of bytes read so far.

    Raises:
        CorpusError: While iterating, if there is no document, or one cannot be read or is not UTF-8.
    """
    root, done = folder.resolve(), 0
    paths = document_paths(folder)
    if not paths:
        raise CorpusError(f"expected files that end in {', '.join(SUFFIXES)}, found none", folder)
    for path in paths:
        try:
            content = path.read_bytes()
            passage = _passage(content, path, path.relative_to(root).as_posix())
        except CorpusError as error:
            if on_bad is None:
                raise
            on_bad(error)
            continue
        except OSError as error:
            raise CorpusError(f"cannot be read: {error.strerror or error}", path) from error
        done += len(content)
        if on_bytes is not None:
            on_bytes(done)
        yield passage


def _passage(content: bytes, path: Path, identifier: str) -> Passage:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"expected UTF-8 text, got byte 0x{content[error.start]:02x}", path) from error
    title = ""
    if path.suffix.lower() in (".html", ".htm"):
        title, text = html_to_text(text)
    elif path.suffix.lower() in (".md", ".markdown"):
        heading = _MARKDOWN_HEADING.search(text)
        title = heading[1] if heading else ""
    if not text.strip():
        raise CorpusError("expected a document with text, got a blank one", path)
    # A name may hold bytes that are no text; an id may not.
    identifier = identifier.encode("utf-8", "backslashreplace").decode()
    return Passage(identifier, title or Path(identifier).stem, text.strip())


def html_to_text(page: str) -> tuple[str, str]:
    r"""Return the title and the visible text of an HTML page; no page is too malformed.

    >>> html_to_text("<title>Corun</title><h1>A <b>ci</b>ty</h1>in Belin &amp; more<script>x</script>")
    ('Corun', 'A city\nin Belin & more')
    """
    parser = _VisibleText()
    parser.feed(page)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.text).splitlines())
    return " ".join("".join(parser.title).split()), "\n".join(line for line in lines if line)


class _VisibleText(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self.text: list[str] = []
        self._hidden = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_title = self._in_title or (tag == "title" and not self.title)
        self._hidden += tag in _INVISIBLE
        if tag not in _INLINE:
            self.text.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._in_title = self._in_title and tag != "title"
        self._hidden = max(0, self._hidden - (tag in _INVISIBLE))
        if tag not in _INLINE:
            self.text.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._hidden:
            self.text.append(" ".join(data.splitlines()) if "\n" in data else data)
