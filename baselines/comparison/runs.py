"""Training runs as their folders hold them, and which of them are seeds of the same thing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from baselines.runs.files import CONFIG, METRICS, SUMMARY, RunDirectoryError, read_rows
from baselines.runs.lock import is_locked
from ssp_env.worlds.graph import WORLD_VERSION

Rows: TypeAlias = list[dict[str, Any]]
Runs: TypeAlias = dict[str, dict[Any, tuple[Mapping[str, Any], Rows]]]
"""Summary and metrics of each run, by label and by seed; the summary is empty before the run has ended."""
FIRST_WORLD_VERSION = 1
"""The version of the worlds of runs whose summary names none, because there was only one yet."""

_SEED = re.compile(r"[-_]?seed[-_]?\d+|[-_]s\d+$")
_SHARED = ("world", "source")


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        path: Its folder.
        config: Its configuration as plain data.
        summary: Its summary; empty if it has not ended.
        rows: Its metrics.
        state: `ended`, `being trained` or `stopped`.
    """

    path: Path
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    rows: Rows
    state: str

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.config.get("seed", 0))

    @property
    def world_version(self) -> int:
        """Version of the generator of its worlds."""
        return int(self.summary.get("world_version", FIRST_WORLD_VERSION if self.summary else WORLD_VERSION))


def read_run(path: Path) -> Run:
    """Read the folder of a run, ended or not.

    Raises:
        RunDirectoryError: If there is no run in it; the message says what is there in its place.
    """
    if not path.is_dir():
        raise RunDirectoryError(
            f"no run in {path}: expected the folder of a run, such as runs/NAME, and it is none"
        )
    if not any(path.iterdir()):
        raise RunDirectoryError(f"no run in {path}: the folder is empty")
    config, summary = _config(path), _summary(path)
    state = "ended" if summary else "being trained" if is_locked(path) else "stopped"
    return Run(path, config, summary, read_rows(path / METRICS), state)


def _config(path: Path) -> Mapping[str, Any]:
    """Read a configuration as plain data, because that of another version can be compared too."""
    try:
        config = json.loads((path / CONFIG).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise RunDirectoryError(f"no run in {path}: config.json: {error}") from error
    if not isinstance(config, dict) or not {"preset", "seed", "game"} <= config.keys():
        raise RunDirectoryError(f"no run in {path}: config.json is not that of a run of `ssp train`")
    return config


def _summary(path: Path) -> Mapping[str, Any]:
    file = path / SUMMARY
    if not file.exists():
        return {}
    try:
        summary = json.loads(file.read_text())
        summary["heldout"]["after"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        problem = (
            f"expected a summary with held-out figures, got another file: {type(error).__name__}: {error}"
        )
        raise RunDirectoryError(f"{file}: {problem}") from error
    found: Mapping[str, Any] = summary
    return found


# -- which belong together -------------------------------------------------------------------------------


def read_runs(arguments: Iterable[str]) -> dict[str, list[Run]]:
    """Read runs as a command names them; return them by label, in the order in which labels come.

    An argument is the folder of a run, or a folder of such folders, with or without `LABEL=` before it.
    Without labels, runs that differ in nothing but seeds belong together, and the label is what their
    folders' names have in common.

    Raises:
        RunDirectoryError: If a folder holds no run, a run comes twice, or two runs of a label share a seed.
    """
    labelled: list[tuple[str, Run]] = []
    for argument in arguments:
        label, equals, name = argument.partition("=")
        if not equals or Path(argument).exists():
            label, name = "", argument
        labelled += [(label, read_run(path)) for path in _folders(Path(name))]
    seen = [run.path.resolve() for _, run in labelled]
    if twice := sorted({str(path) for path in seen if seen.count(path) > 1}):
        raise RunDirectoryError(f"expected different runs, got {twice[0]} twice")
    groups: dict[str, list[Run]] = {}
    names = _automatic_labels([run for label, run in labelled if not label])
    for label, run in labelled:
        groups.setdefault(label or names[run.path], []).append(run)
    for label, runs in groups.items():
        seeds = [run.seed for run in runs]
        if len(set(seeds)) < len(seeds):
            where = " and ".join(str(run.path) for run in runs if seeds.count(run.seed) > 1)
            raise RunDirectoryError(
                f"the runs {where} of {label} have the same seed: seeds are what a comparison averages "
                "over; give them labels of their own, LABEL=RUN"
            )
    return groups


def _folders(path: Path) -> list[Path]:
    """Return the folder of a run, or those of the runs in a folder."""
    if path.is_dir() and not (path / CONFIG).exists():
        inner = [one for one in sorted(path.iterdir()) if (one / CONFIG).is_file()]
        if inner:
            return inner
    return [path]


def _automatic_labels(runs: Sequence[Run]) -> dict[Path, str]:
    """Name runs that differ in seeds alone by what their folders' names have in common."""
    alike: dict[str, list[Run]] = {}
    for run in runs:
        apart = {name: value for name, value in run.config.items() if name != "seed"}
        alike.setdefault(json.dumps(apart, sort_keys=True), []).append(run)
    labels: dict[Path, str] = {}
    for group in alike.values():
        stems = dict.fromkeys(_SEED.sub("", run.path.name) or run.path.name for run in group)
        label = " / ".join(stems)
        if label in labels.values():
            label = " / ".join("/".join(run.path.parts[-2:]) for run in group)
        labels |= {run.path: label for run in group}
    return labels


def check_comparable(groups: Mapping[str, Sequence[Run]]) -> None:
    """Refuse runs whose figures are of other questions.

    Raises:
        RunDirectoryError: If their worlds are of different versions, they were played over different worlds
            or corpora, or they have no held-out set in common.
    """
    runs = [run for group in groups.values() for run in group]
    first = runs[0]
    for run in runs:
        if run.world_version != first.world_version:
            raise RunDirectoryError(
                f"runs over worlds of different versions cannot be compared: {first.path} has version "
                f"{first.world_version}, {run.path} has version {run.world_version}; train one of them again"
            )
        for name in _SHARED:
            if _shared(run, name) != _shared(first, name):
                raise RunDirectoryError(
                    f"runs over different questions cannot be compared: {name} of {first.path} is "
                    f"{_shared(first, name)!r}, of {run.path} {_shared(run, name)!r}"
                )
    ended = [run for run in runs if run.summary]
    if ended and not heldout_names([run.summary for run in ended]):
        raise RunDirectoryError("the runs have no held-out set in common")


def _shared(run: Run, name: str) -> Any:
    value = run.config.get(name)
    if isinstance(value, Mapping):
        # What questions are drawn from decides; how many a step draws does not.
        value = {key: value[key] for key in ("corpus", "search", "heldout") if value.get(key)}
    return value or None


def heldout_names(summaries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the held-out sets that all summaries have figures of, in the order of the first."""
    names: list[str] | None = None
    for summary in summaries:
        own = summary["heldout"]["after"]
        names = list(own) if names is None else [name for name in names if name in own]
    return names or []


def ended(groups: Mapping[str, Sequence[Run]]) -> Runs:
    """Return the runs that have ended, by label and seed; a label without any has none."""
    return {
        label: {run.seed: (run.summary, run.rows) for run in runs if run.summary}
        for label, runs in groups.items()
    }
