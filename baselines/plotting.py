"""The one style of all pictures: told apart without colour, legends beside the data, PNG and SVG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator


class Look(NamedTuple):
    """How one of several series is drawn.

    Attributes:
        color: From a palette that people with colour vision deficiencies can tell apart (Okabe and Ito).
        linestyle: Tells lines apart in print.
        marker: Tells points apart in print.
    """

    color: str
    linestyle: str | tuple[int, tuple[int, ...]]
    marker: str


_LOOKS = (
    Look("#0072b2", "-", "o"),
    Look("#d55e00", "--", "s"),
    Look("#009e73", "-.", "^"),
    Look("#8f4f7e", ":", "D"),
    Look("#7f6000", (0, (5, 1, 1, 1, 1, 1)), "v"),
    Look("#333333", (0, (1, 3)), "P"),
)


def look(number: int) -> Look:
    """Return how the series of that number is drawn, from 0; after six they come again."""
    return _LOOKS[number % len(_LOOKS)]


def panels(
    columns: int, rows: int = 1, *, width: float = 5.0, height: float = 4.0
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, row by row, which leave room for legends below."""
    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), layout="constrained", squeeze=False
    )
    found: list[Axes] = [axis for line in axes for axis in line]
    for axis in found:
        axis.grid(alpha=0.3, linewidth=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, found


def legend_below(axis: Axes, columns: int = 2) -> None:
    """Put the legend of an axis under its label, where it covers no data."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=columns, frameon=False, fontsize=9)


def count_tokens(axis: Axes) -> None:
    """Write what the horizontal axis counts as 300k and 1.2M."""
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))


def save(figure: Figure, paths: Path | Sequence[Path]) -> None:
    """Write a figure, and close it. A PNG has an SVG beside it, and neither has a date in it.

    Args:
        figure: The figure.
        paths: Files that end in `.png` or `.svg`.
    """
    given = [paths] if isinstance(paths, Path) else list(paths)
    beside = [path.with_suffix(".svg") for path in given if path.suffix == ".png"]
    # Ids of elements are random otherwise, and the same data would give another file.
    with plt.rc_context({"svg.hashsalt": "ssp-env"}):
        for path in dict.fromkeys([*given, *beside]):
            figure.savefig(path, dpi=100, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
