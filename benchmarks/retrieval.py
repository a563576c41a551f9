"""The embedded BM25 engine beside others in one run: its correctness, its recall and its cost.

Run with `python -m benchmarks.retrieval COMMAND`. It needs `ssp-env[cli]`; with
`ssp-env[benchmark]` it measures bm25s and rank_bm25 too, and with `ssp-env[dense]` recall with vectors.
Compare only ratios within one run, because machines and their load differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import recall
from benchmarks.exact_bm25 import ExactBM25
from benchmarks.retrieval_curve import curve, search_index
from benchmarks.retrieval_replicas import replicas
from benchmarks.retrieval_speed import TOP_K, library_versions, measure, speed
from benchmarks.retrieval_worlds import large_world
from ssp_env.cli.progress import tracked
from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.terms import BM25Settings, Tokenizer
from ssp_env.search.corpus import read_corpus

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


def _print_versions(console: Console) -> None:
    console.print(", ".join(f"{name} {found}" for name, found in library_versions().items()), highlight=False)


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

app.command()(speed)
app.command(hidden=True)(measure)
app.command()(curve)
app.command()(replicas)
app.command(hidden=True)(search_index)


if __name__ == "__main__":
    app()
