"""The folder of a run: configuration, metrics, episodes and checkpoints; readable even after a kill."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from baselines.by_role import joined, state_of
from baselines.config import TrainConfig
from baselines.config.tracking import check_trackers
from baselines.policies.sharding import gathered, shared_out
from baselines.runs.checksums import read_state, write_state
from baselines.runs.files import CONFIG, RunDirectoryError, read_rows

PART = ".part"
"""Ends the names of files that are being written."""
Optimizers = torch.optim.Optimizer | Mapping[str, torch.optim.Optimizer]
"""One optimiser, or several by owner; see `baselines.by_role.distinct`."""

_log = logging.getLogger("baselines.runs.directory")


def _has_not_begun(path: Path) -> bool:
    """Whether a folder is empty, or a kill left it before the configuration of a run was whole."""
    return path.is_dir() and all(
        entry.name == Path(CONFIG).with_suffix(PART).name for entry in path.iterdir()
    )


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run.

    Attributes:
        path: The folder.
        writes: Whether this process writes into it; of several that train together only one does.
        checkpoints_kept: Newest checkpoints that are kept.
    """

    path: Path
    writes: bool = True
    checkpoints_kept: int = 2

    @classmethod
    def create(cls, path: Path, config: TrainConfig) -> RunDirectory:
        """Start a new run, in a folder that is not there, empty, or all that a kill left of a beginning.

        Raises:
            RunDirectoryError: If something else is in the folder.
        """
        if path.exists() and not _has_not_begun(path):
            raise RunDirectoryError(
                f"{path} exists already. Continue it with: ssp train --resume {path} ; "
                "or start another with: ssp train --name NEW_NAME"
            )
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, checkpoints_kept=config.checkpoints_kept)
        run.write_json(CONFIG, config.to_dict())
        return run

    @classmethod
    def open(cls, path: Path) -> tuple[RunDirectory, TrainConfig]:
        """Open a run, to continue or inspect it.

        Raises:
            RunDirectoryError: If there is no readable run in the folder.
        """
        try:
            config = TrainConfig.from_dict(json.loads((path / CONFIG).read_text()))
        except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            raise RunDirectoryError(f"no run in {path}: config.json: {error}") from error
        return cls(path, checkpoints_kept=config.checkpoints_kept), config

    def extend(
        self,
        config: TrainConfig,
        steps: int | None,
        trackers: Sequence[str] | None = None,
        servers: str | None = None,
    ) -> TrainConfig:
        """Let the run take more self-play steps, show its metrics elsewhere, or have other servers sample.

        Returns:
            The changed configuration.

        Raises:
            RunDirectoryError: If there are fewer steps than the run was started with, or no servers sampled.
            ModuleNotFoundError: If the library of a tracker is not installed.
        """
        before = config
        if steps is not None and steps < config.steps:
            raise RunDirectoryError(
                f"the run in {self.path} has {config.steps} steps: --steps may be more, got {steps}"
            )
        if steps is not None:
            config = replace(config, steps=steps)
        if trackers is not None:
            config = replace(config, tracking=replace(config.tracking, trackers=tuple(trackers)))
        if servers is not None:
            if not config.rollout.urls:
                raise RunDirectoryError(
                    f"the run in {self.path} samples with {config.rollout.engine}, not with servers: leave "
                    "out --servers, or start another run"
                )
            config = replace(config, rollout=replace(config.rollout, engine=f"vllm:{servers}"))
        check_trackers(config.tracking)
        if config != before:
            self.write_json(CONFIG, config.to_dict())
        return config

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Write a temporary JSON file and rename it into place, so that no reader sees half of it."""
        if not self.writes:
            return
        target = self.path / name
        aside = target.with_suffix(PART)
        with _naming(aside):
            aside.write_text(json.dumps(data, indent=2) + "\n")
            aside.replace(target)

    def append_jsonl(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append one line per row."""
        if not self.writes:
            return
        with _naming(self.path / name), (self.path / name).open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)

    def read_jsonl(self, name: str) -> list[dict[str, Any]]:
        """Read the rows of a file that may not exist; a last line cut by a kill is dropped."""
        return read_rows(self.path / name)

    def truncate_jsonl(self, name: str, last_step: int) -> None:
        """Drop the rows of steps after `last_step`, which a resumed run takes again."""
        if not self.writes:
            return
        rows = [row for row in self.read_jsonl(name) if row["step"] <= last_step]
        aside = (self.path / name).with_suffix(PART)
        aside.write_text("".join(json.dumps(row) + "\n" for row in rows))
        aside.replace(self.path / name)

    def publish(self, name: str, write: Callable[[Path], object]) -> Path:
        """Let `write` fill a temporary folder, then rename it into place of an older one."""
        target, aside = self.path / name, (self.path / name).with_name(f".part-{Path(name).name}")
        if not self.writes:
            return target
        shutil.rmtree(aside, ignore_errors=True)
        with _naming(aside):
            aside.mkdir(parents=True)
            write(aside)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(aside, target)
        return target

    # -- checkpoints -----------------------------------------------------------------------------------

    def save_checkpoint(
        self,
        stage: int,
        step: int,
        weights: Mapping[str, Tensor],
        optimizer: Optimizers,
        extra: Mapping[str, Any],
        kept: Mapping[str, Tensor],
    ) -> Path:
        """Write weights, optimiser moments and what algorithms keep; drop all but the newest checkpoints."""
        moments, groups = _flatten_optimizers(optimizer)
        state = {"stage": stage, "step": step, "optimizer": groups, **extra}

        def write(folder: Path) -> None:
            for name, tensors in (("model", weights), ("optimizer", moments), ("algorithms", kept)):
                copies = {key: tensor.detach().clone() for key, tensor in tensors.items()}
                save_file(copies, folder / f"{name}.safetensors")
            write_state(folder, state)

        if not self.writes:
            return self.path
        (self.path / "checkpoints").mkdir(exist_ok=True)
        target = self.publish(f"checkpoints/{stage}-{step:06d}", write)
        for old in self.checkpoints()[: -self.checkpoints_kept]:
            shutil.rmtree(old)
        return target

    def checkpoints(self) -> list[Path]:
        """Return the complete checkpoints, oldest first."""
        return sorted((self.path / "checkpoints").glob("[0-9]-*"))

    def newest_checkpoint(self) -> Checkpoint | None:
        """Read the newest checkpoint that is intact, if there is any; a warning says which ones are not.

        Raises:
            RunDirectoryError: If there are checkpoints, and all of them are damaged.
        """
        problem: RunDirectoryError | None = None
        for folder in reversed(self.checkpoints()):
            try:
                checkpoint = self.load_checkpoint(folder)
            except RunDirectoryError as error:
                problem = problem or error
                continue
            if problem is not None:
                _log.warning("%s; going on from %s", problem, folder)
            return checkpoint
        if problem is not None:
            raise problem
        return None

    def load_checkpoint(self, folder: Path) -> Checkpoint:
        """Read a checkpoint.

        Raises:
            RunDirectoryError: If a file of it is missing or damaged, or it was written by another version.
        """
        try:
            state = read_state(folder)
            weights, moments, kept = (
                load_file(folder / f"{name}.safetensors") for name in ("model", "optimizer", "algorithms")
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise RunDirectoryError(
                f"the checkpoint {folder} cannot be read ({error}): delete it to go on from the one before"
            ) from error
        return Checkpoint(weights, moments, kept, state)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in an error of the disk: when it is full, neither Python nor safetensors says where.

    Raises:
        OSError: If the disk fails.
    """
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@dataclass(frozen=True)
class Checkpoint:
    """What a run goes on from.

    Attributes:
        weights: Weights of the policy.
        moments: Moments of the optimiser.
        kept: What the algorithms keep between updates.
        state: Stage, step and counters.
    """

    weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    kept: Mapping[str, Tensor]
    state: Mapping[str, Any]


def _flatten_optimizers(optimizer: Optimizers) -> tuple[dict[str, Tensor], Any]:
    """Return moments, and the options of parameter groups as plain data; by owner if there are several."""
    if isinstance(optimizer, torch.optim.Optimizer):
        return _flatten_optimizer(optimizer)
    flat = {owner: _flatten_optimizer(one) for owner, one in optimizer.items()}
    return (
        joined({owner: moments for owner, (moments, _) in flat.items()}),
        {owner: groups for owner, (_, groups) in flat.items()},
    )


def _flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    moments = {
        f"{index}.{key}": gathered(value.detach()).clone()
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }
    groups = [
        {key: value for key, value in group.items() if isinstance(value, int | float)}
        for group in optimizer.state_dict()["param_groups"]
    ]
    return moments, groups


def restore_optimizer(optimizer: Optimizers, moments: Mapping[str, Tensor], groups: Any) -> None:
    """Restore an optimiser, or several by owner, from what `save_checkpoint` wrote."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        for owner, one in optimizer.items():
            restore_optimizer(one, state_of(owner, moments), groups[owner])
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in moments.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = shared_out(value, parameters[int(index)])
    data = optimizer.state_dict()
    data["state"] = state
    for group, saved in zip(data["param_groups"], groups, strict=True):
        group.update(saved)
    optimizer.load_state_dict(data)
