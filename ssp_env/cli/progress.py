"""How every command shows that it works: one bar, one spinner, on stderr, and only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Item = TypeVar("Item")


class _Amount(ProgressColumn):
    """How much is done: a count out of a count, or a share; empty where nobody knows how much there is."""

    def __init__(self, is_share: bool) -> None:
        super().__init__()
        self._is_share = is_share

    def render(self, task: Task) -> Text:
        """Return the amount of one task."""
        if not task.total:
            return Text(f"{task.completed:,.0f}" if task.completed else "")
        if self._is_share:
            return Text(f"{task.percentage:3.0f}%")
        return Text(f"{task.completed:,.0f}/{task.total:,.0f}")


def progress_columns(*more: ProgressColumn, is_share: bool = False) -> tuple[ProgressColumn, ...]:
    """Return the columns of a bar: what, how much, since when and how long still, then `more` columns."""
    return (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        _Amount(is_share),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        *more,
    )


def progress_bar(
    *more: ProgressColumn,
    console: Console | None = None,
    is_share: bool = False,
    stays: bool = False,
    is_still: bool = False,
) -> Progress:
    """Return a progress bar, which is invisible where there is no terminal.

    Args:
        *more: Columns after the usual ones.
        console: Where it is drawn; stderr by default, so that stdout holds the results alone.
        is_share: Show a percentage, for bytes, rather than a count.
        stays: Leave the bar on the screen when it ends.
        is_still: Draw it only when it moves, so that nothing runs beside a measurement of CPU time.
    """
    console = Console(stderr=True) if console is None else console
    return Progress(
        *progress_columns(*more, is_share=is_share),
        console=console,
        transient=not stays,
        auto_refresh=not is_still,
        disable=not console.is_terminal,
        # What is printed meanwhile stands above the bar; into a file or a pipe it goes as it is.
        redirect_stdout=sys.stdout.isatty(),
    )


@contextmanager
def counted(what: str, total: int | None, *, is_still: bool = False) -> Iterator[Callable[[], None]]:
    """Show how many of `total` things are done; the yielded function counts one more."""
    with progress_bar(is_still=is_still) as bar:
        task = bar.add_task(what, total=total)

        def advance() -> None:
            bar.advance(task)
            if is_still:
                bar.refresh()

        yield advance


def tracked(
    items: Iterable[Item], what: str, total: int | None = None, *, is_still: bool = False
) -> Iterator[Item]:
    """Yield the items, and show how many are done; `total` is their number if they have no length."""
    known = len(items) if isinstance(items, Sized) else total
    with counted(what, known, is_still=is_still) as advance:
        for item in items:
            yield item
            advance()


@contextmanager
def waiting(what: str, *, is_still: bool = False) -> Iterator[None]:
    """Show that something of unknown duration is going on."""
    with counted(what, None, is_still=is_still):
        yield


@contextmanager
def reported(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show progress that is reported; the yielded function takes a stage, what is done and what there is."""
    with progress_bar() as bar:
        task = bar.add_task(what, total=None)
        yield lambda stage, done, total: bar.update(task, completed=done, total=total)


@contextmanager
def read_share(path: Path, what: str) -> Iterator[Callable[[int], None]]:
    """Show how much of a file has been read; the yielded function takes the bytes so far."""
    with progress_bar(is_share=True) as bar:
        task = bar.add_task(what, total=path.stat().st_size if path.is_file() else None)
        yield lambda done: bar.update(task, completed=done)
