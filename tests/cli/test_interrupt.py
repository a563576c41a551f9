"""Ctrl-C ends every command with status 130, the shell's number for it, and without a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssp_env.search.bm25.builder import build_index
from ssp_env.worlds import World, world_preset

SSP = [sys.executable, "-m", "tests.serve.run_ssp"]
MAIN = Path(__file__).parents[2]


def interrupted(*arguments, ready):
    """Run a command until `ready` returns, interrupt it, and return its status and its stderr."""
    process = subprocess.Popen(
        [*SSP, *map(str, arguments)], cwd=MAIN, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        opened = ready(process)
        process.send_signal(signal.SIGINT)
        try:
            _, error = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            # Python sees a signal that comes just before a blocking read only when the read is interrupted.
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    if opened is not None:
        opened.close()
    return process.returncode, error


@pytest.fixture
def pipe(tmp_path):
    """A file that never ends, and a wait until the command has opened it."""
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)

    def opened(process):
        while process.poll() is None:
            try:
                return os.fdopen(os.open(path, os.O_WRONLY | os.O_NONBLOCK), "wb")
            except OSError:  # nobody reads yet
                time.sleep(0.02)
        return None

    return path, opened


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["rescore", "--reward", "4p(1-p)"],
        ["export", "--to", "chat", "--out", "{out}"],
        ["index", "add", "{index}"],
        ["search", "x", "--corpus"],
        ["serve", "--corpus"],
        [
            "play",
            "--proposer",
            "chat:x@http://127.0.0.1:9",
            "--solver",
            "chat:x@http://127.0.0.1:9",
            "--corpus",
        ],
        ["eval", "strong", "--games", "1", "--corpus"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_that_reads(arguments, pipe, tmp_path):
    path, opened = pipe
    index = tmp_path / "index"
    if "{index}" in arguments:
        build_index(World(world_preset("tiny")).passages(), index, source=None)
    names = {"{out}": tmp_path / "out", "{index}": index}
    status, error = interrupted(
        *(names.get(argument, argument) for argument in arguments), path, ready=opened
    )
    assert (status, "Traceback" in error) == (130, False), error


def test_a_command_that_writes():
    status, error = interrupted(
        "world", "large", "--passages", 100_000, ready=lambda process: print(process.stdout.readline())
    )
    assert (status, "Traceback" in error) == (130, False), error


@pytest.mark.parametrize("mcp", [[], ["--mcp", "http"]])
def test_a_server(mcp):
    def listening(process):
        while "running on http" not in process.stderr.readline():
            pass

    status, error = interrupted("serve", "--world", "tiny", "--port", "0", *mcp, ready=listening)
    assert (status, "Traceback" in error) == (130, False), error
