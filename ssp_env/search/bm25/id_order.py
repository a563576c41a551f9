"""Sorting passages by id in memory that does not grow with their number, which also finds ids used twice."""

from __future__ import annotations

import heapq
import marshal
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import IO, TypeAlias

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
