"""Entries: a folder with what takes part, how to install it, and its results."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines.config import RoleConfig
from baselines.suite.tasks import LEARN, PLAY
from ssp_env.cli.rules import read_toml
from ssp_env.game.config import check_names

ENTRY = "entry.toml"
_KEYS = ("name", "about", "requires", "player", "solver", "proposer", "trainer", "tasks")


@dataclass(frozen=True)
class Entry:
    """What takes part.

    Attributes:
        name: As the leaderboard calls it.
        about: What it is, in a sentence.
        requires: What pip must install beside ssp-env, if anything.
        solver: How the solver learns: `algorithm` and its options; empty if the entry does not learn.
        proposer: How the proposer learns in tasks of both roles; by default as in the preset.
        player: A finished agent for the track play, named as in `ssp play`; empty if there is none.
        trainer: `module:object` of a function from a `Lesson` to a player, in place of `solver`; empty if
            there is none.
        tasks: Names of the tasks that it takes part in; all that it has something for if empty.
        folder: The folder of the entry, in which its modules are; None for entries of this package.
    """

    name: str
    about: str = ""
    requires: tuple[str, ...] = ()
    solver: Mapping[str, Any] = field(default_factory=dict)
    proposer: Mapping[str, Any] = field(default_factory=dict)
    player: str = ""
    trainer: str = ""
    tasks: tuple[str, ...] = ()
    folder: Path | None = None

    def __post_init__(self) -> None:
        for name in ("name", "about", "player", "trainer"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must be a text, got {getattr(self, name)!r}")
        if not self.name or any(letter in self.name for letter in "/\\\n|"):
            raise ValueError(f"the name of an entry is one line without slashes and bars, got {self.name!r}")
        if not (self.solver or self.player or self.trainer):
            raise ValueError(
                f"the entry {self.name!r} neither learns nor plays: give it [solver], trainer or player"
            )
        if self.solver and self.trainer:
            raise ValueError(f"the entry {self.name!r} learns by [solver] or by trainer, not both")
        for key, role in (("solver", self.solver), ("proposer", self.proposer)):
            if not isinstance(role, Mapping):
                raise TypeError(f"{key} must be a table with an algorithm and its options, got {role!r}")
            RoleConfig(**{"algorithm": role.get("algorithm", "grpo")})
        for task in self.tasks:
            if task not in (*LEARN, *PLAY):
                raise ValueError(f"tasks are among {', '.join([*LEARN, *PLAY])}, got {task!r}")

    def takes_part(self, track: str, task: str) -> bool:
        """Whether it has something for a task; a trainer of its own learns the solver alone."""
        if self.tasks and task not in self.tasks:
            return False
        if track == "play":
            return bool(self.player)
        return bool(self.solver or (self.trainer and not LEARN[task].both))

    def importable(self) -> None:
        """Put the folder of the entry first on Python's path, so that its modules are found."""
        if self.folder is not None and str(self.folder) not in sys.path:
            sys.path.insert(0, str(self.folder))

    def digest(self) -> str:
        """Return a hash of everything that is run: the entry and the Python files beside it."""
        run = (self.name, self.solver, self.proposer, self.player)
        found = hashlib.sha256(repr((*run, self.trainer) if self.trainer else run).encode())
        for path in sorted(self.folder.rglob("*.py")) if self.folder else ():
            found.update(str(path.relative_to(self.folder or path)).encode() + path.read_bytes())
        return found.hexdigest()


def read_entry(folder: Path) -> Entry:
    """Read the entry of a folder.

    Raises:
        FileNotFoundError: If there is no `entry.toml`.
        ValueError: If it is malformed; the message names the file.
    """
    path = folder / ENTRY
    if not path.is_file():
        raise FileNotFoundError(f"there is no {ENTRY} in {folder}: it says what takes part (docs/bench.md)")
    data = read_toml(path, "an entry of SSP-Bench")
    try:
        check_names(data, _KEYS, "key")
        lists = {"requires": "requirements of pip", "tasks": "names of tasks"}
        for key, what in lists.items():
            if not isinstance(data.get(key, []), list):
                raise ValueError(f"{key} must be a list of {what}, got {data[key]!r}")
        listed = {key: tuple(data.get(key, ())) for key in lists}
        return Entry(**{"name": folder.name, **data, **listed, "folder": folder.resolve()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


OURS: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "grpo",
            "GRPO without the division by the deviation",
            solver={"algorithm": "grpo", "scale": "none"},
        ),
        Entry("rloo", "Leave-one-out baseline", solver={"algorithm": "grpo", "estimator": "rloo"}),
        Entry("reinforce", "The batch's mean as the baseline", solver={"algorithm": "reinforce"}),
        Entry(
            "ppo",
            "A value head on the trunk that starts at the mean return",
            solver={
                "algorithm": "ppo",
                "critic": "head",
                "critic_start": "mean",
                "critic_learning_rate": 1e-3,
                "whiten": False,
            },
        ),
        Entry(
            "grpo-frozen-proposer",
            "GRPO on questions of the warm start's proposer, which does not learn",
            solver={"algorithm": "grpo", "scale": "none"},
            proposer={"algorithm": "frozen"},
            tasks=("self-play",),
        ),
        Entry(
            "frozen-solver",
            "The proposer alone learns, against the warm start's solver; its weights then answer",
            solver={"algorithm": "frozen"},
            tasks=("self-play",),
        ),
        Entry("scripted-weak", "The scripted player that policies are cloned from", player="weak"),
        Entry("scripted-perfect", "The scripted player that makes no mistake", player="perfect"),
        Entry(
            "scripted-guess", "Guesses: the floor", player="guess", trainer="baselines.suite.lessons:guesses"
        ),
    )
}
"""Reference entries of this package."""
