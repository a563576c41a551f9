"""What is gained where games are played ahead of updates, and what it costs: wall time and the ratio's error.

Run with `python -m benchmarks.async_rollouts --warm-start RUN`; it needs `ssp-env[train]` and two idle cores.
Every variant takes the same number of steps from the same warm start. A slowed player waits before each batch
of turns, as for servers that are far away: that costs no core, and only games that are played ahead hide it.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from agents.player_names import model_of_run
from agents.tiny_policy import TinyPolicy
from baselines.config import TrainConfig, preset
from baselines.policies.models import open_model
from baselines.rollouts.asynchronous import AsyncRollouts
from baselines.rollouts.tasks import open_source
from baselines.runs.files import WARM_START
from baselines.self_play import SelfPlay
from ssp_env.cli.progress import tracked
from ssp_env.game import Reply, View

STALENESS = (0, 1, 2, 4)
DELAYS = (0.0, 0.05)
"""Seconds that a batch of turns waits."""


@dataclass(frozen=True)
class Figures:
    """What a variant took, and how old its samples were.

    Attributes:
        staleness: Updates between the weights that sampled and those that are updated.
        delay: Seconds that a batch of turns waits.
        step_seconds: Median wall time of a step, the first and the last ones left out.
        mismatch_mean: Mean over steps and roles of abs(ratio - 1) of their tokens before their update.
        mismatch_max: The same at the worst token of all steps.
    """

    staleness: int
    delay: float
    step_seconds: float
    mismatch_mean: float
    mismatch_max: float


def main(
    warm_start: Annotated[Path, typer.Option(help="A run of the preset, or a folder of its warm start.")],
    steps: Annotated[int, typer.Option(help="Steps of each variant.", min=12)] = 24,
    seed: Annotated[int, typer.Option(help="Fixes every random choice.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="JSON file of the figures.")] = None,
) -> None:
    """Print seconds a step and the ratio's error by staleness, with players that wait and that do not."""
    console = Console()
    base = preset("tiny").changed({"seed": seed, "steps": steps})
    folder = model_of_run(warm_start, WARM_START)
    torch.set_num_threads(1)
    variants = [(staleness, delay) for delay in DELAYS for staleness in STALENESS]
    figures = [measure(base, folder, *variant) for variant in tracked(variants, "variants")]
    console.print(table(figures))
    if out is not None:
        text = {"preset": base.preset, "seed": seed, "steps": steps, "variants": list(map(asdict, figures))}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(text, indent=1) + "\n")


def measure(base: TrainConfig, warm_start: Path, staleness: int, delay: float) -> Figures:
    """Take the steps of a variant."""
    config = base.changed({"rollout": {"staleness": staleness}})
    with tempfile.TemporaryDirectory() as name, slowed(delay):
        run = Path(name)
        shutil.copytree(warm_start, run / WARM_START)
        opened = open_model(config, run)
        opened.restore(opened.policy, run / WARM_START)
        rollouts = None
        if staleness:
            source = open_source(config.source, config.world, config.hops, config.game)
            slow = partial(slow_down, delay)
            rollouts = AsyncRollouts(config, run, {"": opened.policy}, source, slow)
        game = SelfPlay(config, opened.policy, None, rollouts=rollouts)
        seconds, rows = [], []
        for number in range(config.steps):
            start = time.perf_counter()
            rows.append(game.step(number)[1])
            seconds.append(time.perf_counter() - start)
        if rollouts is not None:
            rollouts.close()
    # The first steps open worlds and a process, and have younger samples; the last ones wait for nothing.
    settled = slice(staleness + 2, config.steps - staleness)
    return Figures(
        staleness,
        delay,
        statistics.median(seconds[settled]),
        statistics.mean(of_roles(rows[settled], "mismatch_mean")),
        max(of_roles(rows[settled], "mismatch_max")),
    )


def of_roles(rows: Sequence[Mapping[str, float]], name: str) -> list[float]:
    """Return what a metric was in all steps, for the roles that had something to learn from."""
    return [value for row in rows for key, value in row.items() if key.endswith(f"/{name}")]


def slow_down(delay: float) -> Callable[..., list[Reply]]:
    """Have the tiny model's players of this process wait before each batch; return what they did before."""
    before = TinyPolicy.act_batch

    def act_batch(self: TinyPolicy, views: Sequence[View]) -> list[Reply]:
        time.sleep(delay)
        return before(self, views)

    TinyPolicy.act_batch = act_batch  # type: ignore[method-assign]
    return before


@contextmanager
def slowed(delay: float) -> Iterator[None]:
    """Have players wait in this process, too."""
    before = slow_down(delay)
    try:
        yield
    finally:
        TinyPolicy.act_batch = before  # type: ignore[method-assign]


def table(figures: Sequence[Figures]) -> Table:
    """Return the table of the variants; gains are against playing in turn with the same players."""
    made = Table(title="Games played ahead of updates")
    for heading in ("waits", "staleness", "s a step", "gain", "mean |ratio - 1|", "at most"):
        made.add_column(heading, justify="right")
    in_turn = {one.delay: one.step_seconds for one in figures if not one.staleness}
    for one in figures:
        made.add_row(
            f"{one.delay:.2f} s",
            str(one.staleness),
            f"{one.step_seconds:.2f}",
            f"{in_turn[one.delay] / one.step_seconds:.2f}",
            f"{one.mismatch_mean:.1e}",
            f"{one.mismatch_max:.1e}",
        )
    return made


if __name__ == "__main__":
    typer.run(main)
