"""One self-contained HTML file of games and curves, which opens from a disk and requests nothing.

The list of games comes first and compressed; the bodies of games follow in compressed parts, which the page
unpacks when somebody opens a game. All data are in base64, so that no text of a passage or a model can end
the element that it stands in.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeAlias

from ssp_env.viewer.assets import GENERATOR, page_halves, vocabulary
from ssp_env.viewer.sources import (
    COLUMNS,
    DEFAULT_LIMIT,
    Source,
    columns_of,
    open_source,
    read_games,
    read_metrics,
)

MAX_SOURCES = 2
_PART_BYTES = 1 << 18
_PART_GAMES = 64
_HEAD_BYTES = 4096

OnRead: TypeAlias = Callable[[int, int], object]


def write_page(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    limit: int = DEFAULT_LIMIT,
    on_read: OnRead | None = None,
) -> list[Source]:
    """Write a page of the games of one file or run, or of two side by side; one part is in memory at a time.

    Args:
        paths: Files of recorded games, or folders of runs.
        out: File to write; one that this function has written before is replaced.
        limit: Most games of each source, from its end.
        on_read: Called now and then with the number of a source and the bytes of it that have been read.

    Returns:
        The sources, with what was left out and what could not be shown.

    Raises:
        ValueError: If there are not one or two paths, or `limit` is below 1.
        DataFileError: If a source cannot be read.
        FileExistsError: If `out` exists and is no page of games.
    """
    if not 1 <= len(paths) <= MAX_SOURCES:
        raise ValueError(f"expected one file or run to show, or two side by side, got {len(paths)}")
    if limit < 1:
        raise ValueError(f"expected to show at least 1 game, got the limit {limit}")
    target = Path(out)
    check_target(target)
    sources = [open_source(path) for path in paths]
    aside = target.with_name(target.name + ".part")
    try:
        with (
            tempfile.TemporaryFile("w+", encoding="ascii") as parts,
            aside.open("w", encoding="utf-8") as page,
        ):
            _assemble(page, sources, parts, limit, on_read)
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return sources


def check_target(path: Path) -> None:
    """Refuse to replace a file that is no page of games.

    Raises:
        FileExistsError: If there is one.
    """
    if not path.exists():
        return
    if path.is_file():
        with path.open("rb") as file:
            if f'content="{GENERATOR}'.encode() in file.read(_HEAD_BYTES):
                return
    raise FileExistsError(f"{path} exists and is no page of games: choose another file with --out")


def title_of(sources: Sequence[Source]) -> str:
    """Return the title of a page."""
    return f"{' and '.join(source.name for source in sources)} – games"


def _assemble(
    page: IO[str], sources: Sequence[Source], parts: IO[str], limit: int, on_read: OnRead | None
) -> None:
    listed = [
        _write_parts(number, read_games(source, limit, on_read and partial(on_read, number)), parts)
        for number, source in enumerate(sources)
    ]
    metrics = [list(read_metrics(source)) for source in sources]
    before, after = page_halves(title_of(sources))
    page.write(before)
    about = {**vocabulary(), "follows": False, "sources": [source.about() for source in sources]}
    page.write(block("about", about))
    for number, (columns, rows) in enumerate(zip(listed, metrics, strict=True)):
        page.write(block(f"games-{number}", columns))
        page.write(block(f"metrics-{number}", rows))
    head, end = after.split("<!-- parts -->\n")
    page.write(head)
    parts.seek(0)
    while chunk := parts.read(1 << 20):
        page.write(chunk)
    page.write(end)


def _write_parts(
    source_number: int, games: Iterator[tuple[dict[str, Any], str]], parts: IO[str]
) -> dict[str, list[Any]]:
    """Write the bodies of the games of a source, and return the columns of its list."""
    columns: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, "part")}
    for number, (rows, bodies) in enumerate(_in_parts(games)):
        parts.write(_script(f"part-{source_number}-{number}", f"[{','.join(bodies)}]"))
        for name, values in columns_of(rows).items():
            columns[name] += values
        columns["part"] += [number] * len(rows)
    return columns


def _in_parts(
    games: Iterator[tuple[dict[str, Any], str]],
) -> Iterator[tuple[list[dict[str, Any]], list[str]]]:
    rows: list[dict[str, Any]] = []
    bodies: list[str] = []
    size = 0
    for row, body in games:
        rows.append(row)
        bodies.append(body)
        size += len(body)
        if size >= _PART_BYTES or len(rows) >= _PART_GAMES:
            yield rows, bodies
            rows, bodies, size = [], [], 0
    if rows:
        yield rows, bodies


def block(name: str, data: Any) -> str:
    """Return data for the scripts of a page as a compressed `<script>` element that no browser runs.

    Args:
        name: Id of the element.
        data: Plain data for JSON.

    Raises:
        ValueError: If a number is infinite or NaN.
    """
    return _script(name, json.dumps(data, separators=(",", ":"), allow_nan=False))


def _script(name: str, text: str) -> str:
    # Without a time in it, so that equal games give equal pages.
    packed = base64.b64encode(gzip.compress(text.encode("ascii"), mtime=0)).decode()
    return f'<script type="text/plain" id="{name}">{packed}</script>\n'
