"""`ssp index`: build an index of a corpus, add passages, show its contents, check that it is undamaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ssp_env.cli.options import Heldout, WorldIndex, open_world
from ssp_env.cli.progress import progress_bar
from ssp_env.game.passage import Passage
from ssp_env.scenario import bm25_options
from ssp_env.search.bm25.builder import add_passages, build_index, unfinished_build
from ssp_env.search.bm25.directory import Manifest, check_index, read_manifest
from ssp_env.search.bm25.sharded_build import build_shards
from ssp_env.search.bm25.term_index import Progress as OnProgress
from ssp_env.search.bm25.terms import BM25Settings
from ssp_env.search.corpus import CorpusError, CorpusSource, open_source, world_source
from ssp_env.search.parts import PartSize
from ssp_env.worlds import WORLD_PRESETS, World, WorldConfig

_SHOWN_BAD = 5
_MAX_PROCESSES = 8

Directory = Annotated[Path, typer.Argument(help="The index directory.")]
SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="Skip malformed lines, rows and files, and print how many there were."),
]

Shards = Annotated[
    int | None,
    typer.Option(
        help="Build so many indexes in the directory, each of a part of the passages, with the scores of "
        "one index of all: a server for each, and --search URL+URL, search as that does.",
        min=1,
    ),
]
PartWords = Annotated[
    int | None,
    typer.Option(
        help="Cut pages with more words into parts of at most so many; 0 keeps pages whole. By default "
        f"documents of a folder are cut into parts of {PartSize.words}, and passages of a file stay whole.",
        min=0,
    ),
]
PartOverlap = Annotated[int, typer.Option(help="Most words that a part repeats of the one before.", min=0)]
NewDirectory = Annotated[Path, typer.Option(help="The new index directory.")]
CorpusPath = Annotated[
    Path | None,
    typer.Argument(
        help="File (JSONL, JSON array, CSV, TSV, Parquet; see docs/formats.md), BEIR folder, "
        "or folder of Markdown, HTML and text files."
    ),
]
IndexedWorld = Annotated[
    str | None,
    typer.Option(
        help="Index a world instead: a preset "
        f"({', '.join(WORLD_PRESETS)}) or an id such as prose_full_1000000x3-train-0."
    ),
]
Stem = Annotated[bool | None, typer.Option(help="Reduce words to English stems.")]
DropStopWords = Annotated[bool, typer.Option(help="Ignore English stop words in queries.")]
AllWordsFirst = Annotated[
    bool | None, typer.Option(help="Rank passages that have every word of the query above all others.")
]
TitleBoost = Annotated[
    float, typer.Option(help="Factor by which words of the title count more than words of the text.")
]
OneField = Annotated[
    bool, typer.Option(help="Score title and text as one text instead of summing both scores.")
]
Exact = Annotated[
    bool, typer.Option(help="Rank every passage that has any word of a query, however long that takes.")
]
EagerUpTo = Annotated[
    int | None,
    typer.Option(
        help="Compute scores beforehand, as with --eager-memory, if there are at most so many "
        "passages, whatever memory that takes.",
        min=0,
    ),
]
EagerMemory = Annotated[
    float | None,
    typer.Option(
        help="Compute what every word adds to every score beforehand, if that takes at most so many "
        "gigabytes, by default 1.5: every passage is ranked then, and long queries are faster.",
        min=0,
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        help="Processes that count words while others are read, if scores are computed; by default one for "
        f"each core, at most {_MAX_PROCESSES}. The index is the same whatever their number.",
        min=1,
    ),
]

app = typer.Typer(no_args_is_help=True, help="Build, extend and check indexes on disk.")


@app.command()
def build(
    out: NewDirectory,
    source: CorpusPath = None,
    world: IndexedWorld = None,
    world_index: WorldIndex = 0,
    heldout: Heldout = False,
    stem: Stem = None,
    drop_stop_words: DropStopWords = True,
    all_words_first: AllWordsFirst = None,
    title_boost: TitleBoost = 1.0,
    one_field: OneField = False,
    exact: Exact = False,
    eager_up_to: EagerUpTo = None,
    eager_memory: EagerMemory = None,
    processes: Processes = None,
    shards: Shards = None,
    part_words: PartWords = None,
    part_overlap: PartOverlap = PartSize.overlap,
    skip_bad: SkipBad = False,
) -> None:
    """Index a corpus on disk in constant memory. If the command is stopped, run it again to continue."""
    opened, usual = _open_corpus(source, world, world_index, heldout)
    parts = _Parts(part_words, part_overlap)
    opened = parts.of(opened)
    settings = BM25Settings(
        usual["stem"] if stem is None else stem,
        drop_stop_words,
        usual["all_words_first"] if all_words_first is None else all_words_first,
        title_boost,
        None if exact else BM25Settings.prune_above,
        eager_up_to,
        one_field=one_field,
    )
    if shards is not None and eager_memory is not None:
        raise ValueError("--eager-memory and --shards exclude each other: shards have all scores")
    console = Console(stderr=True)
    try:
        with _reading(opened, console, skip_bad) as (passages, report):
            if shards is None:
                manifest = build_index(
                    passages,
                    out,
                    settings,
                    source=opened.identity,
                    eager_memory=None if eager_memory is None else int(eager_memory * 1e9),
                    processes=processes or min(os.cpu_count() or 1, _MAX_PROCESSES),
                    progress=report,
                )
            else:
                manifest = build_shards(
                    passages, out, shards, settings, source=opened.identity, progress=report
                )[0]
    except OSError:
        built = unfinished_build(out.resolve())
        said = f"What was built so far is in {built}: run the command again to continue, or delete it."
        console.print(said, soft_wrap=True)
        raise
    parts.report(console)
    _print(manifest, out if manifest.shard is None else manifest.shard.folder(out))


@app.command()
def add(
    directory: Directory,
    source: Annotated[
        Path, typer.Argument(help="A source as for `ssp index build`; its passage ids must be new.")
    ],
    part_words: PartWords = None,
    part_overlap: PartOverlap = PartSize.overlap,
    skip_bad: SkipBad = False,
) -> None:
    """Add passages to an index; engines that have it open continue with the passages they opened."""
    parts, console = _Parts(part_words, part_overlap), Console(stderr=True)
    with _reading(parts.of(open_source(source)), console, skip_bad) as (passages, report):
        manifest = add_passages(directory, passages, progress=report)
    parts.report(console)
    _print(manifest, directory)


@app.command()
def info(directory: Directory) -> None:
    """Show the contents and settings of an index."""
    _print(read_manifest(directory), directory)


@app.command()
def check(directory: Directory) -> None:
    """Check every file of an index against the sizes and checksums recorded when it was written."""
    total = sum(size for size, _ in read_manifest(directory).files.values())
    with progress_bar(is_share=True) as bar:
        task = bar.add_task("checking", total=total)
        manifest = check_index(directory, lambda count: bar.advance(task, count))
    print(f"{directory}: {manifest.passages:,} passages in {len(manifest.files)} files, all as written")


class _Parts:
    """Cuts the pages of a source as the options say, and counts them."""

    def __init__(self, words: int | None, overlap: int) -> None:
        self._words, self._overlap = words, overlap
        self._counts: list[int] = []

    def of(self, source: CorpusSource) -> CorpusSource:
        words = self._words if self._words is not None else PartSize.words * source.is_folder
        return source.cut(PartSize(words, self._overlap), self._counts.append) if words else source

    def report(self, console: Console) -> None:
        if self._counts:
            console.print(f"long pages cut into parts: {len(self._counts):,} into {sum(self._counts):,}")


def _open_corpus(
    source: Path | None, world: str | None, world_index: int, heldout: bool
) -> tuple[CorpusSource, dict[str, bool]]:
    """Return the source to read, and the BM25 settings for its passages if no option says otherwise."""
    if (source is None) == (world is None):
        raise ValueError("expected exactly one of SOURCE and --world")
    if world is None or "-" in world:
        if world_index or heldout:
            raise ValueError("--world-index and --heldout go with a world preset, such as --world tiny")
        if source is not None:
            return open_source(source), bm25_options(None)
    assert world is not None
    made = World(WorldConfig.from_id(world)) if "-" in world else open_world(world, world_index, heldout)
    return world_source(made), bm25_options(made)


@contextmanager
def _reading(
    source: CorpusSource, console: Console, skip_bad: bool
) -> Iterator[tuple[Iterator[Passage], OnProgress]]:
    """Read a source with one bar per stage; in the end, say how much was skipped and why, at first.

    The bar of the reading stage counts in the unit of the source.
    """
    skipped, messages = 0, []

    def skip(error: CorpusError) -> None:
        nonlocal skipped
        skipped += 1
        if skipped <= _SHOWN_BAD:
            messages.append(str(error))

    with progress_bar(console=console, is_share=True) as bar:
        reading = bar.add_task("reading", total=source.total)
        stages = {"Reading": reading}

        def report(stage: str, done: int, total: int | None) -> None:
            if stage not in stages:
                stages[stage] = bar.add_task(stage, total=total)
            if stage != "Reading":
                bar.update(stages[stage], completed=done)

        yield (
            source.read(skip if skip_bad else None, lambda done: bar.update(reading, completed=done)),
            report,
        )
    if skipped:
        console.print(f"skipped {skipped:,} malformed:", highlight=False)
        for message in messages:
            console.print(f"  {message}", highlight=False, markup=False, soft_wrap=True)


def _print(manifest: Manifest, directory: Path) -> None:
    size = sum(size for size, _ in manifest.files.values())
    texts = sum(manifest.files[name][0] for name in manifest.passage_files)
    rows = {
        "index": directory,
        "passages": f"{manifest.passages:,}",
        "size": f"{size / 1e6:,.1f} MB, of which texts {texts / 1e6:,.1f} MB",
        "source": manifest.source,
        "ranking": manifest.ranking,
        **asdict(manifest.settings),
        "fingerprint": manifest.fingerprint,
    }
    for name, value in rows.items():
        print(f"{name:16} {value}")
