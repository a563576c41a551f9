"""The search server beside a minimal handler of its protocol over the same engine, and its replies checked.

Run with `python -m benchmarks.server`; it needs `ssp-env[serve]`. Servers run in processes of their
own and the client in this one, so compare ratios of one run only.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter, sleep
from typing import Any

import numpy as np
import typer
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from ssp_env.cli.progress import tracked, waiting
from ssp_env.search.bm25 import BM25Engine
from ssp_env.serve.app import build_app
from ssp_env.worlds import World, world_preset

CLIENTS = (1, 16, 128)
BATCHES = (1, 32)
TOP_K = 3

Rankings = list[list[dict[str, Any]]]


class _Request(BaseModel):
    queries: list[str]
    topk: int | None = None
    return_scores: bool = False


def minimal_app(engine: BM25Engine) -> FastAPI:
    """Return a minimal handler of the protocol, without limits or batching, with a thread per request."""
    app = FastAPI()

    @app.post("/retrieve")
    def retrieve(request: _Request) -> dict[str, Rankings]:
        """Answer every query with the passages it finds."""
        found = engine.search(request.queries, request.topk or TOP_K)
        return {
            "result": [
                [
                    {"document": {"id": hit.id, "contents": f'"{hit.title}"\n{hit.text}'}, "score": hit.score}
                    for hit in hits
                ]
                for hits in found
            ]
        }

    return app


def _serve(kind: str, port: int, preset: str) -> None:
    engine = BM25Engine(World(world_preset(preset)).passages())
    app = build_app(engine) if kind == "ssp serve" else minimal_app(engine)
    uvicorn.run(app, port=port, log_level="error", access_log=False)


@contextmanager
def serving(kind: str, preset: str) -> Iterator[int]:
    """Run a server in a process of its own; yield its port once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(kind, port, preset))
    process.start()
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if not process.is_alive():
                    raise RuntimeError(f"the server of {kind} ended with {process.exitcode}") from None
                sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.join()


async def _post(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, queries: Sequence[str]
) -> Rankings:
    """Send a request over a connection that stays open; a client library would be slower than the server."""
    body = json.dumps({"queries": queries, "topk": TOP_K, "return_scores": True}).encode()
    writer.write(b"POST /retrieve HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"expected status 200, got {head[:40]!r}")
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    result: Rankings = json.loads(await reader.readexactly(length))["result"]
    return result


async def load(
    port: int, clients: int, requests: Sequence[Sequence[str]], check: Callable[[int, Rankings], object]
) -> tuple[float, float]:
    """Send all requests over the clients' connections; return queries per second and p99 latency in ms."""
    work = iter(enumerate(requests))
    seconds: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        for number, queries in work:
            started = perf_counter()
            result = await _post(reader, writer, queries)
            seconds.append(perf_counter() - started)
            check(number, result)
        writer.close()
        await writer.wait_closed()

    started = perf_counter()
    running: list[Awaitable[None]] = [client() for _ in range(clients)]
    await asyncio.gather(*running)
    spent = perf_counter() - started
    if len(seconds) != len(requests):
        raise RuntimeError(f"expected {len(requests)} replies, got {len(seconds)}")
    return sum(map(len, requests)) / spent, float(np.percentile(seconds, 99)) * 1e3


def _compare(console: Console, preset: str, titles: Sequence[str], queries: int) -> None:
    table = Table(title=f"Searching the world {preset}: queries per second and 99th percentile of latency")
    for heading in ("queries per request", "clients", "server", "queries/s", "p99 ms", "ratio of queries/s"):
        table.add_column(heading, justify="left" if heading == "server" else "right")
    with serving("minimal handler", preset) as plain, serving("ssp serve", preset) as ours:
        for batch in tracked(BATCHES, "searching"):
            for clients in CLIENTS:
                texts = [titles[number % len(titles)] for number in range(queries)]
                requests = [texts[start : start + batch] for start in range(0, queries, batch)]
                rates: list[float] = []
                for name, port in (("minimal handler", plain), ("ssp serve", ours)):
                    rate, p99 = asyncio.run(load(port, clients, requests, lambda number, result: None))
                    rates.append(rate)
                    ratio = f"{rate / rates[0]:.2f}"
                    table.add_row(str(batch), str(clients), name, f"{rate:,.0f}", f"{p99:.1f}", ratio)
    console.print(table)


def _check_contents(console: Console, preset: str, titles: Sequence[str], count: int) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.choice([1, 1, 1, 1, 2, 8], size=count)
    requests = [[titles[row] for row in rng.integers(len(titles), size=size)] for size in sizes]
    engine = BM25Engine(World(world_preset(preset)).passages())
    expected = {
        title: [(hit.id, hit.score) for hit in hits]
        for title, hits in zip(titles, engine.search(titles, TOP_K), strict=True)
    }

    def check(number: int, result: Rankings) -> None:
        got = [[(item["document"]["id"], item["score"]) for item in ranking] for ranking in result]
        if got != [expected[query] for query in requests[number]]:
            raise RuntimeError(f"request {number} got the results of other queries: {got}")

    with serving("ssp serve", preset) as port, waiting("checking replies"):
        rate, p99 = asyncio.run(load(port, max(CLIENTS), requests, check))
    console.print(
        f"{count:,} requests of {min(sizes)} to {max(sizes)} queries from {max(CLIENTS)} clients: "
        f"every reply compared with the engine's own, none lost or mixed up; "
        f"{rate:,.0f} queries/s, p99 {p99:.0f} ms",
        highlight=False,
    )


def main(preset: str = "small", queries: int = 8192, requests: int = 100_000) -> None:
    """Measure, and print a table; then check `requests` replies by their content."""
    console = Console()
    titles = [passage.title for passage in World(world_preset(preset)).passages()]
    _compare(console, preset, titles, queries)
    _check_contents(console, preset, titles, requests)


if __name__ == "__main__":
    typer.run(main)
