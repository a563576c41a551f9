"""`ssp rescore`: score recorded games by other rules or rewards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ssp_env.cli.options import Recorded, print_text, read_recorded
from ssp_env.data.lines import DataFileError
from ssp_env.game.rewards import REWARD_SHAPES
from ssp_env.records import Comparison, Episode, EpisodeWriter
from ssp_env.records import rescore as score_anew


def rescore(
    file: Recorded,
    reward: Annotated[
        str | None,
        typer.Option(help=f"The proposer's reward: {', '.join(REWARD_SHAPES)}.", show_default=False),
    ] = None,
    invalid_reward: Annotated[
        float | None, typer.Option(help="The proposer's reward for an invalid question.", show_default=False)
    ] = None,
    min_searches: Annotated[
        int | None, typer.Option(help="Searches a valid question needs.", show_default=False)
    ] = None,
    min_question_words: Annotated[
        int | None, typer.Option(help="Words a valid question needs.", show_default=False)
    ] = None,
    min_question_chars: Annotated[
        int | None, typer.Option(help="Characters a valid question needs.", show_default=False)
    ] = None,
    max_question_chars: Annotated[
        int | None, typer.Option(help="Characters a valid question may have.", show_default=False)
    ] = None,
    answer_in_search: Annotated[
        bool | None, typer.Option(help="Whether searches may name the answer.", show_default=False)
    ] = None,
    rag_check: Annotated[
        bool | None, typer.Option(help="Whether questions must pass the RAG check.", show_default=False)
    ] = None,
    judge: Annotated[
        bool | None,
        typer.Option(
            help="Whether recorded verdicts of a judge count; without them exact match decides.",
            show_default=False,
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            help="Any other option of GameConfig, as NAME=VALUE; may be repeated.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the games with their new scores to this new file.")
    ] = None,
) -> None:
    """Score recorded games by other rules or rewards, without playing; rules not given stay as recorded.

    What the record does not tell is counted as `unknown`: a question that the recorded rules refused was
    never answered, so nobody knows how it would have ended.
    """
    given = {
        "reward": reward,
        "invalid_reward": invalid_reward,
        "min_searches": min_searches,
        "min_question_words": min_question_words,
        "min_question_chars": min_question_chars,
        "max_question_chars": max_question_chars,
        "answer_in_search": answer_in_search,
        "rag_check": rag_check,
        "judge": judge,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= dict(map(_parsed_rule, rule or ()))
    if not changes:
        raise ValueError(
            "nothing to score by: give --reward, --min-question-words or another rule (ssp rescore --help)"
        )
    if out is not None and out.exists():
        raise ValueError(f"{out} exists already: choose another file for --out, or delete it")
    comparison = Comparison()
    rescored = _rescored(file, changes, comparison)
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


def _rescored(file: Path, changes: Mapping[str, Any], comparison: Comparison) -> Iterator[Episode]:
    for number, episode in read_recorded(file):
        try:
            scored = score_anew(episode, _changed(episode.config, changes))
        except ValueError as error:
            raise DataFileError(str(error), file, number) from error
        comparison.add(episode, scored)
        yield scored


def _parsed_rule(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--rule must be NAME=VALUE, such as --rule min_question_words=6, got {text!r}")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value.strip()


def _changed(config: Any, changes: Mapping[str, Any]) -> Any:
    """Replace options of a dataclass; a dot leads into an option that has options itself."""
    known = {field.name for field in fields(config)}
    own: dict[str, Any] = {}
    for name, value in changes.items():
        head, _, rest = name.partition(".")
        if head not in known or (rest and not is_dataclass(getattr(config, head))):
            raise ValueError(f"no rule is called {name!r}; there are: {', '.join(sorted(known))}")
        own[head] = _changed(own.get(head, getattr(config, head)), {rest: value}) if rest else value
        if not _fits(own[head], getattr(config, head)):
            raise ValueError(
                f"expected {type(getattr(config, head)).__name__} for the rule {name}, got {value!r}"
            )
    return replace(config, **own)


def _fits(value: object, current: object) -> bool:
    if isinstance(current, bool) or isinstance(value, bool):
        return isinstance(current, bool) and isinstance(value, bool)
    if isinstance(current, float):
        return isinstance(value, int | float)
    return current is None or isinstance(value, type(current))


def _print_comparison(console: Console, comparison: Comparison) -> None:
    reasons = Table("reason", title="Games", title_justify="left")
    for heading in ("before", "after"):
        reasons.add_column(heading, justify="right")
    for reason in sorted({*comparison.before, *comparison.after}):
        reasons.add_row(reason, str(comparison.before[reason]), str(comparison.after[reason]))
    console.print(reasons)
    if comparison.changes:
        changes = Table("from", "to", title="Changes", title_justify="left")
        changes.add_column("games", justify="right")
        for (old, new), count in comparison.changes.most_common():
            changes.add_row(old, new, str(count))
        console.print(changes)
    rewards = Table(
        "seat", title=f"Mean reward over {comparison.compared} games scored both ways", title_justify="left"
    )
    for heading in ("before", "after"):
        rewards.add_column(heading, justify="right")
    for seat, sums in comparison.rewards.items():
        rewards.add_row(seat, *(f"{value / comparison.compared:.3f}" for value in sums))
    console.print(rewards)
    for why, count in comparison.missing.most_common():
        print_text(console, f"unknown in {count} games: {why}")
