"""A page of a run that goes on: a server for this machine alone hands out what is new in the run's files."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ssp_env.data.lines import DataFileError, decode_line, read_byte_lines
from ssp_env.records.files import parse_episode
from ssp_env.serve.access import LocalPagesOnly, is_loopback
from ssp_env.viewer.assets import page_halves, vocabulary
from ssp_env.viewer.page import MAX_SOURCES, block, title_of
from ssp_env.viewer.sources import (
    DEFAULT_LIMIT,
    EPISODES,
    METRICS,
    Source,
    columns_of,
    open_source,
    plain_metrics,
    shown_game,
)

HOST = "127.0.0.1"
PART_GAMES = 16
"""Games that the page asks for at a time."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass
class GrowingFile:
    """A file that somebody appends lines to, read as far as they are whole.

    Attributes:
        path: The file, which may not exist yet.
        position: Where the first line begins that has not been read.
        lines: Number of lines that have been read or passed over.
    """

    path: Path
    position: int = 0
    lines: int = 0
    _inode: int = 0

    def was_replaced(self) -> bool:
        """Whether what has been read is no longer there: the file is shorter, another one, or gone."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return self.position > 0
        return status.st_size < self.position or (self.position > 0 and status.st_ino != self._inode)

    def pass_over(self, lines: int) -> None:
        """Take the first lines as read."""
        for number, line in read_byte_lines(self.path):
            if number > lines:
                break
            self.position += len(line)
            self.lines += 1
        self._inode = self.path.stat().st_ino

    def new_lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Read the new whole lines: number, where it begins, and text of each."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            self._inode = os.fstat(file.fileno()).st_ino
            file.seek(self.position)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                start = self.position
                self.position += len(line)
                self.lines += 1
                yield self.lines, start, line


@dataclass
class FollowedSource:
    """The games and metrics of a run, or the games of a file, that come while they are looked at.

    Args:
        source: The run or the file.
        limit: Most games that are read from what is there at the beginning.
        generation: How many times the files were replaced since.
    """

    source: Source
    limit: int = DEFAULT_LIMIT
    generation: int = 0
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _places: list[tuple[int, int]] = field(default_factory=list)
    _metrics: list[dict[str, Any]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """Forget what was read, and read from the beginning."""
        path = self.source.path
        is_run = path.is_dir()
        self._games = GrowingFile(path / EPISODES if is_run else path)
        self._steps = GrowingFile(path / METRICS) if is_run else None
        self.source = Source(path, self._games.path, self._steps.path if self._steps else None)
        self._rows, self._places, self._metrics = [], [], []
        if self._games.path.is_file():
            lines = sum(1 for _ in read_byte_lines(self._games.path))
            if (left_out := max(0, lines - self.limit)) > 0:
                self._games.pass_over(left_out)
                self.source.left_out = left_out

    def changes(self, generation: int, games: int, metrics: int) -> dict[str, Any]:
        """Read what is new, and return what a page lacks that has this many games and metrics.

        Args:
            generation: The state of the files when the page asked last; if it is outdated, everything is
                returned.
            games: Number of games that the page has.
            metrics: Number of steps that the page has.
        """
        with self._lock:
            if self._games.was_replaced() or (self._steps is not None and self._steps.was_replaced()):
                self.generation += 1
                self._begin()
            self._read()
            if generation != self.generation:
                games = metrics = 0
            columns = columns_of(self._rows[games:])
            columns["part"] = [place // PART_GAMES for place in range(games, len(self._rows))]
            return {
                "generation": self.generation,
                "games": columns,
                "metrics": self._metrics[metrics:],
                "about": self.source.about(),
            }

    def part(self, generation: int, number: int) -> list[Any]:
        """Return the bodies of the games of a part.

        Raises:
            LookupError: If there is no such part, or the files have been replaced since.
        """
        with self._lock:
            places = self._places[number * PART_GAMES : (number + 1) * PART_GAMES]
            if generation != self.generation or number < 0 or not places or self._games.was_replaced():
                raise LookupError("expected a part of the games that are there, got one that is not")
            bodies = []
            with self._games.path.open("rb") as file:
                for line_number, start in places:
                    file.seek(start)
                    bodies.append(json.loads(self._shown(line_number, file.readline())[1]))
            return bodies

    def _read(self) -> None:
        for number, start, line in self._games.new_lines():
            if not line.strip():
                continue
            try:
                row, _ = self._shown(number, line)
            except DataFileError as error:
                self.source.skip(error)
                continue
            self._rows.append(row)
            self._places.append((number, start))
        self.source.total, self.source.shown = self._games.lines, len(self._rows)
        if self._steps is None:
            return
        for number, _, line in self._steps.new_lines():
            try:
                self._metrics.append(plain_metrics(line, self._steps.path, number))
            except DataFileError as error:
                self.source.add_problem(error)

    def _shown(self, number: int, line: bytes) -> tuple[dict[str, Any], str]:
        path = self._games.path
        return shown_game(parse_episode(decode_line(line, path, number), path, number), path, number)


def build_follow_app(
    paths: Sequence[str | os.PathLike[str]], *, host: str = HOST, limit: int = DEFAULT_LIMIT
) -> ASGIApp:
    """Offer the page of runs or files that go on to browsers of this machine.

    Args:
        paths: Folders of runs or files of games, one or two. A run may have recorded nothing yet.
        host: Address of the server, at loopback.
        limit: Most games of each source that are read from what is there at the beginning.

    Raises:
        ValueError: If the address is not at loopback, or there are not one or two paths.
        DataFileError: If a path is neither, or a file is gzipped, which nobody appends to.
    """
    if not is_loopback(host):
        raise ValueError(f"expected an address at loopback, such as {HOST}, got {host!r}")
    if not 1 <= len(paths) <= MAX_SOURCES:
        raise ValueError(f"expected one file or run to follow, or two side by side, got {len(paths)}")
    sources = [FollowedSource(_followable(path), limit) for path in paths]
    routes = _routes(sources, _page([one.source for one in sources]))
    return LocalPagesOnly(Starlette(routes=routes), host)


def _routes(sources: Sequence[FollowedSource], page: str) -> list[Route]:
    def chosen(request: Request) -> FollowedSource:
        number = _number(request, "source")
        if not 0 <= number < len(sources):
            raise HTTPException(404, f"expected a source below {len(sources)}, got {number}")
        return sources[number]

    def index(_: Request) -> Response:
        return HTMLResponse(page, headers=_HEADERS)

    def changes(request: Request) -> Response:
        numbers = (_number(request, name) for name in ("generation", "games", "metrics"))
        return JSONResponse(chosen(request).changes(*numbers), headers=_HEADERS)

    def part(request: Request) -> Response:
        try:
            found = chosen(request).part(_number(request, "generation"), _number(request, "part"))
        except LookupError as error:
            raise HTTPException(404, str(error)) from error
        return JSONResponse(found, headers=_HEADERS)

    def icon(_: Request) -> Response:
        return Response(status_code=204)

    endpoints: dict[str, Callable[[Request], Response]] = {
        "/": index, "/changes": changes, "/part": part, "/favicon.ico": icon,
    }  # fmt: skip
    return [Route(address, endpoint, methods=["GET"]) for address, endpoint in endpoints.items()]


def _followable(path: str | os.PathLike[str]) -> Source:
    source = open_source(path)
    if source.games is not None:
        with source.games.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                problem = "expected a file that games are appended to, got a gzipped one: ssp view shows it"
                raise DataFileError(problem, source.games)
    return source


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 12):
        raise HTTPException(422, f"expected a whole number as {name}, got {text[:40]!r}")
    return int(text)


def _page(sources: Sequence[Source]) -> str:
    before, after = page_halves(title_of(sources), follows=True)
    text = io.StringIO()
    text.write(before)
    about = {**vocabulary(), "follows": True, "sources": [source.about() for source in sources]}
    text.write(block("about", about))
    text.write(after.replace("<!-- parts -->\n", ""))
    return text.getvalue()
