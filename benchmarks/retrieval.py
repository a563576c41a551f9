"""The embedded BM25 engine beside others in one run: its correctness, its recall and its cost.

Run with `python -m benchmarks.retrieval COMMAND`. It needs `ssp-env[cli]`; with
`ssp-env[benchmark]` it measures bm25s and rank_bm25 too, and with `ssp-env[dense]` recall with vectors.
Compare only ratios within one run, because machines and their load differ.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import recall
from benchmarks.exact_bm25 import ExactBM25
from benchmarks.process_memory import memory
from benchmarks.retrieval_curve import curve, generate, search_index
from benchmarks.retrieval_engines import DISTRIBUTIONS, ENGINES, disk_bytes
from benchmarks.retrieval_worlds import large_world, mixed_questions
from ssp_env.cli.progress import tracked
from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.terms import BM25Settings, Tokenizer
from ssp_env.search.corpus import read_corpus

TOP_K = 10

_SECONDS_PER_MEASUREMENT = 20.0
_MEGABYTE = 1e6

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


def _print_versions(console: Console) -> None:
    names = {"ssp-env": "ssp-env", **DISTRIBUTIONS, "numpy": "numpy"}
    found = []
    for name in dict.fromkeys([*names.values(), "tantivy"]):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    console.print(f"{', '.join(found)}, Python {platform.python_version()}, {sys.platform}", highlight=False)


# -- correctness -------------------------------------------------------------------------------------------


@app.command()
def correctness(
    corpus: Annotated[Path | None, typer.Option(help="Passages as JSON Lines; a world if absent.")] = None,
    passages: Annotated[int, typer.Option(help="Size of the world.", min=200)] = 10_000,
    queries: Annotated[int, typer.Option(help="Queries.", min=1)] = 1_000,
) -> None:
    """Compare rankings with BM25 computed from its formula over all passages; ties count as agreement."""
    console = Console()
    _print_versions(console)
    pages = list(large_world(passages).passages() if corpus is None else read_corpus(corpus))
    texts = sample_queries(pages, queries)
    tokenizer = Tokenizer(BM25Settings())
    words = [tokenizer.query(text) for text in texts]
    rows = {page.id: row for row, page in enumerate(pages)}
    engines = {
        "ssp-env": BM25Engine(pages),
        "ssp-env, scored when asked": BM25Engine(pages, prune_above=None, eager_up_to=0),
    }
    rankings = {
        name: [[rows[hit.id] for hit in hits] for hits in engine.search(texts, TOP_K)]
        for name, engine in engines.items()
    }
    if (theirs := _bm25s_rankings(pages, words)) is not None:
        rankings["bm25s, title and text as one field"] = theirs
    table = Table(title=f"Agreement with exact BM25: {len(texts)} queries, {len(pages):,} passages")
    for heading in ("engine", "reference", "top-1", f"top-{TOP_K} overlap"):
        table.add_column(heading)
    joined = [Passage(page.id, "", f"{page.title} {page.text}") for page in pages]
    for name, ranking in tracked(rankings.items(), "computing exact scores"):
        for reference in ("lengths in one byte", "lengths as they are"):
            if name not in engines and reference == "lengths in one byte":
                continue
            exact = ExactBM25(
                pages if name in engines else joined,
                tokenizer.passage,
                one_byte_lengths=reference == "lengths in one byte",
            )
            first, overlap = agreement(ranking, [exact.scores(query) for query in words])
            table.add_row(name, reference, f"{first:.2%}", f"{overlap:.2%}")
    console.print(table)


def sample_queries(pages: Sequence[Passage], count: int) -> list[str]:
    """Draw queries: 2 to 8 words of a random passage."""
    rng = np.random.default_rng(0)
    found = []
    for row in rng.integers(len(pages), size=count).tolist():
        words = f"{pages[row].title} {pages[row].text}".split()
        found.append(" ".join(rng.choice(words, min(len(words), int(rng.integers(2, 9))), replace=False)))
    return found


def agreement(
    rankings: Sequence[Sequence[int]], scores: Sequence[NDArray[np.float64]]
) -> tuple[float, float]:
    """Return how often the first result is a best one, and the mean share of results in the best `TOP_K`."""
    first, overlap = [], []
    for ranking, exact in zip(rankings, scores, strict=True):
        expected = min(TOP_K, int((exact > 0).sum()))
        if not expected:
            first.append(not ranking)
            overlap.append(float(not ranking))
            continue
        best = np.sort(exact)[::-1][:expected]
        # Tantivy adds in 32 bits.
        hit = exact[list(ranking)] * (1 + 1e-5)
        first.append(bool(len(hit)) and hit[0] >= best[0])
        overlap.append(float((hit >= best[-1]).sum()) / expected)
    return float(np.mean(first)), float(np.mean(overlap))


def _bm25s_rankings(pages: Sequence[Passage], words: Sequence[Sequence[str]]) -> list[list[int]] | None:
    try:
        import bm25s
    except ModuleNotFoundError:
        return None
    words_of = Tokenizer(BM25Settings()).passage
    engine = bm25s.BM25(k1=1.2, b=0.75)
    engine.index([words_of(f"{page.title} {page.text}") for page in pages], show_progress=False)
    known = [[word for word in dict.fromkeys(query) if word in engine.vocab_dict] for query in words]
    rows, scores = engine.retrieve(known, k=TOP_K, show_progress=False)
    return [
        [int(row) for row, score in zip(*pair, strict=True) if score > 0]
        for pair in zip(rows, scores, strict=True)
    ]


# -- recall ------------------------------------------------------------------------------------------------

app.command("recall")(recall.main)


# -- cost --------------------------------------------------------------------------------------------------


@app.command()
def speed(
    passages: Annotated[list[int], typer.Option(help="Sizes of the world; may be repeated.", min=200)],
    engines: Annotated[
        list[str] | None, typer.Option("--engine", help="Only these; may be repeated.")
    ] = None,
    queries: Annotated[int, typer.Option(help="Questions of the world to ask.", min=1)] = 500,
    folder: Annotated[Path | None, typer.Option(help="Folder for temporary files.")] = None,
) -> None:
    """Measure build time, disk, memory and speed of search; every engine in a process of its own."""
    console = Console()
    _print_versions(console)
    unknown = sorted(set(engines or ()) - set(ENGINES))
    if unknown:
        raise typer.BadParameter(f"expected engines among {', '.join(ENGINES)}, got {', '.join(unknown)}")
    table = Table(title="Build and search; memory is the peak of the process")
    for heading in ("passages", "engine", "build s", "of it cpu", "MB built in", "disk MB", "open ms"):
        table.add_column(heading, justify="right")
    for heading in ("MB searching", "of it allocated", "p50 ms", "p95 ms", "batched queries/s"):
        table.add_column(heading, justify="right")
    for count in passages:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            _write_world(count, Path(scratch), queries)
            for name in tracked(engines or [*ENGINES], f"{count:,} passages"):
                table.add_row(f"{count:,}", name, *_measured(name, Path(scratch)))
                table.add_section() if name == list(engines or ENGINES)[-1] else None
    console.print(table)


@app.command(hidden=True)
def measure(stage: str, engine: str, folder: Path) -> None:
    """Measure one stage of one engine and print it as JSON."""
    build, open_engine = ENGINES[engine]
    corpus, out = folder / "corpus.jsonl", folder / engine
    started, cpu = perf_counter(), process_time()
    found: dict[str, float]
    if stage == "build":
        build(corpus, out)
        found = {"seconds": perf_counter() - started, "cpu": process_time() - cpu, "disk": disk_bytes(out)}
    else:
        search = open_engine(corpus, out)
        opened = perf_counter() - started
        found = {"open": opened, **_search_times(search, json.loads((folder / "queries.json").read_text()))}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({**memory(), **found, "peak": peak}))


def _search_times(search: Any, queries: Sequence[str]) -> dict[str, float]:
    """Return the latencies of single queries and the rate of a batch, of fewer queries if that is slow."""
    search(queries[:5], TOP_K)  # reads what is mapped, compiles what is compiled
    latencies: list[float] = []
    begun = perf_counter()
    for query in queries:
        started = perf_counter()
        search([query], TOP_K)
        latencies.append(perf_counter() - started)
        if perf_counter() - begun > _SECONDS_PER_MEASUREMENT:
            break
    batch = queries[: len(latencies)]
    started = perf_counter()
    search(batch, TOP_K)
    rate = len(batch) / (perf_counter() - started)
    p50, p95 = np.quantile(latencies, (0.5, 0.95)).tolist()
    return {"p50": p50, "p95": p95, "rate": rate}


def _measured(engine: str, folder: Path) -> list[str]:
    found = {}
    for stage in ("build", "search"):
        command = [sys.executable, "-m", __spec__.name, "measure", stage, engine, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return [done.stderr.strip().splitlines()[-1]] if done.stderr.strip() else ["failed"]
        found[stage] = json.loads(done.stdout.strip().splitlines()[-1])
    built, searched = found["build"], found["search"]
    return [
        f"{built['seconds']:.1f}",
        f"{built['cpu']:.1f}",
        f"{built['peak'] / _MEGABYTE:.0f}",
        f"{built['disk'] / _MEGABYTE:.1f}",
        f"{searched['open'] * 1e3:.1f}",
        f"{searched['peak'] / _MEGABYTE:.0f}",
        f"{searched['allocated'] / _MEGABYTE:.0f}",
        f"{searched['p50'] * 1e3:.3f}",
        f"{searched['p95'] * 1e3:.3f}",
        f"{searched['rate']:,.0f}",
    ]


def _write_world(passages: int, folder: Path, queries: int) -> None:
    generate(folder, passages, os.cpu_count() or 1)
    asked = [item.question for item in mixed_questions(large_world(passages), queries)]
    (folder / "queries.json").write_text(json.dumps(asked))


# -- cost by size of the corpus ----------------------------------------------------------------------------

app.command()(curve)
app.command(hidden=True)(search_index)


if __name__ == "__main__":
    app()
