"""Known-item search by language, beside bm25s and SQLite: `python -m benchmarks.languages TEXTS`.

TEXTS is a folder of files NAME.txt of passages, a blank line between two (`benchmarks.language_texts` makes
one). A query is some words of one passage, or two pieces of it in scripts without spaces, all of which no
other passage of the file has; an engine succeeds if it ranks that passage first. Queries are asked as
written, and as people type: in capitals and without accents; of Korean words the last syllable, often a
particle, is left out. An engine is ahead of another if more of the same queries succeed, with a two-sided
sign test below 0.05.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any, TypeAlias

import regex
from rich.console import Console
from rich.table import Table

from ssp_env.cli.progress import tracked
from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine

Search: TypeAlias = Callable[[str], "int | None"]
"""The number of the passage that is ranked first, or None if nothing is found."""

WORDS, LEAST_LETTERS = 4, 4
"""Words of a query, and least letters of each, Korean ones counted apart, so that few are stop words."""
CHARACTERS = 5
"""Characters of each of the two pieces of a query, in scripts without spaces."""
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=SA}\p{Tibetan}]")
_HANGUL = regex.compile(r"\p{Hangul}")
_RUN = regex.compile(r"[\p{L}\p{M}\p{N}\u200b\u0f0b]+")
_CHARACTER = regex.compile(r"\X")
_MOST_ATTEMPTS = 20


def read_passages(path: Path) -> list[str]:
    """Return the passages of a file, a blank line between two.

    Raises:
        ValueError: If there are fewer than two.
    """
    passages = [" ".join(part.split()) for part in re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))]
    passages = list(dict.fromkeys(filter(None, passages)))
    if len(passages) < 2:
        raise ValueError(
            f"{path}: expected at least 2 passages, a blank line between two, got {len(passages)}"
        )
    return passages


def draw_queries(passages: Sequence[str], count: int, rng: random.Random) -> list[tuple[int, str]]:
    """Draw known items: numbers of passages and queries that fit them alone."""
    words = [frozenset(_RUN.findall(text)) for text in passages]
    drawn: list[tuple[int, str]] = []
    for _ in range(_MOST_ATTEMPTS * count):
        number = rng.randrange(len(passages))
        unspaced = is_unspaced(passages[number])
        parts = _draw_pieces(passages[number], rng) if unspaced else _draw_words(words[number], rng)
        places: Sequence[Container[str]] = passages if unspaced else words
        if parts and sum(all(part in place for part in parts) for place in places) == 1:
            drawn.append((number, " ".join(parts)))
        if len(drawn) == count:
            break
    return drawn


def is_unspaced(text: str) -> bool:
    """Whether most letters of a text are of a script without spaces between words.

    >>> is_unspaced("東京 Tower は高いです"), is_unspaced("Tokyo 東京")
    (True, False)
    """
    return 2 * len(_UNSPACED.findall(text)) > len("".join(_RUN.findall(text)))


def _draw_pieces(text: str, rng: random.Random) -> list[str]:
    """Return two pieces of runs of letters that do not overlap, or none if the text is too short."""
    places = [
        run.start() + characters[at].start()
        for run in _RUN.finditer(text)
        for characters in [list(_CHARACTER.finditer(run[0]))]
        for at in range(len(characters) - CHARACTERS + 1)
    ]
    pieces = {place: "".join(_CHARACTER.findall(text, place)[:CHARACTERS]) for place in places}
    first = rng.choice(places) if places else 0
    others = [
        place
        for place in places
        if place >= first + len(pieces[first]) or place + len(pieces[place]) <= first
    ]
    return [pieces[place] for place in sorted([first, rng.choice(others)])] if others else []


def _draw_words(words: Collection[str], rng: random.Random) -> list[str]:
    """Return some of the longer words in any order, or none if there are too few."""
    longer = sorted(word for word in words if len(unicodedata.normalize("NFD", word)) >= LEAST_LETTERS)
    return rng.sample(longer, WORDS) if len(longer) >= WORDS else []


def as_typed(query: str) -> str:
    """Return a query in capitals, without accents, and Korean words without their last syllable.

    >>> as_typed("Łódź é ß"), as_typed("서울에서 나는")
    ('ŁODZ E SS', '서울에 나')
    """
    bare = "".join(sign for sign in unicodedata.normalize("NFD", query) if not "\u0300" <= sign <= "\u036f")
    words = unicodedata.normalize("NFC", bare).upper().split()
    return " ".join(word[:-1] if len(word) > 1 and _HANGUL.match(word[-1]) else word for word in words)


def open_ours(passages: Sequence[str]) -> Search:
    """Index the passages with the embedded engine as it is by default."""
    engine = BM25Engine([Passage(f"{number:07}", "", text) for number, text in enumerate(passages)])

    def search(query: str) -> int | None:
        found = engine.search([query], 1)[0]
        return int(found[0].id) if found else None

    return search


def open_bm25s(passages: Sequence[str]) -> Search:
    """Index the passages with bm25s and its own tokenizer as it is by default."""
    import bm25s

    engine = bm25s.BM25()
    engine.index(bm25s.tokenize(list(passages), show_progress=False), show_progress=False)

    def search(query: str) -> int | None:
        words = bm25s.tokenize([query], show_progress=False, return_ids=False)
        known = [[word for word in words[0] if word in engine.vocab_dict]]
        if not known[0]:
            return None
        rows, scores = engine.retrieve(known, k=1, show_progress=False)
        return int(rows[0][0]) if scores[0][0] > 0 else None

    return search


def open_fts5(tokenizer: str) -> Callable[[Sequence[str]], Search]:
    """Return what indexes passages with SQLite; a query matches any of its words, or of its trigrams."""

    def build(passages: Sequence[str]) -> Search:
        """Index passages in memory, and return what finds the best row for a query."""
        database = sqlite3.connect(":memory:")
        database.execute(f"CREATE VIRTUAL TABLE pages USING fts5(text, tokenize='{tokenizer}')")
        database.executemany("INSERT INTO pages(rowid, text) VALUES (?, ?)", enumerate(passages))

        def search(query: str) -> int | None:
            words = _RUN.findall(query)
            if tokenizer == "trigram":
                words = [word[at : at + 3] for word in query.split() for at in range(len(word) - 2)]
            matching = " OR ".join('"' + word.replace('"', '""') + '"' for word in dict.fromkeys(words))
            statement = "SELECT rowid FROM pages WHERE pages MATCH ? ORDER BY rank, rowid LIMIT 1"
            found = database.execute(statement, (matching,)).fetchone() if matching else None
            return None if found is None else int(found[0])

        return search

    return build


OURS = "ssp-env"
ENGINES: Mapping[str, Callable[[Sequence[str]], Search]] = {
    OURS: open_ours,
    "bm25s": open_bm25s,
    "fts5 unicode61": open_fts5("unicode61"),
    "fts5 trigram": open_fts5("trigram"),
}
"""Name -> what indexes passages."""


def measure(
    passages: Sequence[str], items: Sequence[tuple[int, str]], engines: Mapping[str, Search]
) -> dict[str, Any]:
    """Return the share of queries whose passage is first, by form and engine, and which engines beat ours."""
    row: dict[str, Any] = {"passages": len(passages), "queries": len(items)}
    for form, written in (("as_written", str), ("as_typed", as_typed)):
        right = {
            name: [search(written(query)) == number for number, query in items]
            for name, search in engines.items()
        }
        row[form] = {name: round(sum(hits) / len(items), 4) for name, hits in right.items()}
        row[f"{form}_ahead"] = [name for name in engines if name != OURS and _beats(right[name], right[OURS])]
    return row


def _beats(hits: Sequence[bool], others: Sequence[bool]) -> bool:
    """Whether the first has more successes, with a two-sided sign test below 0.05."""
    only_first = sum(one and not other for one, other in zip(hits, others, strict=True))
    only_second = sum(other and not one for one, other in zip(hits, others, strict=True))
    trials = only_first + only_second
    tail = sum(comb(trials, wins) for wins in range(only_first, trials + 1))
    return only_first > only_second and 2 * tail < 0.05 * 2**trials


def table_of(rows: Mapping[str, Mapping[str, Any]], engines: Sequence[str]) -> Table:
    """Return the figures, as written and as typed, one line a file."""
    table = Table(title="passage of the query ranked first: as written / as typed", title_justify="left")
    for column in ("texts", "passages", *engines, "ahead of ssp-env"):
        table.add_column(column)
    for name, row in rows.items():
        shares = (f"{row['as_written'][engine]:.3f} / {row['as_typed'][engine]:.3f}" for engine in engines)
        ahead = sorted({*row["as_written_ahead"], *row["as_typed_ahead"]})
        table.add_row(name, f"{row['passages']:,}", *shares, ", ".join(ahead))
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.languages", description=__doc__)
    options.add_argument(
        "texts", type=Path, help="folder of NAME.txt, passages with a blank line between two"
    )
    options.add_argument("--queries", type=int, default=500, help="queries a file (default: 500)")
    options.add_argument("--passages", type=int, default=5000, help="most passages a file (default: 5000)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--engine", action="append", choices=[*ENGINES], help="may be repeated (default: all)"
    )
    options.add_argument("--out", type=Path, default=Path("results/languages.json"))
    chosen = options.parse_args(arguments)
    files = sorted(chosen.texts.glob("*.txt"))
    if not files:
        raise SystemExit(f"expected a folder of *.txt, got {chosen.texts}")
    names = list(dict.fromkeys([OURS, *(chosen.engine or ENGINES)]))
    rows: dict[str, dict[str, Any]] = {}
    for path in tracked(files, "measuring"):
        rng = random.Random(f"{chosen.seed} {path.stem}")
        passages = read_passages(path)
        if len(passages) > chosen.passages:
            passages = rng.sample(passages, chosen.passages)
        items = draw_queries(passages, chosen.queries, rng)
        if items:
            engines = {name: ENGINES[name](passages) for name in names}
            rows[path.stem] = measure(passages, items, engines)
    Console().print(table_of(rows, names))
    report = {"queries": chosen.queries, "seed": chosen.seed, "sqlite": sqlite3.sqlite_version, "rows": rows}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
