"""Files of episodes: JSON Lines that are appended to line by line and read one game at a time."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ssp_env.data.lines import DataFileError, decode_line, read_byte_lines, shown
from ssp_env.game import Game
from ssp_env.records.episode import Episode


class TornLine(DataFileError):
    """The last line of a file was cut short: its writer was killed while it wrote."""


class EpisodeWriter(AbstractContextManager["EpisodeWriter"]):
    """Appends episodes to a JSON Lines file; written games are kept if the process crashes.

    Args:
        path: The file.
        append: Continue a file that exists, whose last line is removed if it is torn; if False, the file must
            be new.

    Raises:
        FileExistsError: If the file exists and `append` is off.
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        self.path = Path(path)
        if append and self.path.exists():
            _cut_torn_line(self.path)
        self._file = self.path.open("a" if append else "x", encoding="ascii", newline="\n", buffering=1)

    def write(self, game: Game, engine: str = "", extra: Mapping[str, Any] | None = None) -> None:
        """Append a finished game; the arguments are those of `Episode.of`.

        Raises:
            ValueError: If the game is not over, or holds a number that is infinite or NaN.
            TypeError: If `extra` holds what is no plain data.
        """
        self.write_episode(Episode.of(game, engine, extra))

    def write_episode(self, episode: Episode) -> None:
        """Append an episode.

        Raises:
            ValueError: If it holds a number that is infinite or NaN; nothing is written then.
            TypeError: If its `extra` holds what is no plain data; nothing is written then.
        """
        self._file.write(episode.to_line() + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def read_episodes(
    path: str | os.PathLike[str], *, on_torn: Callable[[TornLine], object] | None = None
) -> Iterator[Episode]:
    """Stream the episodes of a file, gzipped or not, one game in memory at a time.

    Args:
        path: JSON Lines as `EpisodeWriter` writes them.
        on_torn: Called with what is wrong with a torn last line, after which the reading ends as usual.

    Raises:
        TornLine: If the last line is torn and `on_torn` is None; every whole line has been yielded by then.
        DataFileError: If the file cannot be read or another line is no episode of this schema.
    """
    for _, episode in numbered_episodes(path, on_torn=on_torn):
        yield episode


def numbered_episodes(
    path: str | os.PathLike[str],
    *,
    on_torn: Callable[[TornLine], object] | None = None,
    on_bad: Callable[[DataFileError], object] | None = None,
    after: int = 0,
    on_bytes: Callable[[int], object] | None = None,
) -> Iterator[tuple[int, Episode]]:
    """Do what `read_episodes` does, each episode with the number of its line, from 1.

    Args:
        path: As for `read_episodes`.
        on_torn: As for `read_episodes`.
        on_bad: Called with what is wrong with a line that is no episode, which is then skipped; None raises.
        after: Number of lines at the beginning that are passed over unread.
        on_bytes: Called now and then with the number of bytes of the file that have been read.
    """
    bad: DataFileError | None = None
    torn = False
    for number, line in read_byte_lines(path, on_bytes):
        if number <= after:
            continue
        if bad is not None:
            _refuse(bad, on_bad)
        bad = None
        try:
            text = decode_line(line, path, number).strip()
            episode = parse_episode(text, path, number) if text else None
        except DataFileError as error:
            # Torn if nothing follows, malformed if something does.
            bad, torn = error, isinstance(error, _NoJSON)
            continue
        if episode is not None:
            yield number, episode
    if bad is None:
        return
    if not torn or _ends_with_line_break(path):
        _refuse(bad, on_bad)
        return
    torn_line = TornLine(
        "expected a whole record, got a torn last line: its writer was stopped while it wrote; "
        "the games before it are whole",
        path,
        bad.line,
    )
    if on_torn is None:
        raise torn_line
    on_torn(torn_line)


class _NoJSON(DataFileError):
    """A line that is no JSON at all, as a torn one is."""


def parse_episode(text: str, path: str | os.PathLike[str], number: int) -> Episode:
    """Read one line of a file of episodes.

    Args:
        text: The line.
        path: The file, for errors.
        number: Number of the line, for errors.

    Raises:
        DataFileError: If it is no episode of this schema.
    """
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        problem = f"expected one JSON object a line, got invalid JSON: {error}"
        raise _NoJSON(problem, path, number) from error
    try:
        if not isinstance(data, dict):
            raise ValueError(f"expected one JSON object a line, got {shown(data)}")
        return Episode.from_data(data)
    except ValueError as error:
        raise DataFileError(str(error), path, number) from error


def _refuse(bad: DataFileError, on_bad: Callable[[DataFileError], object] | None) -> None:
    if on_bad is None:
        raise bad
    on_bad(bad)


def _no_constant(name: str) -> object:
    raise ValueError(f"expected a finite number, got {name}")


def keep_episodes(path: str | os.PathLike[str], keep: Callable[[Episode], bool]) -> None:
    """Remove the episodes for which `keep` returns False, and a torn last line, by replacing the file.

    Nothing happens if the file does not exist.

    Raises:
        DataFileError: If the file cannot be read or a whole line is no episode; the file is unchanged then.
    """
    target = Path(path)
    if not target.exists():
        return
    aside = target.with_name(target.name + ".part")
    aside.unlink(missing_ok=True)
    with EpisodeWriter(aside) as writer:
        for episode in read_episodes(target, on_torn=lambda torn: None):
            if keep(episode):
                writer.write_episode(episode)
    aside.replace(target)


def _ends_with_line_break(path: str | os.PathLike[str]) -> bool:
    # A gzipped file is packed whole, so its last line cannot have been torn by its writer.
    with open(path, "rb") as file:
        if file.read(2) == b"\x1f\x8b":
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _cut_torn_line(path: Path) -> None:
    """Remove a torn last line; a line that only lacks its line break is given one."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        if not end:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            last = content[content.rfind(b"\n") + 1 :]
        if not last:
            return
        try:
            json.loads(last)
            file.write(b"\n")
        except ValueError:
            file.truncate(end - len(last))
