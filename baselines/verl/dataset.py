"""Answers to ask for, and questions to validate on, as a data set of verl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from verl.utils.dataset.rl_dataset import RLHFDataset

from baselines.verl import AGENT_LOOP, check_registered
from baselines.verl.options import GameOptions
from ssp_env.data import read_answers, read_questions
from ssp_env.game import Game, Task
from ssp_env.game.requests import Turn


class AnswerDataset(RLHFDataset):
    """Rows of `data.train_files` or `data.val_files`, each of which becomes games.

    Name the class as `data.custom_cls`, with the path `pkg://baselines.verl.dataset`.

    Args:
        data_files: Answer files, or question files as `questions:FILE` (docs/formats.md); those of
            `val_files` are question files in any case. `answers` and `questions` are those of the scenario in
            `data.ssp`: of a world, short titles of a corpus, or files that it names.
        tokenizer: The policy's; not needed.
        config: verl's `data`.
        processor: Not needed.
        max_samples: Most rows; -1 for all.

    Raises:
        RuntimeError: If verl does not know the agent loop or the estimator.
        ValueError: If `data.ssp` names no corpus, or there is not one row.
    """

    def __init__(
        self,
        data_files: str | Sequence[str],
        tokenizer: Any,
        config: Any,
        processor: Any = None,
        max_samples: int = -1,
    ) -> None:
        # Nothing of the base class is read from Parquet, so that its constructor is not called.
        check_registered()
        self.tokenizer, self.processor, self.config = tokenizer, processor, config
        self.options = GameOptions.of(config)
        self.data_files = _paths(data_files)
        validates = self.data_files == _paths(config.get("val_files") or ())
        self.tasks = [task for name in self.data_files for task in self._read(name, validates)]
        if max_samples > 0:
            self.tasks = self.tasks[:max_samples]
        if not self.tasks:
            names = ", ".join(self.data_files) or "no file"
            raise ValueError(f"expected at least one answer or question, got none from {names}")

    def _read(self, name: str, validates: bool) -> Sequence[Task]:
        scenario = self.options.opened
        if name in ("answers", "questions"):
            return scenario.tasks if name == "answers" else scenario.questions
        if validates or name.startswith("questions:"):
            return read_questions(name.removeprefix("questions:"))
        return [task for hops in scenario.config.hops for task in read_answers(name, hops=hops)]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.tasks)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Return a row with the columns that verl looks at; `raw_prompt` is what the first seat is told."""
        task = self.tasks[row]
        (request,) = Game(task, self.options.opened.with_rules({"attempts": 1}).rules).requests()
        assert isinstance(request, Turn)
        return {
            "agent_name": AGENT_LOOP,
            "raw_prompt": request.view.to_openai("user"),
            "data_source": "ssp_env",
            "reward_model": {"style": "rule", "ground_truth": {"target": list(task.golds)}},
            "extra_info": {"index": row, "task": {**asdict(task), "provenance": {}}},
            "index": row,
        }


def task_of(row: Mapping[str, Any]) -> Task:
    """Return the task of a row.

    Raises:
        ValueError: If the row is not one of `AnswerDataset`.
    """
    try:
        task = dict(row["extra_info"]["task"])
    except (KeyError, TypeError):
        raise ValueError(
            "a game needs a row with extra_info.task: set data.custom_cls.path=pkg://baselines.verl.dataset "
            f"and data.custom_cls.name=AnswerDataset, got a row with {', '.join(map(str, row))}"
        ) from None
    return Task(**{**task, "aliases": tuple(task["aliases"])})


def _paths(files: str | Sequence[str]) -> list[str]:
    return [files] if isinstance(files, str) else [str(path) for path in files]
