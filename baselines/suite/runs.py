"""Runs an entry on a task: it learns within its budget, or plays against fixed opponents."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from baselines.comparison.curves import spent
from baselines.config import TrainConfig
from baselines.evaluation.heldout import evaluate
from baselines.rollouts.tasks import open_source
from baselines.runs.directory import RunDirectory
from baselines.runs.files import CONFIG, METRICS, SUMMARY, WARM_START, self_play_rows
from baselines.suite.entries import Entry
from baselines.suite.lessons import Lesson
from baselines.suite.results import result
from baselines.suite.tasks import LEARN, PLAY, QUICK_BUDGET, LearnTask, warm_start_folder
from ssp_env.objects import load_object
from ssp_env.play import as_agent


def learn(entry: Entry, task: str, seed: int, budget: int, folder: Path) -> dict[str, Any]:
    """Let an entry learn a task; an interrupted run goes on.

    Args:
        entry: An entry with an algorithm.
        task: Name in `LEARN`.
        seed: Seed of the run, and of the warm start that all entries share.
        budget: Tokens, sampled and trained together.
        folder: Where runs are kept; warm starts stand in `warm-starts`.

    Raises:
        ValueError: If the entry does not learn.
    """
    if not entry.takes_part("learn", task):
        raise ValueError(f"the entry {entry.name!r} does not learn {task}: it has no [solver]")
    entry.importable()
    if entry.trainer:
        return _taught(entry, task, seed, budget)
    config = config_of(entry, LEARN[task], seed, budget)
    path = run_folder(folder, entry, task, seed, budget)
    summary = _trained(config, path, warm_start(seed, budget, folder), threads=1)
    after = summary["heldout"]["after"]
    rows = RunDirectory(path).read_jsonl(METRICS)
    used = spent(rows).tolist()
    validated = [
        [value for name, value in row.items() if name.startswith("validation/")]
        for row in self_play_rows(rows)
    ]
    curve = [[tokens, float(np.mean(found))] for tokens, found in zip(used, validated, strict=True) if found]
    outcome = {
        "before": {name: found["pass_at_1"] for name, found in summary["heldout"]["before"].items()},
        "after": {name: found["pass_at_1"] for name, found in after.items()},
        "intervals": {name: found["ci95"] for name, found in after.items()},
        "tokens": used[-1],
        "curve": curve,
        "weights": _hash(path / "final"),
    }
    score = float(np.mean([found["pass_at_1"] for found in after.values()]))
    return result(entry, "learn", task, seed, budget, score, outcome)


def _taught(entry: Entry, task: str, seed: int, budget: int) -> dict[str, Any]:
    """Let a trainer of its own make a player, and measure it as those are that learn here."""
    import torch

    config = LEARN[task].config(seed, budget)
    # As for all others: sums depend on it.
    torch.set_num_threads(1)
    lesson = Lesson(config.hops, seed, budget)
    player: Any = as_agent(load_object(entry.trainer, "trainer")(lesson), "what the trainer returned")
    source = open_source(config.source, config.world, config.hops, config.game)
    found = evaluate(player, source, config.game, questions=config.evaluation.questions)
    score = float(np.mean([one.pass_at_1 for one in found.values()]))
    outcome = {
        "after": {name: one.pass_at_1 for name, one in found.items()},
        "intervals": {name: list(one.ci95) for name, one in found.items()},
        "tokens": lesson.tokens,
        "curve": [[lesson.tokens, score]],
    }
    return result(entry, "learn", task, seed, budget, score, outcome)


def run_folder(folder: Path, entry: Entry, task: str, seed: int, budget: int) -> Path:
    """Return where a run is kept; each state of an entry has a folder of its own."""
    return folder / "runs" / f"{entry.name}-{entry.digest()[:12]}-{task}-{budget}-seed{seed}"


def config_of(entry: Entry, task: LearnTask, seed: int, budget: int) -> TrainConfig:
    """Return the run of an entry on a task."""
    config = task.config(seed, budget).changed({"solver": dict(entry.solver)})
    return config.changed({"proposer": dict(entry.proposer)}) if task.both and entry.proposer else config


def warm_start(seed: int, budget: int, folder: Path) -> Path:
    """Return the warm start of a seed, which is made if it is not there yet."""
    path = warm_start_folder(seed, budget, folder)
    # A run of one step leaves its warm start behind.
    least = {"steps": 1, "tokens": None, "evaluation": {"questions": 1, "validation_every": 0}}
    config = LearnTask("", both=True).config(seed, budget).changed(least)
    # Quick runs have one seed and wait for it, so that two cores are free; five seeds are made side by side.
    _trained(config, path, None, threads=2 if budget == QUICK_BUDGET else 1)
    return path / WARM_START


def _trained(config: TrainConfig, path: Path, warm: Path | None, *, threads: int) -> dict[str, Any]:
    from baselines.watched_run import run_training

    done = path / SUMMARY
    if done.exists():
        found: dict[str, Any] = json.loads(done.read_text())
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    started = (path / CONFIG).exists()
    run = RunDirectory.open(path)[0] if started else RunDirectory.create(path, config)
    # A fixed number: sums depend on it, and on machines of a kind on nothing else.
    return run_training(config, run, Console(stderr=True), warm, threads=threads)


def _hash(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        found.update(path.read_bytes())
    return found.hexdigest()


def play(entry: Entry, task: str, seed: int) -> dict[str, Any]:
    """Let a finished agent play both roles against the opponents of a task.

    A game in which the agent raises is lost, or it would do best to raise wherever it knows no answer.

    Raises:
        ValueError: If the entry has no player, or its player breaks in every game of a role.
    """
    if not entry.player:
        raise ValueError(f"the entry {entry.name!r} does not play: it has no player")
    entry.importable()
    with tempfile.TemporaryDirectory() as kept:
        points = {
            role: _points(entry, task, seed, role, Path(kept) / role) for role in ("solver", "proposer")
        }
    for role, shares in points.items():
        if np.isnan(shares).all():
            raise ValueError(f"every game of the {role} {entry.player!r} ended in an error")
    means = {role: float(np.nan_to_num(shares, nan=0.0).mean()) for role, shares in points.items()}
    failed = int(sum(np.isnan(shares).sum() for shares in points.values()))
    return result(
        entry, "play", task, seed, 0, float(np.mean(list(means.values()))), {**means, "failed": failed}
    )


def _points(entry: Entry, task: str, seed: int, role: str, folder: Path) -> Any:
    from baselines.league.rounds import RoundRobin, spread_tasks
    from ssp_env.scenario import open_scenario

    chosen = PLAY[task]
    opened = [
        open_scenario("tiny", split="heldout", index=index, hops=chosen.hops)
        for index in range(seed * 10, seed * 10 + 10)
    ]
    scenarios, tasks = spread_tasks(opened, chosen.questions, seed)
    robin = RoundRobin(scenarios, tasks, "perfect", folder, seed=seed, temperature=1.0)
    if role == "solver":
        return robin.play(chosen.proposers, [entry.player]).points
    return 1 - robin.play([entry.player], chosen.solvers).points
