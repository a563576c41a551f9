"""The commands of this package in processes of their own, which are killed in the middle of their work."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from ssp_env.http import RequestPolicy
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.builder import build_index
from ssp_env.search.bm25.directory import check_index
from ssp_env.search.errors import SearchError
from ssp_env.search.remote import RemoteEngine
from ssp_env.worlds import World, world_preset

SSP = (sys.executable, "-m", "ssp_env.cli")
QUERIES = 40
PASSAGES = 5_000
"""Passages of an index whose builds are killed."""


@contextmanager
def server(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `ssp serve` until the block ends; yield the process and the address.

    Raises:
        RuntimeError: If it does not start; the message has what it said.
    """
    command = [*SSP, "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            said = []
            assert child.stderr is not None
            for line in child.stderr:
                said.append(line)
                if address := re.search(r"running on (http://[\d.:]+)", line):
                    threading.Thread(target=child.stderr.read, daemon=True).start()
                    yield child, address[1]
                    return
            raise RuntimeError("the server did not start: " + "".join(said))
        finally:
            child.kill()


def killed_builds(folder: Path, kills: int, seed: int) -> tuple[int, list[str]]:
    """Kill builds of an index at random moments, run them again, and compare what comes out.

    Returns:
        How many kills met a running build, and what differs from an index that nobody disturbed.
    """
    rng = random.Random(seed)
    passages = [*islice(World(world_preset("large")).passages(), PASSAGES)]
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(asdict(passage)) + "\n" for passage in passages))
    whole, build = folder / "whole", [*SSP, "index", "build", str(corpus), "--out"]
    started = time.monotonic()
    subprocess.run([*build, str(whole)], check=True, capture_output=True)
    seconds = time.monotonic() - started
    queries = [passage.title for passage in passages[:QUERIES]]
    right = BM25Engine.open(whole).search(queries, 5)
    met, faults, number = 0, list[str](), 0
    while met < kills:
        target = folder / f"killed-{number}"
        number += 1
        while True:
            child = subprocess.Popen([*build, str(target)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                # A build that has been killed three times may end.
                wait = None if met >= kills or rng.random() < 0.25 else rng.uniform(0.1, 1.1) * seconds
                _, said = child.communicate(timeout=wait)
                break
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
                met += 1
        # One that was killed after its last write is whole, and is refused a second build.
        if child.returncode and not (target / "manifest.json").exists():
            faults.append(f"{target.name}: status {child.returncode}: {said.decode()[-300:]}")
            continue
        check_index(target)
        same = BM25Engine.open(target).search(queries, 5) == right
        if not same or BM25Engine.open(target).fingerprint() != BM25Engine.open(whole).fingerprint():
            faults.append(f"{target.name}: another index than without kills")
        shutil.rmtree(target)
    return met, faults


def killed_servers(folder: Path, kills: int, seed: int) -> tuple[int, list[str]]:
    """Kill servers while clients search; every search is right or a typed error, and the index stays whole.

    Returns:
        How many kills there were, and what went wrong.
    """
    rng = random.Random(seed)
    passages = [*World(world_preset("small")).passages()]
    build_index(passages, folder / "index", source=None)
    queries = [passage.title for passage in passages[:QUERIES]]
    right = BM25Engine.open(folder / "index").search(queries, 3)
    faults = list[str]()

    def search(address: str, ended: threading.Event) -> None:
        with RemoteEngine(address, policy=RequestPolicy(max_retries=0, timeout=20)) as engine:
            while not ended.is_set():
                try:
                    if engine.search(queries, 3) != right:
                        faults.append("a reply of another search")
                except SearchError:
                    ended.set()
                except Exception as error:
                    faults.append(f"untyped: {type(error).__name__}: {error}")
                    ended.set()

    for _ in range(kills):
        with server("--index", str(folder / "index")) as (child, address):
            ended = threading.Event()
            clients = [threading.Thread(target=search, args=[address, ended]) for _ in range(4)]
            for client in clients:
                client.start()
            time.sleep(rng.uniform(0.0, 1.0))
            child.kill()
            for client in clients:
                client.join(60)
            faults += ["a client that hangs" for client in clients if client.is_alive()]
    check_index(folder / "index")
    if BM25Engine.open(folder / "index").search(queries, 3) != right:
        faults.append("the index has changed")
    return kills, faults
