"""The commands of `ssp` that work on recorded games: `replay`, `rescore` and `export`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ssp_env.data.lines import DataFileError
from ssp_env.game.rewards import REWARD_SHAPES
from ssp_env.game.view import ROLES, Role
from ssp_env.records import Comparison, Episode, EpisodeWriter, numbered_episodes
from ssp_env.records import rescore as score_anew
from ssp_env.records.export import (
    TRAINED_ROLES,
    chat_rows,
    game_rows,
    trajectory_rows,
    verl_rows,
    write_jsonl,
)
from ssp_env.records.replay import difference_from, retold
from ssp_env.viewer.terminal import print_game
from ssp_env.viewer.text import visible

File = Annotated[
    Path, typer.Argument(help="Recorded games: JSON Lines, plain or gzipped.", show_default=False)
]
_DIFFERENCE_CHARACTERS = 600


def replay(
    file: File,
    game: Annotated[
        str, typer.Option("--game", help="Also print the game with this id, as `ssp play` does.")
    ] = "",
) -> None:
    """Play recorded games again and check that events and outcomes come out to the byte as recorded.

    Ends with status 1 if any game differs.
    """
    console = Console()
    reproduced: Counter[str] = Counter()
    differing: Counter[str] = Counter()
    found = False
    for number, episode in _read(file):
        reason = "unknown" if episode.outcome is None else str(episode.outcome["reason"])
        try:
            told = retold(episode).game
            difference = difference_from(episode, told)
        except ValueError as error:
            told, difference = None, str(error)
        (differing if difference else reproduced)[reason] += 1
        if difference:
            _print(console, f"{file}:{number}: game {episode.game_id} differs at {_short(difference)}", "red")
        if game and episode.game_id == game:
            found = True
            if told is not None and told.outcome is not None:
                print_game(console, told)
    if game and not found:
        raise ValueError(f"{file}: no game with the id {game!r}; every line has its id as game_id")
    console.print(_replay_table(file, reproduced, differing))
    if differing:
        raise typer.Exit(1)


def rescore(
    file: File,
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
        _print(console, f"rescored games written to {out}")


def export(
    file: File,
    to: Annotated[
        Literal["chat", "parquet", "verl"],
        typer.Option(
            "--to",
            help="chat: JSON Lines with `messages`, one row per conversation. parquet: a folder with "
            "games.parquet and trajectories.parquet. verl: Parquet of valid questions in verl's columns.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="New file, or new folder for `parquet`.", show_default=False)],
    role: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Whose conversations: {', '.join(ROLES)}; may be repeated. Without it, "
            f"{' and '.join(TRAINED_ROLES)}.",
            show_default=False,
        ),
    ] = None,
    tool_role: Annotated[
        Literal["tool", "user"],
        typer.Option(help="Role of search results; `user` for chat templates that know no `tool`."),
    ] = "tool",
    data_source: Annotated[str, typer.Option(help="Name of the data source in verl rows.")] = "ssp_env",
) -> None:
    """Write recorded games as training data, without the conversations of games that failed."""
    roles = cast(list[Role], role or list(TRAINED_ROLES))
    if unknown := set(roles) - set(ROLES):
        raise ValueError(f"--role must be one of {', '.join(ROLES)}, got {', '.join(sorted(unknown))}")
    console = Console()
    if to == "chat":
        count = write_jsonl(chat_rows(_episodes(file), roles, tool_role), out)
        _print(console, f"{count} conversations written to {out}")
        return
    from ssp_env.records.parquet import games_schema, trajectories_schema, verl_schema, write_parquet

    if to == "verl":
        count = write_parquet(verl_rows(_episodes(file), data_source), out, verl_schema())
        _print(console, f"{count} questions written to {out}")
        return
    games, trajectories = games_schema(), trajectories_schema()
    out.mkdir(parents=True, exist_ok=True)
    counts = (
        write_parquet(game_rows(_episodes(file)), out / "games.parquet", games),
        write_parquet(
            trajectory_rows(_episodes(file), roles, tool_role), out / "trajectories.parquet", trajectories
        ),
    )
    _print(console, f"{counts[0]} games and {counts[1]} conversations written to {out}")


def _read(file: Path) -> Iterator[tuple[int, Episode]]:
    """Stream a file; a torn last line is left out with a warning on stderr."""
    warn = partial(_print, Console(stderr=True), style="yellow")
    yield from numbered_episodes(file, on_torn=lambda torn: warn(f"ssp: {torn}; left out"))


def _episodes(file: Path) -> Iterator[Episode]:
    """Stream a file for use that ends at the first record that does not replay, with its line named."""
    for number, episode in _read(file):
        try:
            retold(episode)
        except ValueError as error:
            raise DataFileError(str(error), file, number) from error
        yield episode


def _rescored(file: Path, changes: Mapping[str, Any], comparison: Comparison) -> Iterator[Episode]:
    for number, episode in _read(file):
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


def _replay_table(file: Path, reproduced: Counter[str], differing: Counter[str]) -> Table:
    total = reproduced.total() + differing.total()
    table = Table("recorded reason", title=f"{file}: {total} games", title_justify="left")
    for heading in ("games", "reproduced", "different"):
        table.add_column(heading, justify="right")
    for reason, games in (reproduced + differing).most_common():
        table.add_row(reason, str(games), str(reproduced[reason]), str(differing[reason]))
    table.add_section()
    table.add_row("all", str(total), str(reproduced.total()), str(differing.total()))
    return table


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
        _print(console, f"unknown in {count} games: {why}")


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(Text(visible(text), style=style), soft_wrap=True)


def _short(text: str) -> str:
    return text if len(text) <= _DIFFERENCE_CHARACTERS else text[: _DIFFERENCE_CHARACTERS - 1] + "…"
