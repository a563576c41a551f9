"""The cost of an index by the size of its world: build, disk, memory and speed, each in its own process."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated, TypeAlias

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.process_memory import memory, run_measured
from benchmarks.retrieval_engines import disk_bytes
from benchmarks.retrieval_worlds import large_world, mixed_questions
from ssp_env.cli.progress import tracked
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.directory import read_manifest
from ssp_env.worlds import World

Measured: TypeAlias = dict[str, float]
"""Name -> seconds, bytes or a share."""

RANKINGS = ("default", "exact")
TOP_K = 10
CUT = 5
_SECONDS_PER_PASS = 60.0
_MEGABYTE = 1e6

_BUILDING = (
    *("passages", "words", "generate cpu s", "build s", "of it cpu", "MB allocated", "MB resident"),
    *("disk MB texts", "disk MB terms"),
)
_SEARCHING = (
    *("passages", "ranking", "open ms", "first p50 ms", "p50 ms", "p95 ms", "batched queries/s"),
    *("MB allocated", "MB mapped", f"recall@{CUT}"),
)


def curve(
    passages: Annotated[list[int], typer.Option(help="Sizes of the world; may be repeated.", min=200)],
    queries: Annotated[int, typer.Option(help="Questions of the world to ask.", min=1)] = 500,
    processes: Annotated[int, typer.Option(help="Processes that generate.", min=1)] = 2,
    keep: Annotated[
        Path | None, typer.Option(help="Keep corpora and indexes here, and use them again.")
    ] = None,
) -> None:
    """Build indexes of worlds of rising size with `ssp index build`, and search them."""
    building = _table("Building; memory is the highest seen", _BUILDING)
    searching = _table("Searching; memory is that at the end", _SEARCHING)
    for count in tracked(passages, "worlds"):
        with _folder(keep, count) as folder:
            written = once(folder / "generated.json", partial(generate, folder, count, processes))
            built = once(folder / "built.json", partial(build, folder))
            building.add_row(f"{count:,}", *_built_cells(written, built))
            write_questions(folder, large_world(count), queries)
            for ranking in RANKINGS:
                searching.add_row(f"{count:,}", ranking, *_search_cells(_searched(folder, ranking)))
    console = Console()
    console.print(building)
    console.print(searching)


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _built_cells(written: Measured, built: Measured) -> list[str]:
    megabytes = (f"{built[name] / _MEGABYTE:,.0f}" for name in ("allocated", "peak", "texts", "terms"))
    seconds = f"{built['seconds']:,.1f}", f"{built['cpu']:,.1f}"
    return [f"{written['words']:.1f}", f"{written['cpu']:,.0f}", *seconds, *megabytes]


def _search_cells(found: Measured) -> list[str]:
    times = (f"{found[name] * 1e3:.2f}" for name in ("open", "first_p50", "p50", "p95"))
    megabytes = (f"{found[name] / _MEGABYTE:,.0f}" for name in ("allocated", "mapped"))
    return [*times, f"{found['rate']:,.0f}", *megabytes, f"{found['recall']:.3f}"]


def write_questions(folder: Path, world: World, count: int) -> None:
    """Write questions of a world, each with the id of its first passage, to `asked.json`."""
    asked = [(item.question, item.passage_ids[0]) for item in mixed_questions(world, count)]
    (folder / "asked.json").write_text(json.dumps(asked))


def _searched(folder: Path, ranking: str) -> Measured:
    command = [sys.executable, "-m", "benchmarks.retrieval", "search-index", str(folder), ranking]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Measured = json.loads(done.stdout)
    return found


def generate(folder: Path, count: int, processes: int) -> Measured:
    """Write the passages of a world to `corpus.jsonl`, each process a part of them."""
    edges = np.linspace(0, count, processes + 1, dtype=int).tolist()
    parts = [(folder / f"part-{number}", count, *edges[number : number + 2]) for number in range(processes)]
    with get_context("spawn").Pool(processes) as pool:
        found = pool.starmap(write_part, parts)
    with (folder / "corpus.jsonl").open("wb") as corpus:
        for path, *_ in parts:
            with path.open("rb") as part:
                shutil.copyfileobj(part, corpus, 1 << 20)
            path.unlink()
    return {"words": sum(words for words, _ in found) / count, "cpu": sum(cpu for _, cpu in found)}


def write_part(path: Path, count: int, first: int, end: int) -> tuple[int, float]:
    """Write some passages of a world; return the number of their words and the seconds of CPU time."""
    world, started, words = large_world(count), process_time(), 0
    with path.open("w", encoding="utf-8") as file:
        for page in map(world.passage, range(first, end)):
            file.write(json.dumps({"id": page.id, "title": page.title, "text": page.text}) + "\n")
            words += len(page.title.split()) + len(page.text.split())
    return words, process_time() - started


def build(folder: Path) -> Measured:
    """Run `ssp index build` on the corpus; an unfinished build is continued."""
    command = [sys.executable, "-c", "from ssp_env.cli import main; main()", "index", "build"]
    used, started = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    peaks = run_measured([*command, str(folder / "corpus.jsonl"), "--out", str(folder / "index")])
    seconds, now = perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    manifest = read_manifest(folder / "index")
    texts = sum(manifest.files[name][0] for name in manifest.passage_files)
    return {
        **peaks,
        "seconds": seconds,
        "cpu": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
        "texts": texts,
        "terms": disk_bytes(folder / "index") - texts,
    }


def search_index(folder: Path, ranking: str) -> None:
    """Time the searches of one process and print what they took as JSON."""
    asked = json.loads((folder / "asked.json").read_text())
    questions = [question for question, _ in asked]
    started = perf_counter()
    engine = BM25Engine.open(folder / "index", exact=ranking == "exact")
    opened = perf_counter() - started
    # The first pass reads what is not in memory yet.
    first = _latencies(engine, questions)
    again = _latencies(engine, questions[: len(first)])
    started = perf_counter()
    results = engine.search(questions[: len(again)], TOP_K)
    rate = len(again) / (perf_counter() - started)
    hits = [
        wanted in [page.id for page in found[:CUT]]
        for (_, wanted), found in zip(asked, results, strict=False)
    ]
    p50, p95 = np.quantile(again, (0.5, 0.95)).tolist()
    found = {"open": opened, "first_p50": float(np.median(first)), "p50": p50, "p95": p95, "rate": rate}
    print(json.dumps({**found, "recall": float(np.mean(hits)), **memory()}))


def _latencies(engine: BM25Engine, questions: Sequence[str]) -> list[float]:
    found, begun = [], perf_counter()
    for question in questions:
        started = perf_counter()
        engine.search([question], TOP_K)
        found.append(perf_counter() - started)
        if perf_counter() - begun > _SECONDS_PER_PASS:
            break
    return found


def once(path: Path, make: Callable[[], Measured]) -> Measured:
    """Return the figures that an earlier run has written, or measure them."""
    if not path.exists():
        path.write_text(json.dumps(make()))
    found: Measured = json.loads(path.read_text())
    return found


@contextmanager
def _folder(keep: Path | None, count: int) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
        return
    (keep / str(count)).mkdir(parents=True, exist_ok=True)
    yield keep / str(count)
