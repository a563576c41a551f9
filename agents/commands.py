"""The command of `ssp` that plays games: `play`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from agents.command_options import (
    Answers,
    APIKeyVariable,
    Concurrency,
    Hops,
    JudgeName,
    MaxNewTokens,
    PromptStyle,
    Seed,
    WorldIndex,
    WorldPreset,
    open_from_options,
    player_options,
)
from agents.judges import judge_by_name
from agents.player_names import PlayerOptions, Prompts, is_local_model, possible_names
from agents.players import Cast, names_by_role
from agents.sampling_params import DEFAULT_TEMPERATURE
from agents.session import play_session
from agents.smollm2 import SmolLM2Missing
from ssp_env.cli.options import Corpus, IndexDirectory, Search
from ssp_env.cli.progress import waiting
from ssp_env.cli.rules import Attempts, MaxTurns, RAGCheck, RulesFile, RuleValues, TopK, read_rules
from ssp_env.game import PROTOCOLS
from ssp_env.play import ReplyError

if TYPE_CHECKING:
    from agents.chat_endpoint import Ledger

_PROTOCOLS = [name for name in PROTOCOLS if name != "terse"]
ProposerName = Annotated[str, typer.Option(help=f"Who writes questions: {possible_names('proposer')}.")]
SolverName = Annotated[str, typer.Option(help=f"Who answers them: {possible_names('solver')}.")]
ReaderName = Annotated[
    str,
    typer.Option(
        help="Who reads in the RAG check; by default the solver, or another if it is scripted or human: "
        f"{possible_names('reader')}."
    ),
]
Games = Annotated[int, typer.Option(help="Games to play.", min=1)]
ProtocolName = Annotated[
    str | None,
    typer.Option(help=f"Tags or tool calls of games that are not terse: {', '.join(_PROTOCOLS)}."),
]
Temperature = Annotated[float, typer.Option(help="Temperature of language models.", min=0.0)]
MaxCost = Annotated[
    float | None, typer.Option(help="US dollars that chat endpoints may cost; needs --prices.")
]
Prices = Annotated[
    Path | None,
    typer.Option(
        help='Prices of models, JSON: {"MODEL": {"prompt": 0.1, "completion": 0.4}}, in dollars per '
        "million tokens."
    ),
]
Out = Annotated[Path | None, typer.Option(help="Write the games to this new JSON Lines file.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the table only, not the games.")]


def play(
    world: WorldPreset = None,
    world_index: WorldIndex = None,
    corpus: Corpus = None,
    index: IndexDirectory = None,
    search: Search = None,
    answers: Answers = None,
    proposer: ProposerName = "strong",
    solver: SolverName = "weak",
    reader: ReaderName = "",
    judge: JudgeName = None,
    games: Games = 3,
    hops: Hops = 2,
    attempts: Attempts = None,
    top_k: TopK = None,
    max_turns: MaxTurns = None,
    rag_check: RAGCheck = None,
    rules: RulesFile = None,
    rule: RuleValues = None,
    prompts: PromptStyle = "",
    protocol: ProtocolName = None,
    temperature: Temperature = DEFAULT_TEMPERATURE,
    max_new_tokens: MaxNewTokens = None,
    max_cost: MaxCost = None,
    prices: Prices = None,
    api_key_variable: APIKeyVariable = "OPENAI_API_KEY",
    concurrency: Concurrency = 16,
    seed: Seed = 0,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Play games of search self-play and show them; the exit status is 1 if every game failed."""
    if out is not None and out.exists():
        raise ValueError(f"{out} exists already: choose another file for --out, or delete it")
    own = {"attempts": attempts, "top_k": top_k, "max_turns": max_turns, "rag_check": rag_check}
    given = read_rules(rules, rule, **own, protocol=protocol, judge=True if judge else None)
    scenario = open_from_options(
        world=world, split="train", world_index=world_index, corpus=corpus, index=index, search=search,
        answers=answers, hops=(hops,), seed=seed, rules=given,
    )  # fmt: skip
    names = names_by_role(proposer, solver, reader)
    sampling = {"seed": seed, "temperature": temperature, "max_new_tokens": max_new_tokens}
    with waiting("loading the players"):
        ledger = _ledger(names, prices, max_cost)
        options = player_options(prompts, given, api_key_variable, concurrency, ledger=ledger)
        players = _cast(names, scenario.rules.prompts, options, **sampling)
    scenario = players.in_scenario(scenario)
    console = Console()
    _print_opening(console, names, f"{scenario.description}; seed {seed}")
    try:
        table, has_failed = play_session(
            console, players, scenario, scenario.draw_tasks(games, seed),
            judge=judge_by_name(judge, options) if judge else None, seed=seed, out=out, quiet=quiet,
        )  # fmt: skip
    except ReplyError as error:
        raise ValueError(str(error)) from error
    _print_figures(console, table, ledger, out)
    if has_failed:
        raise typer.Exit(1)


def _cast(names: dict[str, str], prompts: str, options: PlayerOptions, **sampling: Any) -> Cast:
    if any(map(is_local_model, names.values())):
        import transformers

        # Its bars would be drawn across ours.
        transformers.utils.logging.disable_progress_bar()
    try:
        return Cast(names, options=options, default_prompts=cast(Prompts, prompts), **sampling)
    except SmolLM2Missing as missing:
        sys.exit(f"ssp: {missing}")


def _ledger(names: dict[str, str], prices: Path | None, max_cost: float | None) -> Ledger | None:
    """Return the ledger that adds up the usage of all chat endpoints; None if no player is behind one."""
    models = [name.removeprefix("chat:") for name in names.values() if name.startswith("chat:")]
    if not models:
        return None
    from agents.chat_endpoint import Ledger, read_prices

    ledger = Ledger(read_prices(prices) if prices else None, max_cost)
    for model in models:
        ledger.allow(model.partition("@http")[0])
    return ledger


def _print_opening(console: Console, names: dict[str, str], played: str) -> None:
    # Whoever reads is named, because an own solver that reads badly lets no question pass.
    shown = {**names, "reader": names.get("reader", names["solver"])}
    named = ", ".join(f"{role} {name}" for role, name in shown.items())
    console.print(f"{named}; {played}", highlight=False, markup=False)


def _print_figures(console: Console, table: Table, ledger: Ledger | None, out: Path | None) -> None:
    console.print()
    console.print(table)
    if ledger is not None:
        from agents.chat_endpoint.ledger import usage_table

        console.print(usage_table(ledger))
    if out is not None:
        console.print(f"games written to {out}", highlight=False, markup=False)
