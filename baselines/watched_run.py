"""A run that people watch: training in a run directory with a live display, and its curves at the end."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import TaskID, TextColumn

from baselines.config import TrainConfig
from baselines.runs.files import METRICS
from ssp_env.cli import INTERRUPTED
from ssp_env.cli.progress import progress_bar, waiting

if TYPE_CHECKING:
    from baselines.processes import Processes

SHOWN = {
    "loss": "loss",
    "solver_reward": "solver",
    "valid_rate": "valid",
    "mean_hops": "hops",
    "solver_searches": "searches",
    "solver/entropy": "entropy",
    "mixed_groups": "mixed",
}
"""The displayed metrics, with their labels."""

PLAIN_EVERY = 20


class ProgressDisplay:
    """Shows a run on a terminal; writes a line every 20 steps where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._done = 0
        self._steps = 0
        self._task: TaskID | None = None
        numbers = TextColumn("{task.fields[numbers]}", markup=False)
        self._progress = progress_bar(numbers, console=console, stays=True)

    def __enter__(self) -> ProgressDisplay:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._progress.stop()

    def stage(self, name: str, steps: int, done: int) -> None:
        """A stage begins."""
        self._end()
        self._stage, self._steps, self._done = name, steps, done
        self._task = self._progress.add_task(name, total=steps, completed=done, numbers="")
        if steps and not self._console.is_terminal:
            self._console.print(f"{name}: {steps} steps", highlight=False, soft_wrap=True)

    def step(self, metrics: dict[str, float]) -> None:
        """A step is over."""
        self._done += 1
        shown = {label: metrics[key] for key, label in SHOWN.items() if key in metrics}
        if "solver_reward" in metrics:
            shown.pop("loss", None)
        numbers = "  ".join(f"{label} {value:.2f}" for label, value in shown.items())
        if self._task is not None:
            self._progress.update(self._task, advance=1, numbers=numbers)
        if not self._console.is_terminal and (self._done % PLAIN_EVERY == 0 or self._done == self._steps):
            self._console.print(
                f"{self._stage} {self._done}/{self._steps}  {numbers}", highlight=False, soft_wrap=True
            )

    def warning(self, text: str) -> None:
        """A sign of a collapse shows; it stays on the terminal, above the bar."""
        self._console.print(
            f"warning at {self._stage} {self._done}: {text}", style="yellow", highlight=False, soft_wrap=True
        )

    def _end(self) -> None:
        """Stop the clock of what went on until now; an evaluation, of which nothing is counted, is full."""
        if self._task is None:
            return
        if self._progress.tasks[-1].total is None:
            self._progress.update(self._task, total=1, completed=1)
        self._progress.stop_task(self._task)

    def evaluating(self, what: str) -> None:
        """An evaluation begins."""
        self._end()
        self._task = self._progress.add_task(f"evaluating: {what}", total=None, numbers="")
        if not self._console.is_terminal:
            self._console.print(f"evaluating: {what} ...", highlight=False, soft_wrap=True)


def run_training(
    config: TrainConfig,
    run: Any,
    console: Console,
    warm_start: Path | None,
    threads: int,
    together: Processes | None = None,
) -> dict[str, Any]:
    """Train in a run directory, with a live display, and draw the curves; return the summary.

    A process that does not write the run returns nothing.

    Raises:
        SystemExit: With status 130 if the run is interrupted; a message on stderr says how to continue.
    """
    with waiting("loading torch"):
        prepare_torch(threads)

        from baselines.runs.curves import plot_run
        from baselines.runs.lock import locked
        from baselines.train import Interrupted, Training

    try:
        with locked(run.path) if run.writes else nullcontext(), ProgressDisplay(console) as display:
            summary = Training(config, run, display, warm_start, together).train()
    except Interrupted as stop:
        print(f"\nssp: {stop}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    if not summary:
        return {}
    with waiting("drawing the curves"):
        plot_run(run.read_jsonl(METRICS), summary, run.path / "curve.png")
    return summary


def prepare_torch(threads: int) -> None:
    """Load torch and say how many threads it may use; nothing may have loaded it before."""
    # Threads of OpenMP that spin while they wait take the cores from each other when another process is busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()
