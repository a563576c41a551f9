"""Memory of a process on Linux: what it has allocated, and what it has mapped from files."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

_FIELD = re.compile(r"^(VmHWM|RssAnon|RssFile):\s+(\d+) kB$", re.MULTILINE)
_SECONDS_BETWEEN_SAMPLES = 0.2


def memory(process: int | str = "self") -> dict[str, float]:
    """Return resident bytes: allocated, mapped from files, and the highest sum so far.

    A figure is NaN where the system does not report it.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        status = ""
    found = {name: float(kilobytes) * 1024 for name, kilobytes in _FIELD.findall(status)}
    names = {"allocated": "RssAnon", "mapped": "RssFile", "peak": "VmHWM"}
    return {name: found.get(field, float("nan")) for name, field in names.items()}


def run_measured(command: Sequence[str]) -> dict[str, float]:
    """Run a command to its end and return the highest of each kind of memory, sampled.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    highest: dict[str, float] = {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        ended = threading.Event()

        def sample() -> None:
            while not ended.wait(_SECONDS_BETWEEN_SAMPLES):
                for name, value in memory(process.pid).items():
                    # A process that has just ended gives NaN, which never compares as greater.
                    highest[name] = value if value > highest.get(name, -1.0) else highest.get(name, value)

        watcher = threading.Thread(target=sample)
        watcher.start()
        try:
            status = process.wait()
        finally:
            ended.set()
            watcher.join()
    if status:
        raise subprocess.CalledProcessError(status, list(command))
    return highest or memory()
