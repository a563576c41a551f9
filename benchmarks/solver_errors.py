"""Where wrong attempts leave the path of a question: the relation that was followed in the place of another.

Run with `python -m benchmarks.solver_errors RUN...`; it needs `ssp-env[train]`. The final weights of
each run answer held-out validation questions of the terse worlds, with as many attempts as in training.
A terse solver quotes the fact that it goes on from, so that what it followed can be read: a question
names the relations from the last to the first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from baselines.policies.models import open_model
from baselines.rollouts.tasks import open_source
from baselines.runs.directory import RunDirectory
from baselines.seeding import derive_seed
from baselines.train import FINAL
from ssp_env.cli.progress import tracked
from ssp_env.game import Game
from ssp_env.game.events import TurnTaken
from ssp_env.play import play
from ssp_env.worlds import parse_facts, parse_question

RIGHT, SKIPPED, REPEATED, OTHER = "right", "skipped", "repeated", "another"
STOPPED, MISREAD, NOTHING = "stopped", "misread", "no fact"
KINDS = (RIGHT, SKIPPED, REPEATED, OTHER, STOPPED, MISREAD, NOTHING)
"""How an attempt ended: right; a relation was skipped, or followed twice, or one that is not asked for; it
stopped early; it followed the right relations to a wrong entity; or it quoted nothing."""


def main(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.", show_default=False)],
    hops: Annotated[int, typer.Option(help="Hops of the questions.", min=1)] = 3,
    questions: Annotated[int, typer.Option(help="Questions for each run.", min=1)] = 80,
    threads: Annotated[int, typer.Option(help="CPU threads of torch.", min=1)] = 1,
    out: Annotated[Path | None, typer.Option(help="JSON file of the figures.")] = None,
) -> None:
    """Count what went wrong in attempts at held-out questions, by run."""
    torch.set_num_threads(threads)
    found = {run.name: errors(run, hops, questions) for run in tracked(runs, "runs")}
    Console().print(table(found, hops))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        figures = {
            "hops": hops,
            "questions": questions,
            "runs": {name: dict(of) for name, of in found.items()},
        }
        out.write_text(json.dumps(figures, indent=1) + "\n")


def errors(folder: Path, hops: int, questions: int) -> Counter[str]:
    """Return how many attempts of a run's final weights ended in each way.

    Raises:
        ValueError: If the run has no held-out questions of so many hops.
    """
    _, config = RunDirectory.open(folder)
    opened = open_model(config, folder)
    opened.restore(opened.policy, folder / FINAL)
    source = open_source(config.source, config.world, [hops], config.game)
    counts: Counter[str] = Counter()
    for asked in source.heldout(config.game, questions, validation=True):
        search = {key: scenario.engine for key, scenario in asked.scenarios.items()}
        agent = opened.policy.agent(derive_seed(config.seed, "solver errors"))
        play(asked.games, solver=agent, search=search)
        for game in asked.games:
            counts.update(attempts(game))
    return counts


def attempts(game: Game) -> list[str]:
    """Return in which of `KINDS` each attempt at a question ended."""
    question = parse_question(game.question)
    assert question is not None and game.outcome is not None
    wanted = question.relations[::-1]
    said: dict[str, list[str]] = {seat: [] for seat in game.config.seats[1:]}
    for event in game.events:
        if isinstance(event, TurnTaken) and event.seat in said:
            # Quoted facts stand before the action, whose tag ends them.
            said[event.seat].append(event.reply.text.partition("<")[0])
    followed = {
        seat: [fact.relation for text in texts for fact in parse_facts(text)] for seat, texts in said.items()
    }
    paid = game.outcome.rewards
    return [RIGHT if paid[seat] > 0 else kind_of(wanted, relations) for seat, relations in followed.items()]


def kind_of(wanted: Sequence[str], followed: Sequence[str]) -> str:
    """Return how a wrong attempt left the path.

    >>> kind_of(["seat", "mayor", "school"], ["seat", "school"])
    'skipped'
    >>> kind_of(["seat", "mayor", "school"], ["seat", "mayor", "mayor"])
    'repeated'
    """
    if not followed:
        return NOTHING
    for place, relation in enumerate(wanted):
        if place == len(followed):
            return STOPPED
        if followed[place] != relation:
            if followed[place] in wanted[place + 1 :]:
                return SKIPPED
            return REPEATED if followed[place] in wanted[:place] else OTHER
    return MISREAD


def table(found: dict[str, Counter[str]], hops: int) -> Table:
    """Return the table of shares of attempts."""
    made = Table(
        title=f"Attempts at held-out questions of {hops} hops, shares",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for heading in ("run", "attempts", *KINDS):
        made.add_column(heading, justify="left" if heading == "run" else "right")
    for name, counts in found.items():
        total = counts.total()
        made.add_row(name, str(total), *(f"{counts[kind] / total:.3f}" for kind in KINDS))
    return made


if __name__ == "__main__":
    typer.run(main)
