"""Answers to ask for, and known questions, as rows of OpenRLHF's prompt data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ssp_env.game import Game, Role, Task
from ssp_env.scenario import Scenario

_LABEL = "a label that baselines.openrlhf.game_rows wrote (--data.label_key label)"


def game_rows(
    scenario: Scenario,
    roles: Sequence[Role] = ("proposer", "solver"),
    *,
    tasks: Iterable[Task] | None = None,
) -> Iterator[dict[str, str]]:
    """Write tasks as rows with the keys `input`, `label` and `datasource`.

    A row says who is trained on it. One of the proposer is a proposal for an answer; one of the solver is an
    attempt at a question: a known one, or one that is proposed first.

    Args:
        scenario: What is played in, as in `game_executor`.
        roles: Who is trained; on known questions only the solver is.
        tasks: Answers or questions in place of the scenario's answers, such as `scenario.questions`.

    Raises:
        ValueError: If there is not one row.
    """
    rules = scenario.rules.changed({"attempts": 1})
    written = 0
    for task in scenario.tasks if tasks is None else tasks:
        (request,) = Game(task, rules).requests()
        told = "\n".join(message.content for message in request.view.messages)  # type: ignore[union-attr]
        for role in roles:
            if role == "solver" or not task.question:
                label = json.dumps({**asdict(task), "provenance": {}, "trains": role})
                yield {"input": told, "label": label, "datasource": role}
                written += 1
    if not written:
        raise ValueError("there is nothing to ask for: give the scenario answers, or tasks=")


def read_label(label: Any) -> tuple[Task, Role]:
    """Return the task of a row, and who is trained on it.

    Raises:
        ValueError: If it is not the label of a row of `game_rows`.
    """
    try:
        given = dict(label if isinstance(label, Mapping) else json.loads(label))
        role: Role = given.pop("trains")
        task = Task(**{**given, "aliases": tuple(given["aliases"])})
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"expected {_LABEL}, got {label!r:.80}") from None
    if role not in ("proposer", "solver") or (role == "proposer" and task.question):
        raise ValueError(f"expected {_LABEL}, got one that trains {role!r}")
    return task, role
