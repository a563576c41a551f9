"""Checksums of the files of a checkpoint, kept in its `state.json` together with one of that file itself."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STATE = "state.json"
_CHUNK_BYTES = 1 << 20


class DamagedFileError(ValueError):
    """A file whose bytes are not those that were written; the message names it."""


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write `state.json` with the checksums of all other files of a folder."""
    files = {entry.name: _crc32(entry) for entry in sorted(folder.iterdir()) if entry.name != STATE}
    sealed = {**state, "crc32_of_files": files}
    (folder / STATE).write_text(json.dumps({**sealed, "crc32": _of_state(sealed)}))


def read_state(folder: Path) -> dict[str, Any]:
    """Read `state.json` after comparing every file of the folder with its checksum.

    Checkpoints of earlier versions have no checksums and are read as they are.

    Raises:
        OSError: If a file is missing or cannot be read.
        DamagedFileError: If a file has changed, or is no state.
    """
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        if not isinstance(state, dict):
            raise ValueError(f"expected an object, got {type(state).__name__}")
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{STATE}: {error}") from error
    expected = state.pop("crc32", None)
    sealed = expected is not None or "crc32_of_files" in state
    if sealed and expected != _of_state(state):
        raise DamagedFileError(f"{STATE}: expected the bytes that were written, got others")
    for name, checksum in state.pop("crc32_of_files", {}).items():
        if _crc32(folder / name) != checksum:
            raise DamagedFileError(f"{name}: expected the bytes that were written, got others")
    if missing := {"stage", "step", "optimizer"} - set(state):
        raise DamagedFileError(f"{STATE}: expected {', '.join(sorted(missing))}, got none")
    return state


def _of_state(state: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(state, sort_keys=True).encode())


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
