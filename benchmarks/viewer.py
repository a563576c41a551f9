"""How fast `ssp view` writes pages, and how fast a browser shows them: `python -m benchmarks.viewer`.

Games of scripted players are repeated until there are --games of them. A headless Chromium opens the page
from the disk; times are those that the page itself sees. With --gigabytes a file of that size is written
first, and its last --games are shown.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.chromium import Browser
from benchmarks.process_memory import run_measured
from ssp_env.cli.progress import tracked, waiting

DISTINCT = 500
FIRST_ROW = """\
new MutationObserver((_, watch) => {
  if (document.querySelector('#list .row')) { window.firstRow = performance.now(); watch.disconnect(); }
}).observe(document, {childList: true, subtree: true});
"""
CHANGE = """\
new Promise((done) => {
  const shown = () => document.querySelector('%s')?.textContent ?? '';
  const start = performance.now(), before = shown();
  const look = () => (shown() === before ? requestAnimationFrame(look) : done(performance.now() - start));
  location.hash = '%s';
  look();
})
"""
"""How long it takes until another fragment of the address changes the text of an element, in milliseconds."""


def main(
    games: Annotated[int, typer.Option(help="Games on the page.", min=DISTINCT)] = 10_000,
    gigabytes: Annotated[float, typer.Option(help="Size of the file of games; 0 holds --games.")] = 0.0,
    repeats: Annotated[int, typer.Option(help="Times that the page is opened.", min=1)] = 5,
) -> None:
    """Print a table of sizes and times."""
    table = Table("measured", "value", title=f"{games:,} games", title_justify="left")
    with tempfile.TemporaryDirectory() as folder:
        source, page = Path(folder) / "games.jsonl", Path(folder) / "games.html"
        with waiting("writing games"):
            written = write_games(source, games, gigabytes)
        table.add_row("file", f"{written:,} games, {source.stat().st_size / 2**20:,.0f} MiB")
        start = time.perf_counter()
        command = [sys.executable, "-m", "ssp_env.cli", "view", str(source), "--out", str(page)]
        with waiting("ssp view"):
            memory = run_measured([*command, "--limit", str(games)])
        table.add_row("time of ssp view", f"{time.perf_counter() - start:.1f} s")
        table.add_row("its memory at most", f"{memory['peak'] / 2**20:,.0f} MiB")
        table.add_row("page", f"{page.stat().st_size / 2**20:.1f} MiB")
        browser = Browser()
        try:
            for name, values in measured(browser, page, games, written, repeats).items():
                table.add_row(name, f"{median(values):.0f} ms (at most {max(values):.0f})")
        finally:
            browser.close()
    Console(width=110).print(table)


def write_games(path: Path, games: int, gigabytes: float) -> int:
    """Write games of scripted players, repeated as often as is asked for, and return how many they are."""
    distinct = path.with_name("distinct.jsonl")
    options = f"--games {DISTINCT} --attempts 4 --quiet --proposer weak --solver weak --out".split()
    play = [sys.executable, "-m", "ssp_env.cli", "play", *options, str(distinct)]
    subprocess.run(play, check=True, stdout=subprocess.DEVNULL)
    lines = distinct.read_bytes()
    times = max(-(-games // DISTINCT), int(gigabytes * 2**30 / len(lines)))
    with path.open("wb") as file:
        for _ in range(times):
            file.write(lines)
    return times * DISTINCT


def measured(
    browser: Browser, path: Path, games: int, last_line: int, repeats: int
) -> dict[str, list[float]]:
    """Return times in milliseconds, each as often as the page is opened."""
    found: dict[str, list[float]] = {}

    def take(name: str, milliseconds: float) -> None:
        found.setdefault(name, []).append(milliseconds)

    for _ in tracked(range(repeats), "opening the page"):
        page = browser.page()
        page.send("Page.addScriptToEvaluateOnNewDocument", source=FIRST_ROW)
        page.goto(path.as_uri())
        page.wait("window.firstRow")
        take("first row", page.evaluate("window.firstRow"))
        page.wait("document.readyState === 'complete'")
        take("whole file read", page.evaluate("performance.timing.loadEventStart - performance.timeOrigin"))
        size = page.evaluate("document.querySelector('#row-0').getAttribute('aria-setsize')")
        assert int(size) == games, f"expected {games} games, got {size}"
        take("filter", page.evaluate(CHANGE % ("#found", "reason=unsolved")))
        take("search in the list", page.evaluate(CHANGE % ("#found", "q=school of")))
        take("open the last game", page.evaluate(CHANGE % ("#game-title", f"game=A{last_line}")))
        start = time.perf_counter()
        page.evaluate(CHANGE % ("#found", "q=evidence: 3&deep=1"))
        page.wait("!document.querySelector('#found').textContent.includes('searching')", seconds=120)
        take("search in whole games", 1000 * (time.perf_counter() - start))
        page.close()
    return found


if __name__ == "__main__":
    typer.run(main)
