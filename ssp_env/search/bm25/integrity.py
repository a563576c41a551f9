"""Whether the files that decide a ranking are what was written, found out when an index is opened."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from ssp_env.search.bm25.directory import Manifest, hash_file
from ssp_env.search.bm25.passage_file import DamagedIndexError

CHECKED_AT_ONCE = 64 * 2**20
"""Most bytes that are checked before an index opens, in about a tenth of a second."""


class RankingCheck:
    """Compares the order of ids and the terms with their hashes; each text has a checksum of its own.

    Small indexes are checked at once, larger ones by a thread in the background, since their
    engine cannot check the parts that it reads.

    Args:
        path: The index directory.
        manifest: Its manifest.

    Raises:
        DamagedIndexError: If a small index is damaged; the message names the file.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._problem: DamagedIndexError | None = None
        kept = set(manifest.passage_files)
        files = tuple((name, *entry) for name, entry in manifest.files.items() if name not in kept)
        if sum(size for _, size, _ in files) <= CHECKED_AT_ONCE:
            _compare(path, files)
        else:
            threading.Thread(target=self._run, args=(path, files), daemon=True, name="index check").start()

    def raise_problem(self) -> None:
        """Raise what the check has found so far.

        Raises:
            DamagedIndexError: If a file is damaged; the message names it.
        """
        if self._problem is not None:
            raise DamagedIndexError(str(self._problem))

    def _run(self, path: Path, files: tuple[tuple[str, int, str], ...]) -> None:
        try:
            _compare(path, files)
        except DamagedIndexError as error:
            self._problem = error


def _compare(path: Path, files: Iterable[tuple[str, int, str]]) -> None:
    for name, _, expected in files:
        try:
            found = hash_file(path / name, lambda count: None)
        except OSError as error:
            raise DamagedIndexError(f"{path / name}: cannot be read: {error.strerror or error}") from error
        if found != expected:
            raise DamagedIndexError(f"{path / name}: expected the bytes that were written, got others")
