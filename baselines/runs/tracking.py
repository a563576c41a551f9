"""Metrics where people watch them: TensorBoard, Weights & Biases and a CSV, which follow `metrics.jsonl`."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from baselines.config import TrainConfig
from baselines.config.tracking import check_trackers
from baselines.runs.directory import PART, RunDirectory
from baselines.runs.files import METRICS

CSV = "metrics.csv"
LOGGED = "trackers.json"
"""File of a run that says up to which step each tracker has been given its metrics."""
FOLDER = "tensorboard"


class Tracking:
    """The trackers of a run; only the process that writes the run has any.

    A step is given to a tracker once. Where a run is resumed from an earlier step, TensorBoard is told to
    drop what came after it and gets those steps anew. Weights & Biases cannot take anything back: it keeps
    what it has, which is the same because runs can be repeated. A tracker that joins later gets all steps
    before.

    Args:
        config: Configuration of the run.
        run: The run, whose metrics end with the step that it goes on from.

    Raises:
        ModuleNotFoundError: If the library of a tracker is not installed.
    """

    def __init__(self, config: TrainConfig, run: RunDirectory) -> None:
        self._run = run
        self._csv = run.writes and "csv" in config.tracking.trackers
        self._trackers: dict[str, Any] = {}
        self._logged: dict[str, Any] = {}
        names = [name for name in config.tracking.trackers if name != "csv"]
        if not run.writes or not names:
            return
        check_trackers(config.tracking)
        _prepare_accelerate()
        self._logged = self._read_logged()
        rows = run.read_jsonl(METRICS)
        for name in names:
            first = name not in self._logged
            if name == "tensorboard":
                # It can go back, so that it shows the very steps that the run took in the end.
                done = min(self._logged.get(name, 0), max((row["step"] for row in rows), default=0))
                self._logged[name] = done
                self._trackers[name] = _tensorboard(run.path, done + 1)
            else:
                self._logged.setdefault(name, 0)
                run_id = self._logged.setdefault("wandb_id", uuid.uuid4().hex[:8])
                self._trackers[name] = _wandb(run.path, config.tracking.project, run_id)
            if first:
                _log_configuration(name, self._trackers[name], config)
        for row in rows:
            self.log(row)

    def log(self, row: Mapping[str, Any]) -> None:
        """Give the metrics of a step to the trackers that do not have them."""
        values = {
            key: value for key, value in row.items() if isinstance(value, int | float) and key != "step"
        }
        waiting = [name for name in self._trackers if row["step"] > self._logged[name]]
        if not waiting:
            return
        # A kill between the two lines loses one point of a curve, and the other order would draw it twice.
        self._logged |= dict.fromkeys(waiting, row["step"])
        self._run.write_json(LOGGED, self._logged)
        for name in waiting:
            self._trackers[name].log(values, step=row["step"])

    def save(self) -> None:
        """Write the CSV, if there is one, from the metrics so far."""
        if self._csv:
            write_csv(self._run.read_jsonl(METRICS), self._run.path / CSV)

    def __enter__(self) -> Tracking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.save()
        for tracker in self._trackers.values():
            tracker.finish()

    def _read_logged(self) -> dict[str, Any]:
        try:
            logged: dict[str, Any] = json.loads((self._run.path / LOGGED).read_text())
        except FileNotFoundError:
            return {}
        return logged


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows with a column for every name in any of them; what a row does not have stays empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    aside = path.with_suffix(PART)
    with aside.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    aside.replace(path)


def _prepare_accelerate() -> None:
    """Set up the state without which accelerate's trackers cannot log; several processes have it already."""
    from accelerate import PartialState

    PartialState(cpu=True)


def _tensorboard(folder: Path, first_step: int) -> Any:
    """Return a tracker whose readers drop what was written from the first step on."""
    from accelerate.tracking import TensorBoardTracker

    tracker = TensorBoardTracker(FOLDER, folder, purge_step=first_step)
    tracker.start()
    return tracker


def _wandb(folder: Path, project: str, run_id: str) -> Any:
    """Return the tracker of a run that goes on under its id."""
    from accelerate.tracking import WandBTracker

    tracker = WandBTracker(project, name=folder.name, id=run_id, resume="allow", dir=str(folder))
    tracker.start()
    return tracker


def _log_configuration(name: str, tracker: Any, config: TrainConfig) -> None:
    if name == "wandb":
        tracker.store_init_configuration(config.to_dict())
        return
    # TensorBoard's table of hyperparameters would show every run twice.
    text = json.dumps(config.to_dict(), indent=2)
    tracker.log({"configuration": "\n".join(f"    {line}" for line in text.splitlines())}, step=0)
