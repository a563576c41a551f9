"""Reading a corpus of passages: a file of records, a folder of documents, or a generated world."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from ssp_env.data.fields import PASSAGE_ID_KEYS, parse_id
from ssp_env.data.lines import DataFileError, shown
from ssp_env.data.records import count_rows, is_parquet, read_records
from ssp_env.game.passage import Passage
from ssp_env.search.documents import is_quoted, unquoted
from ssp_env.search.parts import PartSize, cut_pages
from ssp_env.search.plain_text import page_text
from ssp_env.worlds import World


class CorpusError(DataFileError):
    """A corpus file that cannot be used; the message names the file, the line and what was expected."""


OnBad: TypeAlias = Callable[[CorpusError], object]

_TEXT_KEYS = ("text", "contents")
_KEYS = (*PASSAGE_ID_KEYS, "title", *_TEXT_KEYS)
_BEIR_CORPUS = "corpus.jsonl"


@contextmanager
def _as_corpus_error() -> Iterator[None]:
    try:
        yield
    except CorpusError:
        raise
    except DataFileError as error:
        raise CorpusError(error.problem, error.path, error.line) from error


@contextmanager
def _skipping(on_bad: OnBad | None) -> Iterator[None]:
    """Hand the error of a malformed passage to `on_bad`, or raise it if that is None."""
    try:
        with _as_corpus_error():
            yield
    except CorpusError as error:
        if on_bad is None:
            raise
        on_bad(error)


def read_corpus(
    path: str | os.PathLike[str],
    *,
    on_bad: OnBad | None = None,
    on_bytes: Callable[[int], object] | None = None,
) -> Iterator[Passage]:
    r"""Stream the passages of a file: JSON Lines, a JSON array, CSV or TSV with a header, or Parquet.

    A record is `{"id": ..., "title": ..., "text": ...}`, with `_id` or `docid` in place of `id` as in BEIR
    and BrowseComp-Plus, or `{"id": ..., "contents": "\"Title\"\ntext"}` as in Search-R1, with the title on
    the first line, quoted or not. A passage without a title has no or a null `title`, or `contents` of one
    line, as in pyserini; passages with and without titles may stand in one corpus. Other keys are ignored.
    `read_records` says how the forms are told apart, docs/formats.md has an example of each.

    Args:
        path: The file.
        on_bad: Called with what is wrong with a malformed record, which is then skipped; raised if None.
        on_bytes: Called now and then with the number of bytes of a text file that have been read.

    Raises:
        CorpusError: While iterating, if the file cannot be read, is cut short or has no passage, or a record
            is malformed.
        ModuleNotFoundError: If the file is Parquet and pyarrow is not installed.
    """
    empty = True

    def skip(error: DataFileError) -> None:
        with _skipping(on_bad):
            raise error

    with _as_corpus_error():
        for _, passage in read_records(
            path, _parse_passage, _KEYS, [PASSAGE_ID_KEYS, _TEXT_KEYS], on_bad=skip, on_bytes=on_bytes
        ):
            empty = False
            yield passage
    if empty:
        raise CorpusError("expected at least one passage, got an empty file", path)


def _parse_passage(record: Mapping[str, Any], number: int) -> Passage:
    """Return the passage that a record holds.

    Raises:
        ValueError: If a field is missing or of another type, or the passage is blank.
    """
    identifier = parse_id(record, PASSAGE_ID_KEYS)
    title, text = _split_contents(record["contents"]) if "contents" in record else _title_and_text(record)
    if not title.strip() and not text.strip():
        raise ValueError("expected a passage with a title or text, got a blank one")
    return Passage(identifier, title, text)


def _split_contents(contents: object) -> tuple[str, str]:
    if not isinstance(contents, str):
        raise ValueError(f'expected a title line and the text below it in "contents", got {shown(contents)}')
    title, newline, text = contents.partition("\n")
    # A line with nothing below it is the text of a passage without a title, unless it is quoted as titles.
    is_titled = bool(text.strip()) or (bool(newline) and is_quoted(title))
    return (unquoted(title), text) if is_titled else ("", contents)


def _title_and_text(record: Mapping[str, Any]) -> tuple[str, str]:
    title, text = record.get("title"), record.get("text")
    if not isinstance(text, str) or not isinstance(title, str | None):
        raise ValueError(
            f'expected the strings "title" and "text", or "contents", got the keys {sorted(record)}'
            + ("" if "text" in record else ': rename the field that holds the passage to "text"')
        )
    return title or "", text


SUFFIXES = (".md", ".markdown", ".html", ".htm", ".txt")

_HTML_SUFFIXES = (".html", ".htm")

# What ends a heading is stripped afterwards: in the pattern it would take time quadratic in the line.
_MARKDOWN_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(\S.*)$", re.MULTILINE)


def document_paths(folder: Path) -> list[Path]:
    """Return the documents below a folder, sorted; links that lead out of it are left out."""
    root = folder.resolve()
    found = []
    for parent, _, names in os.walk(root, followlinks=False):
        paths = (Path(parent, name) for name in names if name.lower().endswith(SUFFIXES))
        found += [path for path in paths if path.is_file() and path.resolve().is_relative_to(root)]
    return sorted(found)


def read_folder(
    folder: Path, *, on_bad: OnBad | None = None, on_bytes: Callable[[int], object] | None = None
) -> Iterator[Passage]:
    """Stream the documents below a folder as passages.

    The id is the path below the folder, with `/` on every system. The title is that of the HTML page, the
    first heading of Markdown or else the name of the file.

    The arguments are those of `read_corpus`: a malformed file is one that is blank or not UTF-8.

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
        except OSError as error:
            raise CorpusError(f"cannot be read: {error.strerror or error}", path) from error
        with _skipping(on_bad):
            passage = _passage(content, path, path.relative_to(root).as_posix())
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
    if path.suffix.lower() in _HTML_SUFFIXES:
        try:
            title, text = page_text(text)
        except ValueError as error:
            raise CorpusError(str(error), path) from error
    elif path.suffix.lower() in (".md", ".markdown"):
        heading = _MARKDOWN_HEADING.search(text)
        title = heading[1].rstrip(" \t#") if heading else ""
    if not text.strip():
        raise CorpusError("expected a document with text, got a blank one", path)
    # A name may hold bytes that are no text; an id may not.
    identifier = identifier.encode("utf-8", "backslashreplace").decode()
    return Passage(identifier, title or Path(identifier).stem, text.strip())


# -- sources of an index -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class CorpusSource:
    """A corpus that has not been read yet.

    Attributes:
        identity: Name of the source and its version, which changes when a file changes.
        total: Size of the source in the unit of the progress of `read`: bytes or passages.
        read: Streams the passages. Its arguments are a function that is called with the error of a malformed
            passage, which is raised if the function is None, and a function that is called with the progress.
        is_folder: Whether it is a folder of documents, which have any length.
    """

    identity: str
    total: int
    read: Callable[[OnBad | None, Callable[[int], object]], Iterator[Passage]]
    is_folder: bool = False

    def cut(self, size: PartSize, on_cut: Callable[[int], object]) -> CorpusSource:
        """Return the source of the parts of its pages; see `cut_pages`."""
        read = self.read
        return replace(
            self,
            identity=f"{self.identity}, {size}",
            read=lambda on_bad, on_done: cut_pages(read(on_bad, on_done), size, on_cut),
        )


def open_source(path: Path) -> CorpusSource:
    """Open a file that `read_corpus` reads, a BEIR folder or a folder of documents.

    Raises:
        CorpusError: If it cannot be read.
    """
    if path.is_dir():
        beir = path / _BEIR_CORPUS
        return _text_file(beir) if beir.is_file() else _folder(path)
    with _as_corpus_error():
        return _parquet(path) if is_parquet(path) else _text_file(path)


def world_source(world: World) -> CorpusSource:
    """The passages of a world; the progress is counted in passages."""
    return CorpusSource(
        f"world {world.id} {world.fingerprint()}",
        len(world),
        lambda on_bad, on_done: _counted(world.passages(), on_done),
    )


def _text_file(path: Path) -> CorpusSource:
    return CorpusSource(
        _identity([path]),
        path.stat().st_size,
        lambda on_bad, on_done: read_corpus(path, on_bad=on_bad, on_bytes=on_done),
    )


def _parquet(path: Path) -> CorpusSource:
    return CorpusSource(
        _identity([path]),
        count_rows(path),
        lambda on_bad, on_done: _counted(read_corpus(path, on_bad=on_bad), on_done),
    )


def _folder(path: Path) -> CorpusSource:
    paths = document_paths(path)
    return CorpusSource(
        f"{path.resolve()} {_identity(paths)}",
        sum(document.stat().st_size for document in paths),
        lambda on_bad, on_done: read_folder(path, on_bad=on_bad, on_bytes=on_done),
        is_folder=True,
    )


def _counted(passages: Iterable[Passage], on_done: Callable[[int], object]) -> Iterator[Passage]:
    for number, passage in enumerate(passages, start=1):
        on_done(number)
        yield passage


def _identity(paths: list[Path]) -> str:
    """Name files by path, size and time of the last change."""
    digest = hashlib.sha256()
    for path in paths:
        found = path.stat()
        digest.update(f"{path.resolve()!s} {found.st_size} {found.st_mtime_ns}\n".encode(errors="replace"))
    return f"{paths[0].resolve() if len(paths) == 1 else f'{len(paths)} files'} {digest.hexdigest()[:16]}"
