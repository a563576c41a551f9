"""The command of `ssp` that plays games: `play`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agents.players import SMOLLM2, Cast
from agents.scripted import SCRIPTED
from agents.session import play_session
from agents.setting import corpus_setting, rules, world_setting
from agents.smollm2 import SmolLM2Missing
from ssp_env.game import GameConfig
from ssp_env.worlds import WORLD_PRESETS


def _player(role: str) -> str:
    return f"{', '.join(SCRIPTED[role])} (scripted), {SMOLLM2}, or a folder with a checkpoint."


def play(
    world: Annotated[str, typer.Option(help=f"World to search in: {', '.join(WORLD_PRESETS)}.")] = "tiny",
    corpus: Annotated[
        Path | None, typer.Option(help="Search this corpus (JSONL or JSONL.gz) instead of a world.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="Answers to ask for; without it, short page titles of the corpus.")
    ] = None,
    proposer: Annotated[str, typer.Option(help=f"Who writes questions: {_player('proposer')}")] = "strong",
    solver: Annotated[str, typer.Option(help=f"Who answers them: {_player('solver')}")] = "weak",
    reader: Annotated[
        str,
        typer.Option(
            help="Who reads in the RAG check; if not given, the solver, or `perfect` if that is scripted: "
            f"{_player('reader')}"
        ),
    ] = "",
    games: Annotated[int, typer.Option(help="Games to play.", min=1)] = 3,
    attempts: Annotated[int, typer.Option(help="Solver attempts per question.", min=1)] = 1,
    hops: Annotated[int, typer.Option(help="Hops to ask for.", min=1, max=4)] = 2,
    top_k: Annotated[int, typer.Option(help="Passages per search.", min=1)] = 3,
    max_turns: Annotated[int, typer.Option(help="Turns per player.", min=1)] = 6,
    min_searches: Annotated[int, typer.Option(help="Searches a valid question needs.", min=0)] = 2,
    min_words: Annotated[
        int | None, typer.Option(help="Words a valid question needs; 10, or 4 in a terse world.", min=0)
    ] = None,
    rag_check: Annotated[
        bool, typer.Option("--rag-check/--no-rag-check", help="Whether questions must pass the RAG check.")
    ] = True,
    closed_book: Annotated[
        bool, typer.Option("--closed-book", help="Refuse questions the reader answers without any page.")
    ] = False,
    uniqueness: Annotated[
        bool, typer.Option("--uniqueness", help="Refuse questions for which the reader lists a wrong answer.")
    ] = False,
    temperature: Annotated[float, typer.Option(help="Temperature of language models.", min=0.0)] = 0.7,
    seed: Annotated[int, typer.Option(help="Fixes the world, the tasks and every choice.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the games to this new JSON Lines file.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the table only, not the games.")] = False,
) -> None:
    """Play games of search self-play and show them."""
    if answers is not None and corpus is None:
        raise ValueError("--answers needs a corpus to search in: add --corpus FILE")
    if out is not None and out.exists():
        raise ValueError(f"{out} exists already: choose another file for --out, or delete it")
    config = GameConfig(
        attempts=attempts,
        top_k=top_k,
        min_searches=min_searches,
        rag_check=rag_check,
        closed_book=closed_book,
        uniqueness=uniqueness,
    ).with_budget(max_turns=max_turns)
    console = Console()
    # Scripted solvers are too weak to read: few questions would pass their check.
    reader = reader or ("perfect" if solver in SCRIPTED["solver"] else "")
    names = {"proposer": proposer, "solver": solver, **({"reader": reader} if reader else {})}
    with console.status("Opening the world" if corpus is None else f"Indexing {corpus}"):
        setting = (
            world_setting(world, games, hops, seed)
            if corpus is None
            else corpus_setting(corpus, answers, games, hops, seed)
        )
    with console.status("Loading the players"):
        cast = _cast(names, seed, temperature)
    config = rules(cast.prompts, setting.terse, config)
    if min_words is not None:
        config = replace(config, min_words=min_words)
    players = ", ".join(f"{role} {name}" for role, name in names.items())
    console.print(f"{players}; {setting.description}; seed {seed}", highlight=False, markup=False)
    table = play_session(console, cast, setting, config, seed=seed, out=out, quiet=quiet)
    console.print()
    console.print(table)
    if out is not None:
        console.print(f"games written to {out}", highlight=False, markup=False)


def _cast(names: dict[str, str], seed: int, temperature: float) -> Cast:
    if set(names.values()) - {strength for strengths in SCRIPTED.values() for strength in strengths}:
        import transformers

        # Its bars would be drawn across ours.
        transformers.utils.logging.disable_progress_bar()
    try:
        return Cast(names, seed=seed, temperature=temperature)
    except SmolLM2Missing as missing:
        sys.exit(f"ssp: {missing}")
