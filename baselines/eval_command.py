"""`ssp eval`: players side by side in both roles, or a tiny checkpoint's held-out accuracy by hops."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from agents.command_options import (
    Answers,
    APIKeyVariable,
    Concurrency,
    Hops,
    MaxNewTokens,
    PromptStyle,
    Seed,
    WorldIndex,
    WorldPreset,
    checked_prompts,
    open_from_options,
)
from agents.player_names import is_local_model
from agents.sampling_params import DEFAULT_TEMPERATURE
from ssp_env.cli.options import Corpus, IndexDirectory, Search
from ssp_env.cli.rules import (
    Attempts,
    MaxTurns,
    RAGCheck,
    RulesFile,
    RuleValues,
    TopK,
    given_on_command_line,
    read_rules,
)

if TYPE_CHECKING:
    from baselines.agent_measurement import Measurement

HELDOUT_QUESTIONS = 240
READ_WITHOUT_GAMES = {
    *("players", "world", "known", "temperature", "seed", "threads", "games"),
    *("attempts", "top_k", "max_turns", "rag_check", "rules", "rule"),
}


def evaluate(
    context: typer.Context,
    players: Annotated[
        list[str],
        typer.Argument(
            help="With --games: players as in `ssp play`, each plays both roles. Without: one folder of a "
            "tiny model, for instance runs/NAME/final."
        ),
    ],
    games: Annotated[
        int | None,
        typer.Option(
            help="Compare the players; each asks and answers in so many games, 0 for known questions alone.",
            min=0,
        ),
    ] = None,
    world: WorldPreset = "tiny",
    world_index: WorldIndex = None,
    corpus: Corpus = None,
    index: IndexDirectory = None,
    search: Search = None,
    answers: Answers = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="Question set for a corpus or an index (JSONL); a world has its own."),
    ] = None,
    known: Annotated[
        int | None,
        typer.Option(
            help="Questions with a known answer: as many as games by default, and without --games "
            f"{HELDOUT_QUESTIONS} per number of hops.",
            min=0,
        ),
    ] = None,
    reader: Annotated[
        str,
        typer.Option(
            help="Who reads in the RAG check of all players; by default each player itself, and `perfect` "
            "for a scripted one."
        ),
    ] = "",
    hops: Hops = 2,
    attempts: Attempts = None,
    top_k: TopK = None,
    max_turns: MaxTurns = None,
    rag_check: RAGCheck = None,
    rules: RulesFile = None,
    rule: RuleValues = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help=f"Of sampling, 0 is greedy; {DEFAULT_TEMPERATURE} by default, and 1 without --games.",
            min=0.0,
        ),
    ] = None,
    max_new_tokens: MaxNewTokens = None,
    prompts: PromptStyle = "",
    api_key_variable: APIKeyVariable = "OPENAI_API_KEY",
    concurrency: Concurrency = 16,
    seed: Seed = 0,
    threads: Annotated[int, typer.Option(help="CPU threads of torch.", min=1)] = 2,
    out: Annotated[
        Path | None,
        typer.Option(help="Keep the games in this folder; the same command goes on where it was stopped."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the table here too.")] = None,
) -> None:
    """Compare players in both roles (--games), or measure a tiny policy on held-out questions by hops."""
    given = read_rules(rules, rule, attempts=attempts, top_k=top_k, max_turns=max_turns, rag_check=rag_check)
    if games is None:
        _check_by_hops(context, players)
        temperature = 1.0 if temperature is None else temperature
        _print_by_hops(players[0], world, known or HELDOUT_QUESTIONS, temperature, seed, threads, given)
        return
    if repeated := sorted({player for player in players if players.count(player) > 1}):
        raise ValueError(f"expected different players, got {', '.join(repeated)} more than once")
    if games == 0 and not known and not questions:
        raise ValueError("--games 0 leaves known questions alone: say how many with --known N")
    from agents.player_names import PlayerOptions
    from baselines.agent_measurement import Measurement
    from baselines.agent_tasks import AgentTasks

    scenario = open_from_options(
        world=world, split="heldout", world_index=world_index, corpus=corpus, index=index, search=search,
        answers=answers, questions=questions, hops=hops, seed=seed, rules=given,
    )  # fmt: skip
    asked_about = scenario.world is not None or questions is not None
    known = (games or len(scenario.questions) if asked_about else 0) if known is None else known
    _prepare_models(players, threads)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    measurement = Measurement(
        AgentTasks.draw(scenario, games=games, known=known, seed=seed),
        reader,
        seed,
        DEFAULT_TEMPERATURE if temperature is None else temperature,
        max_new_tokens,
        PlayerOptions(
            prompts=checked_prompts(prompts),
            protocol=given.get("protocol", "default"),
            api_key_variable=api_key_variable,
            concurrency=concurrency,
        ),
        out,
    )
    _print_side_by_side(measurement, players, json_file)


def _print_side_by_side(measurement: Measurement, players: list[str], json_file: Path | None) -> None:
    from agents.smollm2 import SmolLM2Missing
    from baselines.agent_table import agent_table, table_data

    console = Console()
    asked, known = measurement.tasks.asked, measurement.tasks.known
    counts = f"{len(asked)} games, {len(known)} known questions; seed {measurement.seed}"
    what = f"{measurement.tasks.scenario.description}; {counts}"
    rows = {}
    for player in players:
        try:
            with _bar(player, len(asked) + len(known)) as advance:
                rows[player] = measurement.run(player, advance)
        except SmolLM2Missing as missing:
            sys.exit(f"ssp: {missing}")
        # After every player, so that a later one that fails loses nothing.
        if json_file is not None:
            json_file.write_text(
                json.dumps(table_data(rows, played=what, **measurement.options()), indent=2) + "\n"
            )
    console.print(agent_table(rows, what))
    for player, figures in rows.items():
        for failure, count in figures.failures.items():
            console.print(
                f"{player}: {count} failed of {failure}", style="red", highlight=False, markup=False
            )


@contextmanager
def _bar(player: str, games: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # On stderr, so that the table alone can be kept.
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(player, total=games)
        yield lambda: bar.advance(task)


def _prepare_models(players: list[str], threads: int) -> None:
    """Set up torch if any player is a model of transformers; others load none of it."""
    if not any(map(is_local_model, players)):
        return
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()


# -- by hops ---------------------------------------------------------------------------------------------


def _check_by_hops(context: typer.Context, players: list[str]) -> None:
    given = {name for name in context.params if given_on_command_line(context, name)}
    if unread := sorted(given - READ_WITHOUT_GAMES):
        options = ", ".join(
            "--json" if name == "json_file" else f"--{name.replace('_', '-')}" for name in unread
        )
        raise ValueError(f"{options} compare players over games: say how many with --games N")
    if len(players) > 1:
        raise ValueError(f"expected one folder of a tiny model, or --games N, got {len(players)} players")


def _print_by_hops(
    checkpoint: str,
    world: str,
    questions: int,
    temperature: float,
    seed: int,
    threads: int,
    rules: Mapping[str, Any],
) -> None:
    from agents.tiny_model import load
    from agents.tiny_policy import TinyPolicy
    from baselines.evaluation import evaluate as measure
    from ssp_env.game.config import TERSE_RULES

    _prepare_models([checkpoint], threads)
    model, tokenizer = load(Path(checkpoint))
    config = TERSE_RULES.changed(rules)
    policy = TinyPolicy(model, tokenizer, temperature=temperature, seed=seed)
    table = Table(title=f"Held-out accuracy of {checkpoint}")
    for heading in ("hops", "pass@1", "95 % interval", "questions", "searches"):
        table.add_column(heading, justify="right")
    for hops, accuracy in measure(policy, world, config, questions=questions).items():
        low, high = accuracy.ci95
        table.add_row(
            str(hops),
            f"{accuracy.pass_at_1:.3f}",
            f"{low:.3f} .. {high:.3f}",
            str(accuracy.n),
            f"{accuracy.searches:.2f}",
        )
    Console().print(table)
