"""A live display of a run: a bar per stage and the numbers that matter."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SHOWN = {
    "loss": "loss",
    "solver_reward": "solver",
    "valid_rate": "valid",
    "mean_hops": "hops",
    "solver_searches": "searches",
    "entropy": "entropy",
    "mixed_groups": "mixed",
}
"""Metrics on display, with their labels."""

PLAIN_EVERY = 20


class ProgressDisplay:
    """Shows a run on a terminal; writes a line every 20 steps where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._done = 0
        self._steps = 0
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> ProgressDisplay:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, name: str, steps: int, done: int) -> None:
        """A stage begins."""
        self._stage, self._steps, self._done = name, steps, done
        self._task = self._progress.add_task(name, total=steps, completed=done, numbers="")
        if steps and not self._console.is_terminal:
            self._console.print(f"{name}: {steps} steps", highlight=False)

    def step(self, metrics: dict[str, float]) -> None:
        """A step is over."""
        self._done += 1
        shown = {label: metrics[key] for key, label in SHOWN.items() if key in metrics}
        if "solver_reward" in metrics:
            shown.pop("loss")
        numbers = "  ".join(f"{label} {value:.2f}" for label, value in shown.items())
        self._progress.update(self._task, advance=1, numbers=numbers)
        if not self._console.is_terminal and (self._done % PLAIN_EVERY == 0 or self._done == self._steps):
            self._console.print(f"{self._stage} {self._done}/{self._steps}  {numbers}", highlight=False)

    def evaluating(self, what: str) -> None:
        """An evaluation begins."""
        self._console.print(f"evaluating: {what} ...", highlight=False)
