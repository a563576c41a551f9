"""One process at a time trains in a run folder: a lock that ends with its process, and says who holds it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK, _HOLDER = ".lock", ".lock-holder.json"


class BusyRunError(ValueError):
    """Another process trains in this folder; the message names it."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run folder; a lock whose process was killed is free again.

    Raises:
        BusyRunError: If another process holds it.
    """
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BusyRunError(
            f"the run in {folder} is being trained by {_holder(folder)}: wait until it has ended, or stop it"
        ) from error
    try:
        (folder / _HOLDER).write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield
        for name in (_HOLDER, _LOCK):
            (folder / name).unlink(missing_ok=True)
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process trains in a run folder."""
    if not (folder / _LOCK).exists():
        return False
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / _HOLDER).read_text())
        return f"process {int(holder['pid'])} on {str(holder['host'])!r}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
