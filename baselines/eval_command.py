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
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from agents.command_options import (
    DEFAULT_WORLD,
    OPTION_OF_ROLE,
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
    checked_prompts,
    open_from_options,
)
from agents.player_names import PlayerOptions, is_local_model, model_of_run, stands_for_player
from agents.sampling_params import DEFAULT_TEMPERATURE
from ssp_env.cli.options import Corpus, IndexDirectory, Search, print_text, progress_bar
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
    from ssp_env.scenario import Scenario

HELDOUT_QUESTIONS = 240
READ_WITHOUT_GAMES = {
    *("players", "world", "known", "temperature", "seed", "threads", "games"),
    *("attempts", "top_k", "max_turns", "rag_check", "rules", "rule"),
}

Players = Annotated[
    list[str],
    typer.Argument(
        help="With --games: players as in `ssp play`; each plays both roles. Without: one run folder or "
        "folder of a tiny model, for instance runs/NAME."
    ),
]
Games = Annotated[
    int | None,
    typer.Option(
        help="Compare the players; each proposes and solves in this many games, or with 0 in none and only "
        "answers known questions.",
        min=0,
    ),
]
Questions = Annotated[
    Path | None,
    typer.Option(help="Question set for a corpus or an index (see docs/formats.md); a world has its own."),
]
Known = Annotated[
    int | None,
    typer.Option(
        help="Number of questions with a known answer: as many as games by default, and without --games "
        f"{HELDOUT_QUESTIONS} per number of hops.",
        min=0,
    ),
]
Reader = Annotated[
    str,
    typer.Option(
        help="Who reads in the RAG check of all players; by default each player itself, and `perfect` for a "
        "scripted one."
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        help=f"Sampling temperature, 0 is greedy; {DEFAULT_TEMPERATURE} by default, and 1 without --games.",
        min=0.0,
    ),
]
Threads = Annotated[int, typer.Option(help="CPU threads of torch.", min=1)]
Out = Annotated[
    Path | None,
    typer.Option(help="Keep the games in this folder; the same command continues where it was stopped."),
]
JSONFile = Annotated[Path | None, typer.Option("--json", help="Write the table to this file as JSON, too.")]


def evaluate(
    context: typer.Context,
    players: Players,
    games: Games = None,
    world: WorldPreset = None,
    world_index: WorldIndex = None,
    corpus: Corpus = None,
    index: IndexDirectory = None,
    search: Search = None,
    answers: Answers = None,
    questions: Questions = None,
    known: Known = None,
    reader: Reader = "",
    judge: JudgeName = None,
    hops: Hops = 2,
    attempts: Attempts = None,
    top_k: TopK = None,
    max_turns: MaxTurns = None,
    rag_check: RAGCheck = None,
    rules: RulesFile = None,
    rule: RuleValues = None,
    temperature: Temperature = None,
    max_new_tokens: MaxNewTokens = None,
    prompts: PromptStyle = "",
    api_key_variable: APIKeyVariable = "OPENAI_API_KEY",
    concurrency: Concurrency = 16,
    seed: Seed = 0,
    threads: Threads = 2,
    out: Out = None,
    json_file: JSONFile = None,
) -> None:
    """Compare players in both roles (--games), or measure a tiny policy on held-out questions by hops.

    The exit status is 1 if every game failed.
    """
    own = {"attempts": attempts, "top_k": top_k, "max_turns": max_turns, "rag_check": rag_check}
    given = read_rules(rules, rule, **own, judge=True if judge else None)
    if games is None:
        _check_by_hops(context, players)
        temperature = 1.0 if temperature is None else temperature
        known = known or HELDOUT_QUESTIONS
        _print_by_hops(players[0], world or DEFAULT_WORLD, known, temperature, seed, threads, given)
        return
    _check_side_by_side(players, games, known, questions)
    scenario = open_from_options(
        world=world, split="heldout", world_index=world_index, corpus=corpus, index=index, search=search,
        answers=answers, questions=questions, hops=hops, seed=seed, rules=given,
    )  # fmt: skip
    if known is None:
        has_questions = scenario.world is not None or questions is not None
        known = (games or len(scenario.questions)) if has_questions else 0
    options = PlayerOptions(
        prompts=checked_prompts(prompts), protocol=given.get("protocol", "default"),
        api_key_variable=api_key_variable, concurrency=concurrency,
        labels={**OPTION_OF_ROLE, "proposer": "player", "solver": "player"},
    )  # fmt: skip
    measurement = _measurement(scenario, games, known, seed, reader=reader, players=options, folder=out,
        judge=judge or "", max_new_tokens=max_new_tokens,
        temperature=DEFAULT_TEMPERATURE if temperature is None else temperature,
    )  # fmt: skip
    _prepare_models(players, threads)
    _print_side_by_side(measurement, players, json_file)


# -- side by side ----------------------------------------------------------------------------------------


def _check_side_by_side(players: list[str], games: int, known: int | None, questions: Path | None) -> None:
    if repeated := sorted({player for player in players if players.count(player) > 1}):
        raise ValueError(f"expected different players, got {', '.join(repeated)} more than once")
    if games == 0 and not known and not questions:
        raise ValueError("--games 0 leaves known questions alone: say how many with --known N")


def _measurement(scenario: Scenario, games: int, known: int, seed: int, **options: Any) -> Measurement:
    from baselines.agent_measurement import AgentTasks, Measurement

    return Measurement(AgentTasks.draw(scenario, games=games, known=known, seed=seed), seed=seed, **options)


def _print_side_by_side(measurement: Measurement, players: list[str], json_file: Path | None) -> None:
    from agents.smollm2 import SmolLM2Missing
    from baselines.agent_figures import agent_table, table_data

    console = Console()
    asked, known = measurement.tasks.asked, measurement.tasks.known
    counts = f"{len(asked)} games, {len(known)} known questions; seed {measurement.seed}"
    what = f"{measurement.tasks.scenario.description}; {counts}"
    rows = {}
    if measurement.folder is not None:
        measurement.folder.mkdir(parents=True, exist_ok=True)
    for player in players:
        try:
            with _bar(player, len(asked) + len(known)) as advance:
                rows[player] = measurement.run(player, advance)
        except SmolLM2Missing as missing:
            sys.exit(f"ssp: {missing}")
        # Written after every player, so that nothing is lost when a later one fails.
        if json_file is not None:
            json_file.write_text(
                json.dumps(table_data(rows, played=what, **measurement.options()), indent=2) + "\n"
            )
    print_text(console, agent_table(rows, what))
    for player, figures in rows.items():
        for failure, count in figures.failures.items():
            print_text(console, f"{player}: {count} failed of {failure}", style="red")
    if all(figures.errors == len(asked) + len(known) > 0 for figures in rows.values()):
        raise typer.Exit(1)


@contextmanager
def _bar(player: str, games: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # The bar goes to stderr, so that stdout holds the table alone.
    with progress_bar(Console(stderr=True), *columns) as bar:
        task = bar.add_task(player, total=games)
        yield lambda: bar.advance(task)


def _prepare_models(players: list[str], threads: int) -> None:
    """Set up torch and transformers, but only if a player needs them, because they take seconds to load."""
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
        raise ValueError(f"{options} can only be used with --games N, which compares players")
    if len(players) > 1:
        raise ValueError(
            f"expected one run folder or folder of a tiny model, or --games N, got {len(players)} players"
        )
    if stands_for_player(players[0]) and not Path(players[0]).is_dir():
        raise ValueError(
            f"{players[0]} is measured in games: add --games N, for N games in which it proposes and solves "
            "and as many known questions, or --games 0 --known N for known questions alone. Without --games "
            "a run folder or the folder of a tiny model is expected"
        )


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
    from baselines.agent_figures import aligned
    from baselines.evaluation import evaluate as measure
    from ssp_env.game.config import TERSE_RULES

    _prepare_models([checkpoint], threads)
    model, tokenizer = load(model_of_run(Path(checkpoint), role="solver"))
    config = TERSE_RULES.changed(rules)
    policy = TinyPolicy(model, tokenizer, temperature=temperature, seed=seed)
    rows = [["hops", "pass@1", "95 % interval", "questions", "searches"]]
    for hops, accuracy in measure(policy, world, config, questions=questions).items():
        low, high = accuracy.ci95
        figures = f"{accuracy.pass_at_1:.3f}", f"{low:.3f} .. {high:.3f}", str(accuracy.n)
        rows.append([str(hops), *figures, f"{accuracy.searches:.2f}"])
    print_text(Console(), "\n".join([f"Held-out accuracy of {checkpoint}", "", *aligned(rows)]))
