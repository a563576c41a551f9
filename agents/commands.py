"""The command of `ssp` that plays games: `play`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from agents.command_options import (
    Answers,
    APIKeyVariable,
    Attempts,
    Concurrency,
    Corpus,
    MaxNewTokens,
    PromptStyle,
    Seed,
    checked_prompts,
)
from agents.player_names import PlayerOptions, is_local_model, possible_names
from agents.players import Cast, names_by_role
from agents.sampling_params import DEFAULT_TEMPERATURE
from agents.session import play_session
from agents.setting import Setting, corpus_setting, rules, world_setting
from agents.smollm2 import SmolLM2Missing
from ssp_env.game import PROTOCOLS, GameConfig
from ssp_env.worlds import MAX_HOPS, WORLD_PRESETS

if TYPE_CHECKING:
    from agents.chat_endpoint import Ledger

_PROTOCOLS = [name for name in PROTOCOLS if name != "terse"]


def play(
    world: Annotated[str, typer.Option(help=f"World to search in: {', '.join(WORLD_PRESETS)}.")] = "tiny",
    corpus: Corpus = None,
    answers: Answers = None,
    proposer: Annotated[
        str, typer.Option(help=f"Who writes questions: {possible_names('proposer')}.")
    ] = "strong",
    solver: Annotated[str, typer.Option(help=f"Who answers them: {possible_names('solver')}.")] = "weak",
    reader: Annotated[
        str,
        typer.Option(
            help="Who reads in the RAG check; by default the solver, or another if it is scripted or human: "
            f"{possible_names('reader')}."
        ),
    ] = "",
    games: Annotated[int, typer.Option(help="Games to play.", min=1)] = 3,
    attempts: Attempts = 1,
    hops: Annotated[int, typer.Option(help="Hops to ask for.", min=1, max=MAX_HOPS)] = 2,
    top_k: Annotated[int, typer.Option(help="Passages per search.", min=1)] = 3,
    max_turns: Annotated[int, typer.Option(help="Turns per player.", min=1)] = 6,
    min_searches: Annotated[int, typer.Option(help="Searches a valid question needs.", min=0)] = 2,
    min_question_words: Annotated[
        int | None, typer.Option(help="Words a valid question needs; 10, or 4 in a terse world.", min=0)
    ] = None,
    rag_check: Annotated[
        bool, typer.Option("--rag-check/--no-rag-check", help="Whether questions must pass the RAG check.")
    ] = True,
    closed_book: Annotated[
        bool,
        typer.Option("--closed-book", help="Refuse questions that the reader answers without any passage."),
    ] = False,
    uniqueness: Annotated[
        bool, typer.Option("--uniqueness", help="Refuse questions for which the reader lists a wrong answer.")
    ] = False,
    prompts: PromptStyle = "",
    protocol: Annotated[
        str, typer.Option(help=f"Tags or tool calls of games that are not terse: {', '.join(_PROTOCOLS)}.")
    ] = "default",
    temperature: Annotated[
        float, typer.Option(help="Temperature of language models.", min=0.0)
    ] = DEFAULT_TEMPERATURE,
    max_new_tokens: MaxNewTokens = None,
    max_cost: Annotated[
        float | None, typer.Option(help="US dollars that chat endpoints may cost; needs --prices.")
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            help='Prices of models, JSON: {"MODEL": {"prompt": 0.1, "completion": 0.4}}, in dollars per '
            "million tokens."
        ),
    ] = None,
    api_key_variable: APIKeyVariable = "OPENAI_API_KEY",
    concurrency: Concurrency = 16,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Write the games to this new JSON Lines file.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the table only, not the games.")] = False,
) -> None:
    """Play games of search self-play and show them."""
    if answers is not None and corpus is None:
        raise ValueError("--answers needs a corpus to search in: add --corpus FILE")
    if out is not None and out.exists():
        raise ValueError(f"{out} exists already: choose another file for --out, or delete it")
    config = GameConfig(
        protocol=protocol,
        attempts=attempts,
        top_k=top_k,
        min_searches=min_searches,
        rag_check=rag_check,
        closed_book=closed_book,
        uniqueness=uniqueness,
    ).with_budget(max_turns=max_turns)
    console = Console()
    with console.status("Opening the world" if corpus is None else f"Indexing {corpus}"):
        setting = _setting(world, corpus, answers, games, hops, seed)
    names = names_by_role(proposer, solver, reader)
    with console.status("Loading the players"):
        options = PlayerOptions(
            prompts=checked_prompts(prompts), protocol=protocol, api_key_variable=api_key_variable,
            concurrency=concurrency, ledger=_ledger(names, prices, max_cost),
        )  # fmt: skip
        players = _cast(
            names, setting.terse, options,
            seed=seed, temperature=temperature, max_new_tokens=max_new_tokens,
        )  # fmt: skip
    config = rules(players.prompts, setting.terse, config)
    if min_question_words is not None:
        config = replace(config, min_question_words=min_question_words)
    named = ", ".join(f"{role} {name}" for role, name in names.items())
    console.print(f"{named}; {setting.description}; seed {seed}", highlight=False, markup=False)
    table = play_session(console, players, setting, config, seed=seed, out=out, quiet=quiet)
    _print_figures(console, table, options.ledger, out)


def _setting(
    world: str, corpus: Path | None, answers: Path | None, games: int, hops: int, seed: int
) -> Setting:
    if corpus is None:
        return world_setting(world, games, hops, seed)
    return corpus_setting(corpus, answers, games, hops, seed)


def _cast(names: dict[str, str], terse: bool, options: PlayerOptions, **sampling: Any) -> Cast:
    if any(map(is_local_model, names.values())):
        import transformers

        # Its bars would be drawn across ours.
        transformers.utils.logging.disable_progress_bar()
    try:
        return Cast(names, options=options, default_prompts="terse" if terse else "english", **sampling)
    except SmolLM2Missing as missing:
        sys.exit(f"ssp: {missing}")


def _ledger(names: dict[str, str], prices: Path | None, max_cost: float | None) -> Ledger | None:
    """Where all endpoints' usage is added up; None if there are none, and no use for what they need."""
    models = [name.removeprefix("chat:") for name in names.values() if name.startswith("chat:")]
    if not models:
        return None
    from agents.chat_endpoint import Ledger, read_prices

    ledger = Ledger(read_prices(prices) if prices else None, max_cost)
    for model in models:
        ledger.allow(model.partition("@http")[0])
    return ledger


def _print_figures(console: Console, table: Table, ledger: Ledger | None, out: Path | None) -> None:
    console.print()
    console.print(table)
    if ledger is not None:
        from agents.chat_endpoint.ledger import usage_table

        console.print(usage_table(ledger))
    if out is not None:
        console.print(f"games written to {out}", highlight=False, markup=False)
