"""`ssp rescore`: score recorded games by other rules or rewards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ssp_env.cli.options import Recorded, Strict, print_text, read_recorded, table
from ssp_env.cli.rules import RulesFile, RuleValues, read_rules
from ssp_env.game.rewards import REWARD_SHAPES
from ssp_env.records import Comparison, Episode, EpisodeWriter
from ssp_env.records import rescore as score_anew


def rescore(
    file: Recorded,
    reward: Annotated[
        str | None,
        typer.Option(
            help=f"The proposer's reward: {', '.join(REWARD_SHAPES)}, or module:function.",
            show_default=False,
        ),
    ] = None,
    rules: RulesFile = None,
    rule: RuleValues = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the games with their new scores to this new file.")
    ] = None,
    strict: Strict = False,
) -> None:
    """Score recorded games by other rules or rewards, without playing; other rules stay as recorded.

    Games whose new outcome the record does not determine are counted as `unknown`: a question that the
    recorded rules refused was never answered, so its outcome is unknown. `--rule judge=false` lets exact
    match decide in place of the recorded verdicts of a judge.
    """
    changes = read_rules(rules, rule, reward=reward)
    if not changes:
        raise ValueError(
            "no new rules or reward: give --reward, --rule NAME=VALUE or --rules FILE (ssp rescore --help)"
        )
    if out is not None and out.exists():
        raise ValueError(f"{out} exists already: choose another file for --out, or delete it")
    comparison = Comparison()
    rescored = _rescored(file, changes, comparison, strict)
    if out is None:
        for _ in rescored:
            pass
    else:
        with EpisodeWriter(out) as writer:
            for episode in rescored:
                writer.write_episode(episode)
    console = Console()
    _print_comparison(console, comparison)
    if out is not None:
        print_text(console, f"rescored games written to {out}")


def _rescored(
    file: Path, changes: Mapping[str, Any], comparison: Comparison, strict: bool
) -> Iterator[Episode]:
    def scored_anew(episode: Episode) -> Episode:
        return score_anew(episode, episode.config.changed(changes))

    for _, episode, scored in read_recorded(file, scored_anew, strict=strict):
        comparison.add(episode, scored)
        yield scored


def _print_comparison(console: Console, comparison: Comparison) -> None:
    reasons = table("Games", "reason", numbers=("before", "after"))
    for reason in sorted({*comparison.before, *comparison.after}):
        reasons.add_row(reason, str(comparison.before[reason]), str(comparison.after[reason]))
    console.print(reasons)
    if comparison.changes:
        changes = table("Changes", "from", "to", numbers=["games"])
        for (old, new), count in comparison.changes.most_common():
            changes.add_row(old, new, str(count))
        console.print(changes)
    title = f"Mean reward over {comparison.compared} games scored both ways"
    rewards = table(title, "seat", numbers=("before", "after"))
    for seat, sums in comparison.rewards.items():
        rewards.add_row(seat, *(f"{value / comparison.compared:.3f}" for value in sums))
    console.print(rewards)
    for why, count in comparison.missing.most_common():
        print_text(console, f"unknown in {count} games: {why}")
