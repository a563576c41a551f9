"""The speed and memory of search engines beside each other, each stage in a process of its own."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.process_memory import memory
from benchmarks.retrieval_curve import Measured, generate, once, write_questions
from benchmarks.retrieval_engines import DISTRIBUTIONS, ENGINES, MOST_PASSAGES, disk_bytes
from benchmarks.retrieval_worlds import large_world
from ssp_env.cli.progress import tracked

TOP_K = 10

_SECONDS_PER_MEASUREMENT = 10.0
_MEGABYTE = 1e6
_BEHIND = 1.1
"""A figure is marked if it is behind the best by more than this factor."""

_BETTER_IF_LESS = ("p50 cpu ms", "p95 cpu ms", "build cpu s", "MB searching", "MB building")
COMPARED = (*_BETTER_IF_LESS, "batched per cpu s")
"""Figures in which an engine is compared with the best that returns the same."""


def library_versions() -> dict[str, str]:
    """Return the versions of everything that is measured, by name of its distribution."""
    found = {"Python": platform.python_version()}
    for name in dict.fromkeys(["ssp-env", *DISTRIBUTIONS.values(), "numba", "numpy"]):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def speed(
    passages: Annotated[list[int], typer.Option(help="Sizes of the world; may be repeated.", min=200)],
    engines: Annotated[
        list[str] | None, typer.Option("--engine", help="Only these; may be repeated.")
    ] = None,
    queries: Annotated[int, typer.Option(help="Questions of the world to ask.", min=1)] = 500,
    keep: Annotated[
        Path | None, typer.Option(help="Keep corpora and indexes here, and use them again.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
) -> None:
    """Measure build time, disk, memory and speed of search; first every engine builds, then all search."""
    unknown = sorted(set(engines or ()) - set(ENGINES))
    if unknown:
        raise typer.BadParameter(f"expected engines among {', '.join(ENGINES)}, got {', '.join(unknown)}")
    console, rows = Console(), []
    with nullcontext(keep) if keep else tempfile.TemporaryDirectory() as scratch:
        asked = [
            (count, name)
            for count in passages
            for name in engines or ENGINES
            if count <= MOST_PASSAGES.get(name, count)
        ]
        for count in dict.fromkeys(passages):
            _write_world(Path(scratch) / str(count), count, queries)
        built = [_built(Path(scratch) / str(count), name) for count, name in tracked(asked, "building")]
        for (count, name), build in zip(tracked(asked, "searching"), built, strict=True):
            found = build and _stage("search", Path(scratch) / str(count), name)
            rows.append({"passages": count, "engine": name, **_figures(build, found)})
    for row in rows:
        row["behind"] = behind(row, rows)
    console.print(_table(rows))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"versions": library_versions(), "rows": rows}, indent=1) + "\n")


def behind(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return by what factors an engine is behind the best other library at its size, if by a tenth or more.

    Engines that return ids alone are compared with each other, and so are those that return passages.
    """
    found = {}
    same = [other for other in rows if other["passages"] == row["passages"] and "found@10" in other]
    same = [other for other in same if _returns_ids(other["engine"]) == _returns_ids(row["engine"])]
    same = [other for other in same if other is row or _library(other["engine"]) != _library(row["engine"])]
    for name in COMPARED if "found@10" in row else ():
        # What is built when it is opened would be best at building.
        figures = [row[name], *(other[name] for other in same if "build" not in name or other["disk MB"])]
        best = (min if name in _BETTER_IF_LESS else max)(figures)
        factor = row[name] / best if name in _BETTER_IF_LESS else best / row[name]
        if factor > _BEHIND:
            found[name] = round(factor, 2)
    return found


def _library(engine: str) -> str:
    return engine.partition(",")[0]


def _returns_ids(engine: str) -> bool:
    return engine.endswith("ids alone") or engine in ("sqlite-fts5", "rank_bm25", "pyserini")


def _write_world(folder: Path, count: int, queries: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    once(folder / "generated.json", partial(generate, folder, count, 1))
    write_questions(folder, large_world(count), queries)


def _built(folder: Path, engine: str) -> Measured:
    """Return what building took; engines that are built in the same way share it, and what lies there."""
    figures = folder / f"{ENGINES[engine].folder}.json"
    found = once(figures, partial(_stage, "build", folder, engine))
    if not found:
        figures.unlink()
    return found


def _stage(stage: str, folder: Path, engine: str) -> Measured:
    """Run a stage in a process of its own, whose errors are shown; empty if it fails."""
    command = [sys.executable, "-m", "benchmarks.retrieval", "measure", stage, engine, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return {}
    found: Measured = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(stage: str, engine: str, folder: Path) -> None:
    """Measure one stage of one engine and print it as JSON."""
    corpus, out = folder / "corpus.jsonl", folder / ENGINES[engine].folder
    started, cpu = perf_counter(), process_time()
    found: Measured
    if stage == "build":
        ENGINES[engine].build(corpus, out)
        found = {"seconds": perf_counter() - started, "cpu": process_time() - cpu, "disk": disk_bytes(out)}
    else:
        search = ENGINES[engine].open(corpus, out)
        opened = perf_counter() - started
        found = {"open": opened, **_search_times(search, json.loads((folder / "asked.json").read_text()))}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({**memory(), **found, "peak": peak}))


def _search_times(search: Any, asked: Sequence[tuple[str, str]]) -> Measured:
    """Return what single queries and a batch take, of fewer queries if they are slow.

    Processor time does not depend on what else the machine does.
    """
    queries = [query for query, _ in asked]
    # Reads what is mapped and compiles what is compiled, which may differ for one query and several.
    search(queries[:5], TOP_K)
    search(queries[:1], TOP_K)
    waits: list[float] = []
    latencies: list[float] = []
    begun = perf_counter()
    for query in queries:
        started, cpu = perf_counter(), process_time()
        search([query], TOP_K)
        latencies.append(process_time() - cpu)
        waits.append(perf_counter() - started)
        if perf_counter() - begun > _SECONDS_PER_MEASUREMENT:
            break
    batch = queries[: len(latencies)]
    search(batch[:100], TOP_K)
    started, cpu = perf_counter(), process_time()
    results = search(batch, TOP_K)
    seconds, cpu = perf_counter() - started, process_time() - cpu
    hits = [wanted in found for (_, wanted), found in zip(asked, results, strict=False)]
    p50, p95 = np.quantile(latencies, (0.5, 0.95)).tolist()
    times = {"p50": p50, "p95": p95, "waited": float(np.median(waits))}
    return {
        **times,
        "rate": len(batch) / seconds,
        "cpu rate": len(batch) / cpu,
        "found": float(np.mean(hits)),
    }


def _figures(built: Measured, searched: Measured) -> dict[str, Any]:
    if not searched:
        return {}
    found = {
        "build s": built["seconds"],
        "build cpu s": built["cpu"],
        "MB building": built["peak"] / _MEGABYTE,
        "disk MB": built["disk"] / _MEGABYTE,
        "open ms": searched["open"] * 1e3,
        "MB searching": searched["peak"] / _MEGABYTE,
        "MB allocated": searched["allocated"] / _MEGABYTE,
        "p50 cpu ms": searched["p50"] * 1e3,
        "p95 cpu ms": searched["p95"] * 1e3,
        "p50 ms": searched["waited"] * 1e3,
        "batched per cpu s": searched["cpu rate"],
        "batched per s": searched["rate"],
        f"found@{TOP_K}": searched["found"],
    }
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Show the figures; an asterisk follows those that are behind the best by more than a tenth."""
    table = Table(title="Build and search; memory is the peak of the process")
    names = list(dict.fromkeys(name for row in rows for name in row if name != "behind"))
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        marks = dict.fromkeys(row["behind"], "*")
        table.add_row(
            *(
                f"{row[name]:,}{marks.get(name, '')}"
                if name != "engine" and name in row
                else row.get(name, "-")
                for name in names
            )
        )
    return table
