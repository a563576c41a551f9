"""`ssp league`: proposers and solvers in round robin."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from agents.command_options import (
    Answers,
    APIKeyVariable,
    Concurrency,
    MaxNewTokens,
    PromptStyle,
    Seed,
    WorldIndex,
    WorldPreset,
    open_from_options,
    player_options,
)
from agents.sampling_params import DEFAULT_TEMPERATURE
from agents.scripted import SCRIPTED
from baselines.evaluation.preparation import prepare_models
from baselines.runs.files import WARM_START
from ssp_env.cli.options import Corpus, IndexDirectory, Search, print_text, table
from ssp_env.cli.progress import counted, waiting
from ssp_env.cli.rules import Attempts, MaxTurns, RulesFile, RuleValues, TopK, read_rules
from ssp_env.worlds import MAX_HOPS

if TYPE_CHECKING:
    from baselines.league.cross_play import CrossPlay
    from baselines.league.ratings import Rating, Trend

VERSION = 1
"""Of the form of `league.json`."""
_MOST_COLUMNS = 8

Players = Annotated[
    list[str] | None, typer.Argument(help="Players that take part in both roles, named as in `ssp play`.")
]
Proposers = Annotated[
    list[str] | None, typer.Option("--proposer", help="A player that proposes only. May be repeated.")
]
Solvers = Annotated[
    list[str] | None, typer.Option("--solver", help="A player that solves only. May be repeated.")
]
Run = Annotated[
    Path | None,
    typer.Option(
        help="A run with models of many steps, RUN/models (ssp train --set models_every=20): they and its "
        "warm start take part in both roles, and are followed from the first to the last."
    ),
]
ReaderName = Annotated[
    str,
    typer.Option(help="Who reads in every RAG check; `perfect` reads the terse game, others must be named."),
]
Games = Annotated[int, typer.Option(help="Questions that each proposer writes.", min=2)]
Worlds = Annotated[int, typer.Option(help="Generated worlds that the questions are spread over.", min=1)]
HopCounts = Annotated[
    list[int] | None,
    typer.Option(
        "--hops", help="Number of hops; may be repeated. By default 1, 2 and 3.", min=1, max=MAX_HOPS
    ),
]
Temperature = Annotated[float, typer.Option(help="Sampling temperature of language models.", min=0.0)]
Threads = Annotated[int, typer.Option(help="CPU threads of torch.", min=1)]
Out = Annotated[
    Path,
    typer.Option(help="Folder of games, tables and pictures; the same command goes on where it stopped."),
]


def league(
    players: Players = None,
    proposer: Proposers = None,
    solver: Solvers = None,
    run: Run = None,
    reader: ReaderName = "perfect",
    games: Games = 60,
    world: WorldPreset = None,
    world_index: WorldIndex = None,
    worlds: Worlds = 10,
    corpus: Corpus = None,
    index: IndexDirectory = None,
    search: Search = None,
    answers: Answers = None,
    hops: HopCounts = None,
    attempts: Attempts = None,
    top_k: TopK = None,
    max_turns: MaxTurns = None,
    rules: RulesFile = None,
    rule: RuleValues = None,
    prompts: PromptStyle = "",
    temperature: Temperature = DEFAULT_TEMPERATURE,
    max_new_tokens: MaxNewTokens = None,
    api_key_variable: APIKeyVariable = "OPENAI_API_KEY",
    concurrency: Concurrency = 16,
    threads: Threads = 2,
    seed: Seed = 0,
    out: Out = Path("runs/league"),
) -> None:
    """Let every proposer play every solver over the same tasks: cross-play, ratings, exploitability."""
    followed = models_of(run) if run else []
    both = [*(players or []), *followed]
    sides = ([*both, *(proposer or [])], [*both, *(solver or [])])
    _check(sides, reader)
    given = read_rules(rules, rule, attempts=attempts, top_k=top_k, max_turns=max_turns)
    first = seed if world_index is None else world_index
    opened = [
        open_from_options(
            world=world, split="heldout", world_index=first + number, corpus=corpus, index=index,
            search=search, answers=answers, hops=hops or (1, 2, 3), seed=seed, rules=given,
        )
        for number in range(1 if answers or corpus or index or search else worlds)
    ]  # fmt: skip
    prepare_models([*sides[0], *sides[1], reader], threads)
    from baselines.league.rounds import RoundRobin, spread_tasks

    options = player_options(prompts, given, api_key_variable, concurrency)
    robin = RoundRobin(
        *spread_tasks(opened, games, seed), reader, out, seed=seed, temperature=temperature,
        max_new_tokens=max_new_tokens, players=options,
    )  # fmt: skip
    # Invalid questions are not answered: fewer games may be played.
    with counted("games", games * len(sides[0]) * (1 + len(sides[1]))) as advance:
        played = robin.play(*sides, lambda name: advance())
    _report(
        played, followed, out, {"reader": reader, "temperature": temperature, "seed": seed, "rules": given}
    )


def models_of(run: Path) -> list[str]:
    """Return the warm start and the models that a run has kept along the way, the first step first.

    Raises:
        ValueError: If there are fewer than two.
    """
    found = sorted(str(folder) for folder in (run / "models").glob("[0-9]*") if folder.is_dir())
    if len(found) < 2:
        raise ValueError(
            f"expected at least two models in {run / 'models'}, found {len(found)}: train with "
            "--set models_every=20, which keeps the model of every 20th step"
        )
    start = run / WARM_START
    return [str(start), *found] if start.is_dir() else found


def _check(sides: tuple[Sequence[str], Sequence[str]], reader: str) -> None:
    for role, names in zip(("proposer", "solver"), sides, strict=True):
        if not names:
            raise ValueError(
                f"a league needs at least one {role}: name players, --proposer and --solver, or --run RUN"
            )
        others = {name for one in ("proposer", "solver") for name in SCRIPTED[one]} - set(SCRIPTED[role])
        if wrong := [name for name in names if name in others]:
            other = "solver" if role == "proposer" else "proposer"
            raise ValueError(f"{wrong[0]} is no {role}: name it with --{other} alone")
    if not reader:
        raise ValueError("a league needs one reader for all: name it with --reader")


def _report(played: CrossPlay, followed: Sequence[str], out: Path, options: Mapping[str, Any]) -> None:
    from baselines.league.pictures import draw
    from baselines.league.ratings import rate, trends

    sequence = None
    with waiting("working out ratings"):
        ratings = rate(played)
        if followed:
            sequence = [_step_of(name) for name in followed], trends(played, followed)
    data = {
        "version": VERSION,
        **options,
        **played.to_dict(),
        "ratings": [asdict(rating) for rating in ratings],
        "trends": {role: asdict(trend) for role, trend in (sequence[1] if sequence else {}).items()},
    }
    (out / "league.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    with (out / "cross_play.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["proposer", "valid", *played.solvers])
        for name, valid, shares in zip(played.proposers, played.valid_rates, played.shares, strict=True):
            writer.writerow([name, f"{valid:.4f}", *(f"{share:.4f}" for share in shares)])
    with waiting("drawing"):
        draw(out / "league", played, ratings, sequence)
    _print(played, ratings, sequence, out)


def _step_of(name: str) -> str:
    folder = Path(name).name
    return "0" if folder == WARM_START else folder.lstrip("0")


def _print(
    played: CrossPlay,
    ratings: Sequence[Rating],
    sequence: tuple[Sequence[str], Mapping[str, Trend]] | None,
    out: Path,
) -> None:
    console = Console()
    if len(played.solvers) <= _MOST_COLUMNS:
        shown = table("The solver's share of the points", "proposer", numbers=["valid", *played.solvers])
        for name, valid, shares in zip(played.proposers, played.valid_rates, played.shares, strict=True):
            shown.add_row(name, f"{valid:.2f}", *(f"{share:.2f}" for share in shares))
        console.print(shown)
    rated = table("Ratings", "player", "role", numbers=["Elo", "95 %", "worst share"])
    for one in ratings:
        interval = f"{one.low:.0f} .. {one.high:.0f}"
        rated.add_row(one.name, one.role, f"{one.elo:.0f}", interval, f"{one.worst:.2f}")
    console.print(rated)
    for role, trend in (sequence[1] if sequence else {}).items():
        print_text(
            console,
            f"{role}: the later of two models has more points in {trend.beaten:.0%} of pairs; rank "
            f"correlation of step and points {trend.correlation:.2f}",
        )
    print_text(console, f"tables and pictures: {out}/league.json, cross_play.csv, league.png, league.svg")
