"""Clients of a server that break off in the middle of their requests, among others that stay."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.attacks.processes import server
from ssp_env.worlds import World, world_preset

WAYS = ("stays", "half closed", "leaves at once", "leaves in the head", "leaves in the body", "resets")
AT_A_TIME = 64
SECONDS = 60.0


def vanishing(requests: int, seed: int) -> tuple[int, list[str], dict[str, float]]:
    """Send requests to `ssp serve`, most of which nobody waits for.

    Returns:
        How many were sent; what went wrong: an answer that is missing, wrong or late, or a server that does
        not recover; and figures: requests by way, and the growth of the server's memory in MiB.
    """
    titles = [passage.title for passage in World(world_preset("tiny")).passages()]
    with server("--world", "tiny") as (child, address):
        asyncio.run(_send_all(address, titles, 200, seed))  # What is loaded once is loaded.
        before = _memory(child.pid)
        faults, ways = asyncio.run(_send_all(address, titles, requests, seed))
        waiting = re.search(r"^ssp_waiting_queries (\S+)$", httpx.get(f"{address}/metrics").text, re.M)
        if waiting is None or float(waiting[1]):
            faults.append(f"queries still wait: {waiting and waiting[1]}")
        figures = {**{f"clients: {way}": float(count) for way, count in ways.items()}}
        figures["memory grown, MiB"] = _memory(child.pid) - before
    return requests, faults, figures


async def _send_all(
    address: str, titles: list[str], requests: int, seed: int
) -> tuple[list[str], Counter[str]]:
    rng = random.Random(seed)
    faults, ways = list[str](), Counter[str]()
    left = iter(range(requests))

    async def client() -> None:
        for _ in left:
            way, title = rng.choice(WAYS), rng.choice(titles)
            ways[way] += 1
            try:
                answer = await asyncio.wait_for(_send(address, title, way), SECONDS)
            except (OSError, asyncio.TimeoutError) as error:
                faults.append(f"{way}: {type(error).__name__}: {error}")
                continue
            if way in ("stays", "half closed") and not _is_right(answer, title):
                faults.append(f"{way}: expected {title!r} first, got {answer[-200:]!r}")

    await asyncio.gather(*(client() for _ in range(AT_A_TIME)))
    return faults, ways


async def _send(address: str, title: str, way: str) -> bytes:
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    body = json.dumps({"query": title, "topk": 1}).encode()
    head = f"POST /retrieve HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(body)}\r\n"
    request = f"{head}Connection: close\r\n\r\n".encode() + body
    cut = {"leaves in the head": 30, "leaves in the body": len(request) - 5}.get(way, len(request))
    try:
        writer.write(request[:cut])
        await writer.drain()
        if way == "half closed":
            writer.write_eof()
        if way in ("stays", "half closed"):
            return await reader.read()
        if way == "resets":
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        return b""
    finally:
        writer.close()


def _is_right(answer: bytes, title: str) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return False
    [[document]] = json.loads(body)["result"]
    return bool(document["title"] == title)


def _memory(process_id: int) -> float:
    """Memory of a process in MiB; 0 where the system does not tell."""
    path = Path(f"/proc/{process_id}/status")
    if not path.exists():
        return 0.0
    found = re.search(r"^VmRSS:\s+(\d+) kB", path.read_text(), re.M)
    return int(found[1]) / 1024 if found else 0.0
