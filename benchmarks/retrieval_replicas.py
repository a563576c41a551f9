"""One index on disk behind several `ssp serve` processes: rate, latency and memory for one client."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.process_memory import resident_together, seconds_of
from benchmarks.retrieval_curve import TOP_K, build, generate, once, write_questions
from benchmarks.retrieval_worlds import large_world
from ssp_env.cli.progress import tracked, waiting
from ssp_env.search import RemoteEngine, ReplicatedEngine
from ssp_env.search.remote import POLICY

BATCH = 32
"""Queries of one request where many are searched at once."""

_PASSES = 3
_MEGABYTE = 1e6


def replicas(
    passages: Annotated[int, typer.Option(help="Size of the world.", min=200)],
    keep: Annotated[Path, typer.Option(help="Keep the corpus and the index here, as `curve` does.")],
    processes: Annotated[
        list[int] | None, typer.Option(help="Servers; may be repeated; 1, 2 and 4 by default.", min=1)
    ] = None,
    queries: Annotated[int, typer.Option(help="Questions of the world to ask.", min=1)] = 500,
    concurrency: Annotated[int, typer.Option(help="Requests under way at a time.", min=1)] = 32,
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
) -> None:
    """Search one index through 1, 2 and 4 servers, one question per request and 32 at once."""
    folder = keep / str(passages)
    folder.mkdir(parents=True, exist_ok=True)
    once(folder / "generated.json", partial(generate, folder, passages, 1))
    once(folder / "built.json", partial(build, folder))
    write_questions(folder, large_world(passages), queries)
    asked: list[str] = [question for question, _ in json.loads((folder / "asked.json").read_text())]
    rows = [
        {"servers": number, **measure(folder / "index", number, asked, concurrency)}
        for number in tracked(processes or (1, 2, 4), "numbers of servers")
    ]
    played = {"passages": passages, "requests under way": concurrency, "cores": os.cpu_count()}
    table = Table(title=", ".join(f"{value:,} {name}" for name, value in played.items()))
    for heading in rows[0]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            *(f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" for value in row.values())
        )
    Console().print(table)
    if out is not None:
        out.write_text(json.dumps({**played, "rows": rows}, indent=1) + "\n")


def measure(index: Path, processes: int, questions: list[str], concurrency: int) -> dict[str, float]:
    """Search an index through some servers, after a pass of all questions that is not measured.

    Args:
        index: Folder of the index.
        processes: Number of servers.
        questions: What is asked.
        concurrency: Most requests under way at a time.

    Returns:
        Queries per second and quantiles of latency of single questions, and the servers' CPU time for each;
        queries per second in batches; megabytes that the servers hold together.
    """
    policy = replace(POLICY, concurrency=concurrency, timeout=120.0)
    with ExitStack() as stack:
        servers = [stack.enter_context(_serving(index)) for _ in range(processes)]
        urls, ids = [url for url, _ in servers], [process for _, process in servers]
        engine: Any = stack.enter_context(
            RemoteEngine(urls[0], policy=policy, max_queries=BATCH)
            if processes == 1
            else ReplicatedEngine(urls, policy=policy, max_queries=BATCH)
        )
        with waiting(f"asking {processes} servers"):
            asyncio.run(_ask_singly(engine, questions, concurrency))
            spent, started = sum(map(seconds_of, ids)), perf_counter()
            latencies = asyncio.run(_ask_singly(engine, questions * _PASSES, concurrency))
            seconds, spent = perf_counter() - started, sum(map(seconds_of, ids)) - spent
            started = perf_counter()
            engine.search(questions * _PASSES, TOP_K)
            batched = perf_counter() - started
        p50, p99 = np.quantile(latencies, (0.5, 0.99)).tolist()
        return {
            "queries/s": len(latencies) / seconds,
            "p50 ms": p50 * 1e3,
            "p99 ms": p99 * 1e3,
            "cpu ms": spent / len(latencies) * 1e3,
            "batched/s": len(latencies) / batched,
            "MB": resident_together(ids) / _MEGABYTE,
        }


@contextmanager
def _serving(index: Path) -> Iterator[tuple[str, int]]:
    """Run `ssp serve` over an index; yield its address and process id.

    Raises:
        RuntimeError: If it ends before it serves.
    """
    command = [sys.executable, "-m", "ssp_env.cli", "serve", "--index", str(index), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            lines: list[str] = []
            for line in server.stderr or ():
                lines.append(line)
                if address := re.search(r"running on (http://[\d.:]+)", line):
                    yield address[1], server.pid
                    break
            else:
                raise RuntimeError("the server did not start: " + "".join(lines))
        finally:
            server.terminate()


async def _ask_singly(engine: Any, questions: Sequence[str], concurrency: int) -> list[float]:
    """Ask questions in requests of their own; return the seconds that each took."""
    waiting_questions = iter(questions)
    seconds: list[float] = []

    async def client() -> None:
        for question in waiting_questions:
            started = perf_counter()
            await engine.asearch([question], TOP_K)
            seconds.append(perf_counter() - started)

    await asyncio.gather(*(client() for _ in range(concurrency)))
    return seconds
