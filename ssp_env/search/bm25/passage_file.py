"""Passages in files: appended as they come, sorted by id, read at random through memory maps."""

from __future__ import annotations

import heapq
import marshal
import mmap
import os
import struct
import tempfile
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate, islice
from operator import itemgetter
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ssp_env.game.passage import Passage

# CRC-32 of what follows it; bytes of id, title and text.
_HEADER = struct.Struct("<IIII")
_CRC_BYTES = 4
_LENGTHS_BYTES = _HEADER.size - _CRC_BYTES


class DamagedIndexError(ValueError):
    """An index whose files are not what was written; the message names the file."""


class PassageWriter(AbstractContextManager["PassageWriter"]):
    """Appends passages to a file.

    Args:
        path: The file, new or shortened to `size`.
        size: Bytes of an existing file to keep.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        self._file = path.open("r+b" if size else "wb", buffering=1 << 20)
        self._file.truncate(size)
        self._file.seek(size)
        self._size = size

    def append(self, passage: Passage) -> int:
        """Write one passage and return its position."""
        parts = [part.encode("utf-8", "surrogatepass") for part in (passage.id, passage.title, passage.text)]
        body = _HEADER.pack(0, *map(len, parts))[_CRC_BYTES:] + b"".join(parts)
        self._file.write(zlib.crc32(body).to_bytes(_CRC_BYTES, "little") + body)
        position = self._size
        self._size += _CRC_BYTES + len(body)
        return position

    def flush(self) -> int:
        """Let other processes read what was written, and return the size of the file in bytes."""
        self._file.flush()
        return self._size

    def sync(self) -> int:
        """Force everything to the disk and return the size of the file in bytes."""
        size = self.flush()
        os.fsync(self._file.fileno())
        return size

    def __exit__(self, *_: object) -> None:
        self._file.close()


def stored_bytes(passages: Iterable[Passage]) -> int:
    """Return the size of a file of these passages."""
    return sum(
        _HEADER.size
        + sum(
            len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
            for text in (passage.id, passage.title, passage.text)
        )
        for passage in passages
    )


class PassageFiles:
    """Files of passages as one sequence of bytes; a passage is known by the position of its first byte.

    Attributes:
        paths: The files.

    Raises:
        DamagedIndexError: If a passage that is read is not what was written.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self._maps = []
        for path in self.paths:
            with path.open("rb") as file:
                self._maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self._starts = list(accumulate((len(part) for part in self._maps), initial=0))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return self._starts[-1]

    def read(self, position: int, score: float = 0.0) -> Passage:
        """Return the passage at a position."""
        number = bisect_right(self._starts, position) - 1 if position >= self._starts[1] else 0
        return self._read(number, position - self._starts[number], score)[0]

    def scan(self) -> Iterator[tuple[int, Passage]]:
        """Yield every passage with its position, in the order in which they were written."""
        for number, start in enumerate(self._starts[:-1]):
            offset, size = 0, len(self._maps[number])
            while offset < size:
                passage, end = self._read(number, offset)
                yield start + offset, passage
                offset = end

    def _read(self, number: int, offset: int, score: float = 0.0) -> tuple[Passage, int]:
        try:
            data = self._maps[number]
            crc, title, text, end = _HEADER.unpack_from(data, offset)
            title += _LENGTHS_BYTES
            text += title
            end += text
            begin = offset + _CRC_BYTES
            body = data[begin : begin + end]
            if crc != zlib.crc32(body) or len(body) != end:
                raise ValueError
        except (IndexError, ValueError, struct.error) as error:
            place = f"{self.paths[number]}, byte {offset}" if number < len(self._maps) else "past the end"
            raise DamagedIndexError(f"expected a passage, got damaged bytes: {place}") from error
        identifier = body[_LENGTHS_BYTES:title].decode("utf-8", "surrogatepass")
        heading = body[title:text].decode("utf-8", "surrogatepass")
        return Passage(identifier, heading, body[text:].decode("utf-8", "surrogatepass"), score), begin + end


class StoredPassages:
    """A corpus on disk: passages by where they are stored, and by their place in the order of ids.

    Args:
        files: The passages.
        order: File of their positions in the order of their ids, 8 bytes each.
    """

    def __init__(self, files: PassageFiles, order: Path) -> None:
        self._files = files
        self.order = np.asarray(np.memmap(order, dtype="<u8", mode="r"))

    def __len__(self) -> int:
        return len(self.order)

    def stored_at(self, position: int) -> Passage:
        """Return the passage that is stored at `position`."""
        return self._files.read(position)

    def __getitem__(self, rank: int) -> Passage:
        """Return the passage number `rank` in the order of ids."""
        return self._files.read(int(self.order[rank]))

    def scored(self, ranks: NDArray[np.int64], scores: Sequence[float]) -> list[Passage]:
        """Return passages by their numbers in the order of ids, with scores."""
        return list(map(self._files.read, self.order[ranks].tolist(), scores))

    def __iter__(self) -> Iterator[Passage]:
        """Yield all passages in the order of ids."""
        return (self[rank] for rank in range(len(self)))


Entry: TypeAlias = tuple[bytes, int]
"""A passage's id, encoded (UTF-8 sorts as the text does), and its position."""

_RUN_ENTRIES = 200_000
_BATCH_ENTRIES = 2_000


class DuplicateIdError(ValueError):
    """Two passages share an id.

    Attributes:
        positions: Where the two are.
    """

    def __init__(self, identifier: str, positions: tuple[int, int]) -> None:
        self.identifier = identifier
        self.positions = positions
        super().__init__(f"passage ids must be unique, got {identifier!r} twice")


def sorted_positions(entries: Iterable[Entry], folder: Path) -> Iterator[int]:
    """Yield positions in the order of ids.

    Args:
        entries: Ids and positions, in any order.
        folder: Where sorted runs may lie meanwhile.

    Raises:
        DuplicateIdError: If two ids are equal.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        starts, waiting = [], iter(entries)
        while run := sorted(islice(waiting, _RUN_ENTRIES)):
            starts.append(file.tell())
            for first in range(0, len(run), _BATCH_ENTRIES):
                marshal.dump(run[first : first + _BATCH_ENTRIES], file)
            marshal.dump([], file)
        previous: Entry | None = None
        for entry in heapq.merge(*(_read_run(file, start) for start in starts), key=itemgetter(0)):
            if previous is not None and entry[0] == previous[0]:
                first, second = sorted((previous[1], entry[1]))
                raise DuplicateIdError(entry[0].decode("utf-8", "surrogatepass"), (first, second))
            previous = entry
            yield entry[1]


def _read_run(file: IO[bytes], start: int) -> Iterator[Entry]:
    while True:
        file.seek(start)
        batch: list[Entry] = marshal.load(file)
        start = file.tell()
        if not batch:
            return
        yield from batch
