"""What share of a run's proposals each rule refused, and what is refused since attacks were answered.

`python -m benchmarks.refusals RUN...` reads finished runs: the reasons of all steps from their metrics, and
of the recorded games those that the earlier rules (`benchmarks.earlier_rules`) would have let pass. Then each
run takes a few steps of self-play from its warm start twice, under the rules of today and under the earlier
ones: their metrics must be equal up to the first question that only the rules of today refuse.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from unittest.mock import patch

import typer
from rich.console import Console
from rich.table import Table

from baselines.policies.models import open_model, policies_of_roles
from baselines.runs.directory import RunDirectory
from baselines.runs.files import METRICS, WARM_START, self_play_rows
from baselines.self_play import SelfPlay
from baselines.train import EPISODES
from benchmarks.earlier_rules import earlier_violation, newly_refused
from ssp_env.cli.progress import tracked
from ssp_env.records import read_episodes, retold

_REASON = "invalid/"
OPTIONS = ("about_documents", "not_confirmed")
"""Reasons of rules that attacks brought and that can be turned off: `self_contained`, `second_reading`."""
CHANGED = ("too_few_words", "answer_leak", "too_few_searches", "repeated_search")
"""Reasons of rules that attacks changed."""


@dataclass(frozen=True)
class Refusals:
    """What was refused in a run.

    Attributes:
        proposals: Proposals of all steps.
        reasons: How many of them each reason refused.
        recorded: Games that were recorded.
        anew: How many of these each rule refused that the earlier rules let pass.
    """

    proposals: int
    reasons: Counter[str]
    recorded: int
    anew: Counter[str]


@dataclass(frozen=True)
class Steps:
    """Steps of self-play under both rules.

    Attributes:
        anew: By step, how many questions only the rules of today refused.
        equal: By step, whether all metrics are the same.
    """

    anew: Sequence[int]
    equal: Sequence[bool]

    @property
    def undisturbed(self) -> int:
        """How many steps are over before a rule refused something anew."""
        return next((step for step, refused in enumerate(self.anew) if refused), len(self.anew))

    @property
    def unharmed(self) -> bool:
        """Whether all steps are equal that should be."""
        return all(self.equal[: self.undisturbed])


def refusals(run: Path) -> Refusals:
    """Count the reasons of a run."""
    folder, config = RunDirectory.open(run)
    reasons: Counter[str] = Counter()
    proposals = 0
    for row in self_play_rows(folder.read_jsonl(METRICS)):
        games = config.answers * config.proposals
        proposals += games
        for name, share in row.items():
            if name.startswith(_REASON):
                reasons[name.removeprefix(_REASON)] += round(share * games)
    games_read = [retold(episode).game for episode in read_episodes(run / EPISODES)]
    codes = [newly_refused(game) for game in tracked(games_read, f"{run.name}: records")]
    return Refusals(proposals, reasons, len(codes), Counter(code for code in codes if code))


def both_rules(run: Path, steps: int) -> Steps:
    """Take the first steps of a run from its warm start under both rules."""
    now, anew = _metrics(run, steps)
    with patch("ssp_env.game.game.first_violation", earlier_violation):
        before, _ = _metrics(run, steps)
    return Steps(anew, [first == second for first, second in zip(now, before, strict=True)])


def _metrics(run: Path, steps: int) -> tuple[list[dict[str, float]], list[int]]:
    """The metrics by step, and how many questions each step refused anew."""
    config = RunDirectory.open(run)[1]
    rows, anew = [], []
    with TemporaryDirectory() as folder:
        opened = open_model(config, Path(folder))
        opened.restore(opened.policy, run / WARM_START)
        frozen = None
        if config.needs_warm_start:
            frozen = opened.policy.duplicate()
            opened.restore(frozen, run / WARM_START)
        game = SelfPlay(config, policies_of_roles(opened, config, frozen), frozen)
        for number in tracked(range(steps), f"{run.name}: self-play"):
            played, metrics = game.step(number)
            rows.append(metrics)
            anew.append(sum(newly_refused(one) is not None for one in played.games))
    return rows, anew


def main(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
    steps: Annotated[int, typer.Option(help="Steps of self-play under both rules.", min=0)] = 5,
    results: Annotated[Path, typer.Option(help="JSON file of the figures.")] = Path("results/refusals.json"),
) -> None:
    """Print both tables, and end with 1 if a step differs in which nothing was refused anew."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    found = [refusals(run) for run in runs]
    taken = [both_rules(run, steps) for run in runs]
    whole = Refusals(
        sum(one.proposals for one in found),
        sum((one.reasons for one in found), Counter()),
        sum(one.recorded for one in found),
        sum((one.anew for one in found), Counter()),
    )
    console = Console(width=110)
    console.print(_table(whole))
    for run, one in zip(runs, taken, strict=True):
        console.print(
            f"{run.name}: {sum(one.equal)} of {len(one.equal)} steps have equal metrics under both rules; "
            f"refused anew: {sum(one.anew)}",
            highlight=False,
        )
    written = {
        "runs": len(runs),
        "proposals": whole.proposals,
        "reasons": dict(whole.reasons.most_common()),
        "recorded": whole.recorded,
        "refused_anew": {code: whole.anew[code] for code in (*CHANGED, *whole.anew)},
        "steps": [{"refused_anew": list(one.anew), "equal": list(one.equal)} for one in taken],
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(written, indent=1) + "\n")
    if not all(one.unharmed for one in taken):
        raise typer.Exit(1)


def _table(whole: Refusals) -> Table:
    title = f"{whole.proposals:,} proposals; of {whole.recorded:,} recorded ones, refused by rules of attacks"
    table = Table("reason", "share of proposals", "refused anew, of the recorded", title=title)
    for code in dict.fromkeys([*(code for code, _ in whole.reasons.most_common()), *OPTIONS, *CHANGED]):
        anew = f"{whole.anew[code]}" if code in (*CHANGED, *whole.anew) else ""
        anew = f"all, {whole.reasons[code]:,} of {whole.proposals:,}" if code in OPTIONS else anew
        table.add_row(code, f"{whole.reasons[code] / whole.proposals:.2%}", anew)
    return table


if __name__ == "__main__":
    typer.run(main)
