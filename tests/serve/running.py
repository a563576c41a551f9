"""Servers on real sockets for tests: an ASGI application in a thread, and `ssp serve` in a process."""

import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@contextmanager
def running(app, limits=None):
    """Serve an application on a free port, as `ssp serve` does; give its address."""
    uvicorn = pytest.importorskip("uvicorn")
    # With the protocol named, asyncio sends small replies at once; without, each waits for 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)
    from ssp_env.serve.connections import server_config

    options = {"log_level": "critical", "timeout_graceful_shutdown": 10}
    server = uvicorn.Server(server_config(app, limits, **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextmanager
def process(*arguments, env=()):
    """Run Python until the block ends; give the process and the address that it printed."""
    environment = {**os.environ, "PYTHONPATH": ROOT, **dict(env)}
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)], stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as child:
        try:
            lines = []
            for line in child.stderr:
                lines.append(line)
                if address := re.search(r"running on (http://[\d.:]+)", line):
                    break
            else:
                pytest.fail("the server did not start: " + "".join(lines))
            yield child, address[1]
        finally:
            child.kill()
