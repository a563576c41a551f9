"""Time per byte of reading HTML, over generated tag soup: `python -m benchmarks.html`.

Every soup repeats one piece of broken markup, or draws pieces at random, up to 1 MB. The ratio compares the
time per byte at 1 MB with that at 16 KB: 1 is linear, 64 quadratic. Exits with 1 if a ratio exceeds --limit.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from time import thread_time

from rich.console import Console
from rich.table import Table

from ssp_env.cli.progress import tracked
from ssp_env.search.plain_text import page_text

SIZES = (16_000, 128_000, 1_000_000)
PIECES = (
    *("<a ", "<!--", "<", "</", "<b>", "<a b='", "<!", "<!DOCTYPE ", "<script>", "<![CDATA[", "&amp;", "&"),
    *("&#x", "<table><tr>", "<a href=x>", "<p x='y' ", "<style><", "<div>", "<select><option>", "<b><p>"),
    *("<a><p>", "</p>", "<form><table>", "<font><b><i><a>", "<td>", "<svg><title>", "<title>", "<textarea>"),
    *("<!-- --", "\0", "<x/", "<?", "]]>", "<frameset>", "<plaintext>", "<noscript>", "<math>", "<dd><dl>"),
    *("<body a=1>", "a b ", "\n"),
)  # fmt: skip


def soup(piece: str, size: int) -> str:
    """Repeat a piece up to a number of characters."""
    return (piece * (size // len(piece) + 1))[:size]


def mixed_soup(seed: int, size: int) -> str:
    """Draw pieces at random up to a number of characters."""
    rng = random.Random(seed)
    return "".join(rng.choices(PIECES, k=size))[:size]


def nanoseconds_per_byte(page: str, repeats: int) -> float:
    """Return the least processor time of some readings of a page, per byte."""
    times = []
    for _ in range(repeats):
        start = thread_time()
        page_text(page)
        times.append(thread_time() - start)
    return 1e9 * min(times) / len(page)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.html", description=__doc__)
    options.add_argument("--limit", type=float, default=8.0, help="greatest ratio accepted (default: 8)")
    options.add_argument("--mixed", type=int, default=8, help="soups drawn at random (default: 8)")
    chosen = options.parse_args(arguments)
    soups = {repr(piece): [soup(piece, size) for size in SIZES] for piece in PIECES}
    soups |= {f"mixed {seed}": [mixed_soup(seed, size) for size in SIZES] for seed in range(chosen.mixed)}
    table = Table(title="nanoseconds per byte", title_justify="left")
    for column in ("soup", *(f"{size // 1000} KB" for size in SIZES), "ratio"):
        table.add_column(column, justify="left" if column == "soup" else "right")
    steep = []
    for name, pages in tracked(soups.items(), "reading", is_still=True):
        times = [nanoseconds_per_byte(page, 5 if len(page) < SIZES[-1] else 2) for page in pages]
        ratio = times[-1] / times[0]
        table.add_row(name.replace("[", "\\["), *(f"{time:,.0f}" for time in times), f"{ratio:.2f}")
        steep += [name] * (ratio > chosen.limit)
    console = Console() if sys.stdout.isatty() else Console(width=80)
    console.print(table)
    console.print(f"{len(soups)} soups; ratio above {chosen.limit:g}: {', '.join(steep) or 'none'}")
    return 1 if steep else 0


if __name__ == "__main__":
    sys.exit(main())
