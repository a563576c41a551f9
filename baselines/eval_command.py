"""`ssp eval`: players side by side in both roles, or a tiny checkpoint's held-out accuracy by hops."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
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
from agents.player_names import is_local_model
from agents.sampling_params import DEFAULT_TEMPERATURE
from ssp_env.worlds import MAX_HOPS

if TYPE_CHECKING:
    from baselines.agent_measurement import Measurement
    from baselines.agent_tasks import AgentTasks

HELDOUT_QUESTIONS = 240
READ_WITHOUT_GAMES = {"players", "world", "questions", "temperature", "seed", "threads", "games"}


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
        typer.Option(help="Compare the players; each asks and answers in so many games.", min=1),
    ] = None,
    world: Annotated[str, typer.Option(help="World preset; the worlds are held-out ones.")] = "tiny",
    corpus: Corpus = None,
    answers: Answers = None,
    gold: Annotated[
        Path | None,
        typer.Option(help="Question set for the corpus (JSONL); a world has its own."),
    ] = None,
    questions: Annotated[
        int | None,
        typer.Option(
            help="Questions with a known answer: as many as games by default, and without --games "
            f"{HELDOUT_QUESTIONS} per number of hops.",
            min=1,
        ),
    ] = None,
    reader: Annotated[
        str,
        typer.Option(
            help="Who reads in the RAG check of all players; by default each player itself, and `perfect` "
            "for a scripted one."
        ),
    ] = "",
    hops: Annotated[int, typer.Option(help="Hops of the questions.", min=1, max=MAX_HOPS)] = 2,
    attempts: Attempts = 1,
    max_turns: Annotated[int, typer.Option(help="Turns per role.", min=1)] = 6,
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
    if games is None:
        _check_by_hops(context, players)
        temperature = 1.0 if temperature is None else temperature
        _print_by_hops(players[0], world, questions or HELDOUT_QUESTIONS, temperature, seed, threads)
        return
    from agents.player_names import PlayerOptions
    from baselines.agent_measurement import Measurement
    from ssp_env.game import GameConfig

    if corpus is None and (answers or gold):
        raise ValueError("--answers and --gold need a corpus to search in: add --corpus FILE")
    if repeated := sorted({player for player in players if players.count(player) > 1}):
        raise ValueError(f"expected different players, got {', '.join(repeated)} more than once")
    _prepare_models(players, threads)
    counts = {"games": games, "questions": questions or games, "hops": hops, "seed": seed}
    with Console().status("Opening the world" if corpus is None else f"Indexing {corpus}"):
        tasks = _tasks(world, corpus, answers, gold, counts)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    measurement = Measurement(
        tasks,
        GameConfig(attempts=attempts).with_budget(max_turns=max_turns),
        reader,
        seed,
        DEFAULT_TEMPERATURE if temperature is None else temperature,
        max_new_tokens,
        PlayerOptions(
            prompts=checked_prompts(prompts), api_key_variable=api_key_variable, concurrency=concurrency
        ),
        out,
    )
    _print_side_by_side(measurement, players, json_file)


def _tasks(
    world: str, corpus: Path | None, answers: Path | None, gold: Path | None, counts: Mapping[str, int]
) -> AgentTasks:
    from baselines.agent_tasks import corpus_tasks, world_tasks

    if corpus is None:
        return world_tasks(world, **counts)
    return corpus_tasks(corpus, answers, gold, **counts)


def _print_side_by_side(measurement: Measurement, players: list[str], json_file: Path | None) -> None:
    from agents.smollm2 import SmolLM2Missing
    from baselines.agent_table import agent_table, table_data

    console = Console()
    setting, known = measurement.tasks.setting, measurement.tasks.known
    counts = f"{len(setting.tasks)} games, {len(known)} known questions; seed {measurement.seed}"
    what = f"{setting.description}; {counts}"
    rows = {}
    for player in players:
        try:
            with _bar(player, len(setting.tasks) + len(known)) as advance:
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
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}
    if unread := sorted(given - READ_WITHOUT_GAMES):
        options = ", ".join(
            "--json" if name == "json_file" else f"--{name.replace('_', '-')}" for name in unread
        )
        raise ValueError(f"{options} compare players over games: say how many with --games N")
    if len(players) > 1:
        raise ValueError(f"expected one folder of a tiny model, or --games N, got {len(players)} players")


def _print_by_hops(
    checkpoint: str, world: str, questions: int, temperature: float, seed: int, threads: int
) -> None:
    from agents.tiny_model import load
    from agents.tiny_policy import TinyPolicy
    from baselines.evaluation import evaluate as measure
    from baselines.presets import TERSE_GAME

    _prepare_models([checkpoint], threads)
    model, tokenizer = load(Path(checkpoint))
    policy = TinyPolicy(model, tokenizer, temperature=temperature, seed=seed)
    table = Table(title=f"Held-out accuracy of {checkpoint}")
    for heading in ("hops", "pass@1", "95 % interval", "questions", "searches"):
        table.add_column(heading, justify="right")
    for hops, accuracy in measure(policy, world, TERSE_GAME, questions=questions).items():
        low, high = accuracy.ci95
        table.add_row(
            str(hops),
            f"{accuracy.pass_at_1:.3f}",
            f"{low:.3f} .. {high:.3f}",
            str(accuracy.n),
            f"{accuracy.searches:.2f}",
        )
    Console().print(table)
