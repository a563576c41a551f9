"""What a process uses on Linux: memory that it has allocated and that it has mapped from files, and time."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

_FIELD = re.compile(r"^(VmHWM|RssAnon|RssFile):\s+(\d+) kB$", re.MULTILINE)
_PROPORTIONAL = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)
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


def resident_together(processes: Sequence[int]) -> float:
    """Return the resident bytes of some processes; what several have mapped is shared among them.

    Raises:
        OSError: If one has ended, or the system does not report it.
    """
    rollups = (Path(f"/proc/{process}/smaps_rollup").read_text() for process in processes)
    return sum(1024.0 * int(found[1]) for found in map(_PROPORTIONAL.search, rollups) if found)


def seconds_of(process: int) -> float:
    """Return the seconds of CPU time that a process has used.

    Raises:
        OSError: If it has ended, or the system does not report it.
    """
    # The name before them may hold spaces and brackets.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
